/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "heads.h"

static uint32_t lower(uint32_t a, uint32_t b)
{
	return a < b ? a : b; /* LAYOUT_ABSENT is above all */
}

static uint32_t upper(uint32_t a, uint32_t offset, uint32_t size)
{
	return offset != LAYOUT_ABSENT && offset + size > a ? offset + size : a;
}

void layout_derive(struct py_layout *l)
{
	uint32_t end;

	l->frame_head = upper(0, l->frame_previous, 8);
	l->frame_head = upper(l->frame_head, l->frame_code, 8);
	l->frame_head = upper(l->frame_head, l->frame_instr, l->lasti_unit ? 4 : 8);
	l->frame_head = upper(l->frame_head, l->frame_owner, 1);
	l->code_head = lower(lower(l->code_firstlineno, l->code_filename),
			     lower(l->code_name, l->code_qualname)) &
		       ~7u; /* as its pointers are */
	end = upper(upper(0, l->code_firstlineno, 4), l->code_filename, 8);
	end = upper(upper(end, l->code_name, 8), l->code_qualname, 8);
	l->code_head_bytes = end - l->code_head;
}
