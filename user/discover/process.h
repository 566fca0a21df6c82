/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which processes run CPython here, and what there is to know about each. */
#ifndef PYTRACE_PROCESS_H
#define PYTRACE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "build.h"

/*
 * The builds met so far, keyed by (device, inode, build id).  A build's index
 * is its number everywhere, in probe cookies too; it never moves or goes.
 */
struct builds;

struct builds *builds__new(void);
void builds__free(struct builds *builds);
size_t builds__count(const struct builds *builds);
const struct build *builds__get(const struct builds *builds, size_t index);

enum python_kind {
	PYTHON_NO,    /* not a Python process */
	PYTHON_YES,   /* CPython; `build` and `runtime` are set */
	PYTHON_OTHER, /* Python we cannot trace at all (PyPy, ...): `reason` */
	PYTHON_LATER, /* links against libpython, but it is not mapped yet: look again */
};

struct process {
	pid_t tgid;
	pid_t parent;
	uid_t uid;
	uint64_t start_ticks; /* field 22 of /proc/TGID/stat: tells a reused tgid */
	char comm[16];
	char command[256];     /* the command line, blanks between arguments */
	char cgroup[512];      /* path in the hierarchy that names it best */
	char container_id[72]; /* 64 hex digits, or "" */
	int threads;
	enum python_kind kind;
	size_t build;                    /* index in builds */
	uint64_t runtime;                /* address of _PyRuntime in its memory */
	bool mapped;                     /* it has memory: is no kernel thread, nor has ended */
	bool calls_refused;              /* in it they could not be counted right: `reason` */
	char reason[BUILD_REASON_BYTES]; /* why not, or what of it is not seen; "" if nothing */
};

/*
 * Look at one process.  Returns 0 with *out filled (kind says whether it is
 * Python), -ESRCH if there is no such process, -EACCES if it may not be looked at,
 * another negative errno on failure.  New builds are added to `builds`.
 */
int process_inspect(struct builds *builds, pid_t tgid, struct process *out);

/*
 * Does what we know of the layout hold in the live process?  Walks runtime ->
 * interpreter -> thread states, and checks them against /proc/TGID/task.
 * Returns 0 if it does, -EAGAIN if the interpreter is not up yet, -EPROTO with
 * a reason (BUILD_REASON_BYTES; untouched otherwise) if it does not, another negative errno if its
 * memory cannot be read.
 */
int process_verify(const struct builds *builds, const struct process *process, char *reason);

/*
 * Calls `each` for every process here (kind PYTHON_NO left out).  Returns 0, the first
 * nonzero return of `each`, or a negative errno if /proc cannot be read.
 */
int process_scan(struct builds *builds, int (*each)(const struct process *process, void *arg),
		 void *arg);

#endif
