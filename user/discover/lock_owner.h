/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who has a lock that says so, read from outside. */
#ifndef PYTRACE_DISCOVER_LOCK_OWNER_H
#define PYTRACE_DISCOVER_LOCK_OWNER_H

#include <stdint.h>
#include <sys/types.h>

#include "layout.h"

/*
 * The thread that has the lock for which the thread of this state sleeps in the futex at `futex`;
 * 0: not known.  Of CPython's locks threading.RLock and that of a file's buffer keep it, by what
 * pthread_self() is there.  `thread_of` says which thread of the process that is of, 0: of none.
 */
pid_t lock_owner(pid_t tgid, const struct py_layout *layout, uint64_t tstate, uint64_t futex,
		 pid_t (*thread_of)(const void *arg, uint64_t id), const void *arg);

#endif
