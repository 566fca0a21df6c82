/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What stacks tell of a process, for people: its functions without call probes, and its GIL. */
#ifndef PYTRACE_TEXT_STACKS_H
#define PYTRACE_TEXT_STACKS_H

#include "text_process.h"

/* The functions that threads spent their time in.  `functions` are of one process. */
int text_stack_functions(const struct screen *screen, const struct profile_function **functions,
			 size_t count, size_t top);

/* Who waited for the GIL, and for whom. */
int text_gils(const struct screen *screen, const struct text_request *request, uint32_t tgid,
	      size_t top);

#endif
