/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Is a process's JIT on? */
#ifndef PYTRACE_DISCOVER_JIT_H
#define PYTRACE_DISCOVER_JIT_H

#include "process.h"

/*
 * Where it is on, refuse the calls of the process, with the reason.  `anonymous_code`:
 * it has executable memory that is of no file.
 */
void jit_note(const struct build *build, bool anonymous_code, struct process *process);

/* The same for a child that was gone before it could be looked at: were its parent's refused? */
void jit_inherit(const struct build *build, bool refused, struct process *child);

#endif
