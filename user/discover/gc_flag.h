/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where an interpreter notes that it collects garbage. */
#ifndef PYTRACE_DISCOVER_GC_FLAG_H
#define PYTRACE_DISCOVER_GC_FLAG_H

#include "process.h"

/*
 * The address of `int collecting` of a process's main interpreter: 1 while garbage is collected,
 * else 0.  Returns 0, -EAGAIN if the interpreter is not up yet, or another negative errno.
 */
int gc_flag_address(const struct build *build, const struct process *process, uint64_t *address);

#endif
