/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A process at one moment, as `dump` shows it: plain data, for the writers in show/.
 * Names are the target's: UTF-8, unescaped and untrusted.
 */
#ifndef PYTRACE_MOMENT_H
#define PYTRACE_MOMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack_quality.h"
#include "wait_class.h"

struct moment_frame {
	char *function;
	char *file;
	uint32_t line;    /* the function's first */
	uint32_t at_line; /* that it is at; 0: not known */
};

enum thread_does {
	THREAD_RUNS, /* or could */
	THREAD_WAITS,
	THREAD_STOPPED,
	THREAD_ENDING,
};

struct moment_thread {
	uint32_t tid; /* first: threads are looked up by it */
	char name[16];
	bool python; /* it has a thread state */
	enum thread_does does;
	enum wait_class wait_class; /* of one that waits */
	const char *syscall;        /* static, or NULL */
	char *target;               /* what it waits for, or NULL */
	double since;               /* seconds; negative: not known */
	uint32_t held_by;  /* the thread that has the GIL or the lock, or stops the world; 0: not
			      known */
	uint64_t switched; /* how often it had been put on a CPU when this was so */
	bool deadlocked;   /* who holds what it waits for waits for what it holds, and so on */
	bool holds_gil;
	enum stack_quality quality;
	struct moment_frame *frames; /* innermost first */
	size_t frame_count;
};

struct moment {
	uint32_t tgid;
	const char *command;
	const char *python; /* version */
	const char *build;  /* path */
	const char *reason; /* why there are no stacks, or "" */
	bool has_gil;       /* false: free-threaded, or not known */
	struct moment_thread *threads;
	size_t thread_count;
};

/* "running", "waiting", ... */
const char *thread_does_name(enum thread_does does);

#endif
