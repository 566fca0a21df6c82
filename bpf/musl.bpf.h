/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Waits for the GIL in a CPython built with musl, where the futex is not in the GIL's condition
 * variables but in a node that hangs from them: see musl.h.
 */
#ifndef PYTRACE_MUSL_BPF_H
#define PYTRACE_MUSL_BPF_H

#include "common.bpf.h"
#include "musl.h"

/*
 * The newest node of the list with this node, of which `waiter` is a copy, and then of that one.
 * A thread that goes to sleep has just put its node in, so few come before it.  Each step is
 * checked both ways.  0: it is not in a list as it should be.
 */
static __always_inline u64 musl_newest(struct task_struct *other, u64 node,
				       struct musl_waiter *waiter)
{
	for (int i = 0; i < MUSL_WAITERS_MAX && waiter->prev; i++) {
		u64 newer = waiter->prev;

		if (peek_user(other, waiter, sizeof(*waiter), newer) || waiter->next != node)
			return 0;
		node = newer;
	}
	return node;
}

/*
 * The node was signalled, and so is in no list, in the moment before its thread slept; who did it
 * is about to wake that.  He has the mutex of the condition variable so long, as CPython's
 * take_gil() and drop_gil() signal, and in the first case the other one as well.
 */
static __always_inline u32 musl_signalled(struct task_struct *other, u64 gil,
					  const struct py_layout *l)
{
	u32 locked = 0;

	read_user(other, &locked, sizeof(locked), gil + l->gil_switch_mutex + MUSL_MUTEX_LOCK);
	if (locked)
		return l->gil_switch_cond;
	read_user(other, &locked, sizeof(locked), gil + l->gil_mutex + MUSL_MUTEX_LOCK);
	return locked ? l->gil_cond : 0;
}

/*
 * Where in the GIL the condition variable is that a thread with this futex waits in; 0: in none.
 * Most futexes of others are told by the first read: what is before them is no node.
 */
static __noinline u32 musl_gil_cond(struct task_struct *other, u64 gil, const struct py_layout *l,
				    u64 futex)
{
	u64 node = futex - __builtin_offsetof(struct musl_waiter, barrier), newest;
	struct musl_waiter waiter = {};

	for (int i = 0; i < MUSL_ATTEMPTS; i++) {
		if (peek_user(other, &waiter, sizeof(waiter), node) ||
		    (waiter.barrier != MUSL_BARRIER_ASLEEP && waiter.barrier))
			return 0;
		if (waiter.state == MUSL_SIGNALED)
			return waiter.prev || waiter.next ? 0 : musl_signalled(other, gil, l);
		if (!waiter.barrier)
			return 0;
		newest = musl_newest(other, node, &waiter);
		if (!newest)
			continue;
		if (waiter.prev) {
			lose(LOSS_GIL_QUEUE);
			return 0;
		}
		if (read_user_u64(other, gil + l->gil_cond + MUSL_COND_HEAD) == newest)
			return l->gil_cond;
		if (read_user_u64(other, gil + l->gil_switch_cond + MUSL_COND_HEAD) == newest)
			return l->gil_switch_cond;
	}
	return 0;
}

#endif
