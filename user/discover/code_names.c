/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "code_names.h"

#include <stdbool.h>

#include "memory.h"

/* A str as CPython lays it out (Include/cpython/unicodeobject.h). */
struct string {
	uint64_t chars, data;
	unsigned int kind;
	bool ascii;
};

static bool read_string(pid_t tgid, const struct py_layout *l, uint64_t object, struct string *out)
{
	uint32_t state;

	if (memory_read(tgid, object + l->unicode_state, &state, sizeof(state)) ||
	    memory_read(tgid, object + l->unicode_length, &out->chars, sizeof(out->chars)))
		return false;
	out->kind = state >> l->unicode_kind_shift & ((1u << l->unicode_kind_bits) - 1);
	out->ascii = state >> l->unicode_ascii_shift & 1;
	out->data = object + (out->ascii ? l->unicode_ascii_data : l->unicode_compact_data);
	return (state >> l->unicode_compact_shift & 1) &&
	       (out->kind == 1 || out->kind == 2 || out->kind == 4);
}

/* The str that the code object has at `offset`: how many characters of it, 0 if it cannot be read.
 */
static uint16_t read_name(const struct record_code *record, const struct py_layout *l,
			  uint32_t offset, uint8_t *text, size_t size, struct string *string)
{
	pid_t tgid = (pid_t)record->tgid;
	uint64_t object, bytes;

	if (memory_read_u64(tgid, record->code + offset, &object) ||
	    !read_string(tgid, l, object, string))
		return 0;
	bytes = string->chars < size ? string->chars * string->kind : size;
	if (bytes > size)
		bytes = size;
	if (memory_read(tgid, string->data, text, bytes))
		return 0;
	return bytes / string->kind;
}

void code_names_complete(struct record_code *record, const struct py_layout *l)
{
	uint32_t name = l->code_qualname != LAYOUT_ABSENT ? l->code_qualname : l->code_name;
	struct string string;
	uint32_t line;

	if (memory_read((pid_t)record->tgid, record->code + l->code_firstlineno, &line,
			sizeof(line)))
		return;
	if (!record->line)
		record->line = line;
	if (record->line != line)
		return;
	if (!record->name_kind) {
		record->name_chars =
			read_name(record, l, name, record->name, sizeof(record->name), &string);
		if (record->name_chars)
			record->name_kind = string.kind;
	}
	if (!record->file_kind) {
		record->file_chars = read_name(record, l, l->code_filename, record->file,
					       sizeof(record->file), &string);
		if (record->file_chars)
			record->file_kind = string.kind;
	}
}
