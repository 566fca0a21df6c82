/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a process needs that there is one of, or little: the GIL, a CPU, memory. */
#ifndef PYTRACE_TEXT_MACHINE_H
#define PYTRACE_TEXT_MACHINE_H

#include "screen.h"
#include "text_process.h"

/* What of it is worth a line.  0 or -ENOMEM. */
int text_put_machine(const struct screen *screen, const struct profile *profile,
		     const struct judged *judged);

#endif
