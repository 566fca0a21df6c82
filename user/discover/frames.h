/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The Python frames of a thread of another process, read from outside while it may run. */
#ifndef PYTRACE_DISCOVER_FRAMES_H
#define PYTRACE_DISCOVER_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout.h"

/* How far a walk down the frames came. */
enum walk_end {
	WALK_COMPLETE,   /* to the first frame */
	WALK_TRUNCATED,  /* there were more than there was room for */
	WALK_UNREADABLE, /* something on the way could not be read */
};

struct walked_frame {
	uint64_t frame; /* its address */
	uint64_t code;  /* address of its code object */
	uint32_t line;  /* that it is at; 0: not known */
};

/*
 * Walk from the current frame of a PyThreadState outwards.  Fills frames[], innermost first, up to
 * `max`; *count says how many.  What is read may be of two moments if the thread runs meanwhile.
 */
enum walk_end frames_walk(pid_t tgid, const struct py_layout *layout, uint64_t tstate,
			  struct walked_frame *frames, size_t max, size_t *count);

/*
 * The GIL that the thread of this state takes: its address, 0 if there is none (free-threaded) or
 * it cannot be read.
 */
uint64_t gil_address(pid_t tgid, const struct py_layout *layout, uint64_t runtime, uint64_t tstate);

/* Does a thread that sleeps in this futex wait for the GIL?  The thread may wake up meanwhile. */
bool gil_awaited(pid_t tgid, const struct py_layout *layout, uint64_t gil, uint64_t futex);

/* The PyThreadState that holds this GIL now, 0: none, or it cannot be read. */
uint64_t gil_holder(pid_t tgid, const struct py_layout *layout, uint64_t gil);

#endif
