/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Waits that differ in how long they took only are put aside and told together: a thread that
 * waits often waits for the same in the same place again and again.
 */
#ifndef PYTRACE_GATHER_BPF_H
#define PYTRACE_GATHER_BPF_H

#include "common.bpf.h"

#define GATHERING_TRIES 65536 /* some milliseconds */

/* What a record says of a wait but for its times. */
static __always_inline void wait_describe(struct record_wait *record, struct task_struct *task,
					  const struct thread *t, u8 flags)
{
	record->tgid = task->tgid;
	record->tid = task->pid;
	record->function = t->off_function;
	record->syscall = t->off_syscall;
	record->wait_class = t->off_class;
	record->flags = flags;
	record->pad[0] = record->pad[1] = 0;
	record->gil_switches = t->off_gil_switches; /* or the target */
	record->holder = t->off_holder;
	record->stack = t->off_stack;
	record->waker_stack = t->waker_tid ? t->waker_stack : 0;
	record->waker = t->waker_tid ? t->waker : NO_FUNCTION;
	record->waker_tid = t->waker_tid;
	record->gil = t->gil;
	__builtin_memcpy(record->comm, task->comm, COMM_BYTES);
}

/* Does it describe the wait that the thread was in?  (A stack has one function on top.) */
static __always_inline bool is_described(const struct record_wait *record, const struct thread *t,
					 u8 flags)
{
	return record->stack == t->off_stack && record->wait_class == t->off_class &&
	       record->syscall == t->off_syscall && record->target == t->off_target &&
	       record->flags == flags && !record->waker_tid == !t->waker_tid &&
	       (!t->waker_tid || record->waker_stack == t->waker_stack);
}

/* Tell of waits put aside, if any.  Whoever calls is the only one at them. */
static __always_inline void waits_tell(struct thread *t, struct record_waits *waits)
{
	u32 count = waits->count;

	if (!count)
		return;
	barrier_var(count);
	if (count > GATHERED_MAX)
		count = GATHERED_MAX;
	if (bpf_ringbuf_output(&ring, waits,
			       __builtin_offsetof(struct record_waits, each) +
				       count * sizeof(waits->each[0]),
			       ring_wake_flag())) {
		__sync_fetch_and_add(&t->oncpu_ns, waits->sum.oncpu_ns);
		if (waits->sum.wait_class != WAIT_RUNQ)
			lose_many(LOSS_RING_WAIT, count);
	}
	waits->count = 0;
}

/*
 * Puts a wait of the thread that is over aside: true if it was.  False where it is to be told by
 * itself: what tells of others' order, and if it is long enough not to matter.
 */
static __noinline bool wait_gather(struct task_struct *task, struct thread *t, u8 flags,
				   u64 wait_ns, u64 runq_ns)
{
	struct record_waits *waits;
	u32 count;

	if (t->off_class == WAIT_GIL || t->in_vain || t->after_vain || flags & WAIT_AT_ATTACH ||
	    (wait_ns | runq_ns) >> 32)
		return false;
	if (exchange(&t->gathering, 1))
		return false;
	waits = &t->gathered[(t->off_stack >> 8 ^ t->off_class) & (GATHERS - 1)];
	if (!is_described(&waits->sum, t, flags))
		waits_tell(t, waits);
	count = waits->count;
	if (!count) {
		__builtin_memset(&waits->sum, 0, sizeof(waits->sum));
		waits->sum.kind = RECORD_WAITS;
		wait_describe(&waits->sum, task, t, flags);
	}
	waits->sum.total_ns += wait_ns;
	waits->sum.new_ns += wait_ns;
	waits->sum.runq_ns += runq_ns;
	waits->sum.runq_total_ns += runq_ns;
	waits->sum.oncpu_ns += exchange(&t->oncpu_ns, 0);
	waits->each[count & (GATHERED_MAX - 1)] = (struct wait_times){wait_ns, runq_ns};
	waits->count = count + 1;
	if (count + 1 >= GATHERED_MAX)
		waits_tell(t, waits);
	exchange(&t->gathering, 0);
	return true;
}

struct gathering {
	struct thread *t;
	bool mine;
};

static long gathering_try(u32 i, void *arg)
{
	struct gathering *gathering = arg;

	if (!gathering->t)
		return 1;
	gathering->mine = !exchange(&gathering->t->gathering, 1);
	return gathering->mine;
}

/* Tell of all that the thread's waits were put aside for. */
static __noinline void gathered_tell(struct thread *t)
{
	struct gathering gathering = {.t = t};

	/* the scheduler's programs are at it for less than a microsecond */
	bpf_loop(GATHERING_TRIES, gathering_try, &gathering, 0);
	if (!gathering.mine)
		return;
	for (u32 i = 0; i < GATHERS; i++)
		waits_tell(t, &t->gathered[i]);
	exchange(&t->gathering, 0);
}

#endif
