/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* See gc_flag.h. */
#include "gc_flag.h"

#include <errno.h>

#include "memory.h"

#define MAX_INTERPRETERS 64

int gc_flag_address(const struct build *build, const struct process *process, uint64_t *address)
{
	uint64_t at = process->runtime + build->layout.runtime_interpreters_head;
	uint64_t interp = 0, next;

	if (build->gc_flag.in_runtime != LAYOUT_ABSENT) {
		*address = process->runtime + build->gc_flag.in_runtime;
		return 0;
	}
	/* new ones are put in front: the main one is the last (Python/pystate.c) */
	for (int i = 0; i < MAX_INTERPRETERS; i++) {
		int err = memory_read(process->tgid, at, &next, sizeof(next));

		if (err)
			return err == -EFAULT ? -EAGAIN : err; /* not mapped, or not set up */
		if (!next)
			break;
		interp = next;
		at = interp + build->layout.interp_next;
	}
	*address = interp + build->gc_flag.in_interp;
	return interp ? 0 : -EAGAIN;
}
