/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The thread states of a live process, read from its memory. */
#ifndef PYTRACE_THREADS_H
#define PYTRACE_THREADS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout.h"

/*
 * Calls `each` for every PyThreadState of the process, at most a few thousand.
 * A target that changes them meanwhile, or lies, only makes the list wrong: who
 * uses it must check.  Returns how many, or a negative errno if nothing can be read.
 */
int process_threads(pid_t tgid, const struct py_layout *layout, uint64_t runtime,
		    void (*each)(void *arg, uint64_t thread_id, uint64_t tstate), void *arg);

#endif
