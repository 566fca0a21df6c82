/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How musl's threads wait in a condition variable (src/thread/pthread_cond_timedwait.c, since
 * 1.1.5): not in the variable, but in a node each has on its own stack.  The variable has a list of
 * the nodes.  Who signals takes the oldest off it and wakes that one.
 */
#ifndef PYTRACE_MUSL_H
#define PYTRACE_MUSL_H

#include <linux/types.h>

/* src/internal/pthread_impl.h */
#define MUSL_COND_HEAD 8  /* in pthread_cond_t: pointer to the newest node */
#define MUSL_MUTEX_LOCK 4 /* in pthread_mutex_t: int, 0 if nobody has it */

#define MUSL_BARRIER_ASLEEP 2 /* 0 once it is signalled */
#define MUSL_SIGNALED 1

struct musl_waiter {
	__u64 prev; /* the next newer one, 0: none */
	__u64 next; /* the next older one */
	__s32 state;
	__s32 barrier; /* the futex */
};

_Static_assert(sizeof(struct musl_waiter) == 24, "as musl has it");

#define MUSL_WAITERS_MAX 16 /* newer ones that are looked at */
#define MUSL_ATTEMPTS 2     /* the list changes meanwhile */

#endif
