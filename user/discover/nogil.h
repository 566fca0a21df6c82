/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What threads of free-threaded builds wait for, read from outside: as bpf/nogil.bpf.h does. */
#ifndef PYTRACE_DISCOVER_NOGIL_H
#define PYTRACE_DISCOVER_NOGIL_H

#include <stdint.h>
#include <sys/types.h>

#include "layout.h"
#include "records.h"

/*
 * What the thread of this state, which sleeps in a futex, is parked for: TARGET_STOP,
 * TARGET_SECTION, or TARGET_NONE where it is anything else.  `sp` is its stack pointer.
 */
enum target_kind nogil_parked(pid_t tgid, const struct py_layout *layout, uint64_t runtime,
			      uint64_t tstate, uint64_t futex, uint64_t sp);

/* The PyThreadState that stops the world of this one; 0: none, or it cannot be read. */
uint64_t nogil_stopper(pid_t tgid, const struct py_layout *layout, uint64_t runtime,
		       uint64_t tstate);

#endif
