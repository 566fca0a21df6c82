/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The plain facts /proc tells of a process. What it reads is the process's own word. */
#ifndef PYTRACE_DISCOVER_PROCFS_H
#define PYTRACE_DISCOVER_PROCFS_H

#include "process.h"

/*
 * Read up to size - 1 bytes of /proc/TGID/NAME and end them with a NUL.
 * Returns how many, or a negative errno (-ESRCH: no such process).
 */
ssize_t procfs_read(pid_t tgid, const char *name, char *buffer, size_t size);

/*
 * Fill all of *out that needs no look at its files: parent, uid, start_ticks,
 * comm, command, cgroup, container_id, threads. Returns 0 or a negative errno.
 */
int procfs_describe(pid_t tgid, struct process *out);

/*
 * Does the JIT variable it was started with switch it on (1) or off (0)?
 * -ENOENT if it says nothing, or another negative errno.
 */
int procfs_jit_variable(pid_t tgid);

/* Is it gone, or all of it has ended and nobody has asked yet how?  False where that cannot be
 * told. */
bool procfs_has_ended(pid_t tgid);

/* Who traces it with ptrace(); 0: nobody, or it is gone. */
pid_t procfs_tracer(pid_t tgid);

/* What the innermost pid namespace of one of its threads calls it; 0: it is gone. */
pid_t procfs_own_tid(pid_t tgid, const char *tid);

/*
 * The ids of its threads as they see them themselves, in the innermost pid
 * namespace. Fills up to `max`; returns how many, or a negative errno.
 */
ssize_t procfs_own_tids(pid_t tgid, pid_t *tids, size_t max);

#endif
