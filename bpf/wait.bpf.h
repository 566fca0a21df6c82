/* SPDX-License-Identifier: GPL-2.0 */
/* A stretch off-CPU that is over, or told so far. */
#ifndef PYTRACE_WAIT_BPF_H
#define PYTRACE_WAIT_BPF_H

#include "gather.bpf.h"
#include "gil.bpf.h"
#include "stack.bpf.h"
#include "watched.bpf.h"

/* What the wait that is over is for the thread's next one. */
static __always_inline void wait_precedes(struct thread *t)
{
	if (t->off_class == WAIT_RUNQ)
		return;
	t->after_vain = t->in_vain;
	if (t->off_class == WAIT_GIL)
		t->after_flags |= WAIT_GIL_AGAIN;
	else
		t->after_flags = class_is_io(t->off_class) ? WAIT_AFTER_IO : 0;
}

/* Tell userspace of the stretch from `since` to `now` of a thread that is (or was) off-CPU. */
static __always_inline void wait_tell(struct task_struct *task, struct thread *t, u64 since,
				      u64 now, bool done)
{
	/* a visitor may have looked at the clock before it was woken */
	u64 wake = t->wake_ns && t->wake_ns < now ? t->wake_ns : now;
	u64 runnable_since = wake > since ? wake : since;
	struct record_wait *record;
	u8 flags = t->off_flags | (t->depth ? WAIT_IN_CALL : 0);

	if (t->off_class == WAIT_GIL)
		flags |= t->after_flags;
	if (done) {
		if (since == t->off_begin && wake >= since &&
		    wait_gather(task, t, flags | WAIT_DONE, wake - since, now - wake))
			return wait_precedes(t);
		flags |= t->in_vain ? WAIT_IN_VAIN : WAIT_DONE;
		wait_precedes(t);
	}
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		if (done && t->off_class != WAIT_RUNQ)
			lose(LOSS_RING_WAIT);
		return;
	}
	record->kind = RECORD_WAIT;
	wait_describe(record, task, t, flags);
	record->total_ns = wake - t->off_begin;
	record->new_ns = wake > since ? wake - since : 0;
	/* `since` is later if the run queue was told of and how it went on was missed */
	record->runq_ns = now > runnable_since ? now - runnable_since : 0;
	record->runq_total_ns = done ? now - wake : 0;
	record->oncpu_ns = exchange(&t->oncpu_ns, 0);
	bpf_ringbuf_submit(record, ring_wake_flag());
}

/*
 * Which child it was: not always known when the wait began, and its command may be what it was
 * before its exec (a vfork() is over before that is).
 */
__noinline int child_waited_for(struct thread *t, u32 tgid)
{
	struct child_end *end = bpf_map_lookup_elem(&child_ends, &tgid);

	if (t && end && end->ns >= t->off_begin && (t->off_number < 0 || t->off_number == end->pid))
		t->off_target = end->target;
	return 0;
}

/* Because of whom, or what, it waited: as in struct record_slow. */
static __always_inline u32 waited_for(const struct thread *t)
{
	if (t->off_class == WAIT_GIL)
		return t->off_holder;
	if (t->off_class == WAIT_LOCK)
		return t->waker_tid ? t->waker : NO_FUNCTION;
	return t->off_target;
}

/* A stretch off-CPU is over of a thread that has run watched functions. */
__noinline int watched_wait(struct watching *w, const struct thread *t, u64 now)
{
	u64 ns, runq_ns, wake;
	struct watched_call *call;
	u32 wait_class;

	if (!w || !t)
		return 0;
	wait_class = t->off_class;
	if (wait_class >= WAIT_CLASSES)
		return 0;
	wake = t->wake_ns ?: now;
	ns = wake > t->off_begin ? wake - t->off_begin : 0;
	runq_ns = now > wake ? now - wake : 0;
	w->wait_ns[wait_class] += ns;
	w->wait_ns[WAIT_RUNQ] += runq_ns;
	call = watched_top(w);
	if (!call)
		return 0;
	cause_vote(&call->cause, wait_class, waited_for(t), ns);
	cause_vote(&call->cause, WAIT_RUNQ, 0, runq_ns);
	return 0;
}

static __always_inline void switch_in(struct task_struct *task, struct thread *t, u64 now)
{
	u64 since = exchange(&t->off_ns, 0);
	u64 wake;

	t->in_ns = now;
	t->early_ns = 0; /* the switch that this was too early for is over, or was not seen */
	if (!since)
		return;
	gil_switch_in(t, task->tgid, now);
	wake = t->wake_ns ?: now;
	if (t->off_class == WAIT_CHILD && t->off_number)
		child_waited_for(t, task->tgid);
	if (wake > t->off_begin)
		shadow_wait(task, t, t->off_class, waited_for(t), wake - t->off_begin);
	if (now > wake)
		shadow_wait(task, t, WAIT_RUNQ, 0, now - wake);
	wait_tell(task, t, since, now, true);
	if (t->watch_group)
		watched_wait(bpf_task_storage_get(&watchings, task, NULL, 0), t, now);
}

/*
 * The thread runs, but its switch-in was not seen: on some kernels one such event in
 * a few hundred does not come (bpftrace misses the same ones on 6.18).  The wait ended at its
 * wakeup; how long it then was on the run queue is not known.
 */
static __always_inline void switch_in_missed(struct task_struct *task, struct thread *t)
{
	if (t->off_ns)
		switch_in(task, t, t->wake_ns ?: bpf_ktime_get_ns());
}

#endif
