/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the kernel says a thread does at this moment, by /proc. */
#ifndef PYTRACE_DISCOVER_TASK_H
#define PYTRACE_DISCOVER_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout.h"
#include "wait_class.h"

enum task_state {
	TASK_RUNS,    /* on a CPU, or ready to: /proc does not tell them apart */
	TASK_WAITS,   /* `wait_class` says for what */
	TASK_STOPPED, /* by a signal or a debugger */
	TASK_ENDING,
};

struct task {
	pid_t tid;
	char name[16];
	enum task_state state;
	enum wait_class wait_class;
	int syscall; /* it is in, SYSCALL_NONE: in none */
	bool syscall_known;
	uint64_t args[6];
	uint64_t sp;       /* its stack pointer, in the system call */
	uint64_t switched; /* how often it was put on a CPU: changes if it ran */
	double since;      /* seconds it has been off-CPU; negative: not known */
};

/*
 * Look at one thread.  0, -ESRCH if it is gone, or another negative errno.  For its wait to be
 * told from its arguments the rights of ptrace are needed.
 */
int task_look(pid_t tgid, pid_t tid, struct task *out);

/* The threads of a process.  Returns how many (an array for free()), or a negative errno. */
ssize_t task_list(pid_t tgid, pid_t **tids);

/*
 * What it waits for, in words: a peer's address, a path, a child.  NULL if there is nothing
 * to say; malloc'd.  The words hold names the target made.  An epoll that turns out to be for a
 * single peer gets its class here.
 */
char *task_target(pid_t tgid, struct task *task);

#endif
