// SPDX-License-Identifier: GPL-2.0
/*
 * Waits: when a Python thread leaves the CPU, why, and for how long.  One
 * off-CPU stretch is a wait (until the wakeup) and then run queue time.
 */
#include "gc.bpf.h"
#include "gil_holder.bpf.h"
#include "musl.bpf.h"
#include "nogil.bpf.h"
#include "python.bpf.h"
#include "stack.bpf.h"
#include "wait.bpf.h"
#include "wait_class.bpf.h"
#include "walk.bpf.h"

#define EARLY_NS 1000000 /* between a wakeup and the switch it came too early for */

/*
 * The thread's state if its process is traced; made at first sight.  `next`: it goes on the CPU.
 * Then its state may be made when it goes off again: the kernel has one ready, and the thread that
 * goes off may have got that (both are new to us when their process is taken in).
 */
static __always_inline struct thread *traced_thread(struct task_struct *task, bool next)
{
	struct process_entry *p;
	struct thread *t;
	u32 tgid = task->tgid;

	if (task->flags & PF_KTHREAD)
		return NULL;
	t = bpf_task_storage_get(&threads, task, NULL, 0);
	if (t && t->epoch == process_epoch)
		return t->flags & PROCESS_TRACED ? t : NULL;
	p = bpf_map_lookup_elem(&processes, &tgid);
	if (!t) {
		if (!p || !(p->flags & PROCESS_TRACED))
			return NULL;
		t = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (!t) {
			if (!next)
				lose(LOSS_STORAGE);
			return NULL;
		}
	}
	thread_is_of(task, t, p);
	if (p && t->runtime != p->runtime) { /* (0: userspace does not believe its layout) */
		t->runtime = p->runtime;
		t->build = p->build;
		t->tstate = 0;
		t->depth = 0;
	}
	return t->flags & PROCESS_TRACED ? t : NULL;
}

#define TASK_HALTED 0xc /* __TASK_STOPPED, __TASK_TRACED: include/linux/sched.h */

/* Does it wait for the GIL, in this futex?  Notes where in it. */
static __always_inline bool waits_for_gil(struct task_struct *other, struct thread *t,
					  const struct py_layout *l, u64 futex)
{
	u64 at = futex - t->gil, gil;

	if (at >= l->gil_size && l->musl)
		at = musl_gil_cond(other, t->gil, l, futex) ?: at;
	if (at >= l->gil_size && t->states[1] && !other) {
		gil = thread_gil_at(t, l, futex);
		if (gil)
			thread_has_gil(t, gil);
		at = futex - t->gil;
	}
	if (at >= l->gil_size)
		return false;
	t->gil_at = at;
	return true;
}

/*
 * What the thread, which is asleep or about to be, waits for: class, system call, and what the
 * target is found by.  The programs' own stack is short, so this is a function of its own.
 */
static __noinline u32 wait_class_of(struct task_struct *other, struct task_struct *task,
				    struct thread *t, const struct py_layout *l, u32 state)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	bool iowait = BPF_CORE_READ_BITFIELD(task, in_iowait);
	enum wait_class fallback = WAIT_OTHER, wait_class;
	struct awaited on = {};
	struct call call = {
		.nr = (s32)regs->orig_ax,
		.args = {regs->di, regs->si, regs->dx, regs->r10},
	};

	t->off_syscall = call.nr;
	if (call.nr == __NR_futex && !(state & TASK_HALTED) && l && t->gil &&
	    waits_for_gil(other, t, l, call.args[0])) {
		t->off_gil_switches = 0;
		t->off_holder = NO_FUNCTION;
		return WAIT_GIL;
	}
	t->off_target = 0;
	if (state & TASK_HALTED) { /* by a signal or a debugger, whatever it was in */
		t->off_syscall = SYSCALL_NONE;
		t->off_file = 0;
		t->off_number = 0;
		return WAIT_OTHER;
	}
	/* no call waits uninterruptibly for long but for storage */
	if ((state & TASK_UNINTERRUPTIBLE) || iowait)
		fallback = WAIT_DISK;
	if (iowait)
		t->off_flags |= WAIT_BLOCK_IO;
	wait_class = syscall_class(other, task, &call, fallback, &on);
	t->off_file = (u64)on.file;
	t->off_number = waits_for_child(call.nr) ? awaited_child(&call) : on.number;
	return wait_class;
}

/* The thread sleeps, or is about to. */
static __always_inline void wait_begins(struct task_struct *other, struct task_struct *task,
					struct thread *t, const struct py_layout *l, u32 state)
{
	t->off_class = wait_class_of(other, task, t, l, state);
	if (wait_has_target(t->off_class, t->off_syscall))
		t->off_target = wait_target(task, t);
	t->wake_ns = 0;
}

/*
 * It was woken when it had decided to sleep, before we had put down that it does: the scheduler
 * looks for work on other CPUs before it tells of a switch, and we at what the wait is for.
 */
static __always_inline void woken_early(struct thread *t, u64 now)
{
	t->wake_ns = t->early_ns > now ? t->early_ns : now;
	t->in_vain = t->off_unix && t->early_vain;
	t->early_ns = 0;
}

/*
 * Walk the current thread's stack; but where its process waits so often that this would cost it too
 * much, one time in walk_every, at random: in between, a thread that is in the same system call
 * with the same C stack is taken to be in what it was in then.
 */
static __always_inline bool walk_or_hold(struct thread *t, const struct py_layout *l,
					 enum held_place place, u64 now, struct walked *walked)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct held_walk *held = &t->held[place];
	s32 syscall = (s32)regs->orig_ax;
	u64 at = place == HELD_PREEMPTED ? 0 : regs->sp;

	if (held->left && held->at == at && (held->syscall == syscall || !at)) {
		held->left--;
		*walked = held->walked;
		return true;
	}
	walk_here(t, l, WALKER_SCHEDULER, now, walked);
	held->left = 0;
	if (t->walk_every > 1) {
		held->at = at;
		held->syscall = syscall;
		held->walked = *walked;
		held->left = (u64)bpf_get_prandom_u32() * (2 * t->walk_every - 1) >> 32;
	}
	return false;
}

/* Was its stack taken to be the last one, without being read? */
static __always_inline bool switch_out(struct task_struct *task, struct thread *t, bool runnable,
				       u32 state, u64 now)
{
	const struct py_layout *l = t->runtime ? layout_of(t->build) : NULL;
	struct walked walked = {.function = NO_FUNCTION};
	bool held = false;
	u64 since;

	switch_in_missed(task, t);
	since = exchange(&t->in_ns, 0);
	if (since)
		__sync_fetch_and_add(&t->oncpu_ns, now - since);
	if (l)
		held = walk_or_hold(t, l, runnable ? HELD_PREEMPTED : HELD_WAIT, now, &walked);
	t->off_stack = walked.stack;
	t->off_function = walked.function;
	t->off_flags = 0;
	t->off_unix = t->in_vain = 0;
	t->waker_tid = 0;
	if (runnable) {
		t->off_class = WAIT_RUNQ;
		t->off_syscall = SYSCALL_NONE;
		t->off_target = 0;
		t->wake_ns = now;
	} else {
		wait_begins(NULL, task, t, l, state);
		if (t->off_class == WAIT_LOCK && t->off_syscall == __NR_futex && l && l->nogil)
			t->off_target = nogil_target_here(task, t, l);
		gil_switch_out(task, t, l, now);
	}
	t->off_begin = now;
	exchange(&t->off_ns, now);
	if (!runnable && t->early_ns && now < t->early_ns + EARLY_NS)
		woken_early(t, now);
	return held;
}

/* Tell how long a thread ran that has not waited since. */
static __always_inline void oncpu_tell(struct task_struct *task, struct thread *t, u64 now)
{
	u64 ran = exchange(&t->oncpu_ns, 0);
	struct record_wait *record;

	if (!ran)
		return;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		__sync_fetch_and_add(&t->oncpu_ns, ran);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->kind = RECORD_WAIT;
	record->tgid = task->tgid;
	record->tid = task->pid;
	record->function = NO_FUNCTION;
	record->oncpu_ns = ran;
	record->wait_class = WAIT_RUNQ;
	__builtin_memcpy(record->comm, task->comm, COMM_BYTES);
	bpf_ringbuf_submit(record, ring_wake_flag());
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	u64 now = bpf_ktime_get_ns(), begin = now;
	struct thread *t = traced_thread(prev, false);
	bool timed = cost_is_sampled(now), held;

	if (t) {
		/* a preempted task runs on, even if it was about to sleep */
		held = switch_out(prev, t, preempt || prev_state == TASK_RUNNING, prev_state, now);
		if (timed) {
			cost_add(held ? COST_OUT_HELD : COST_OUT, begin);
			begin = bpf_ktime_get_ns();
		}
	}
	t = traced_thread(next, true);
	if (t) {
		switch_in(next, t, now);
		if (timed)
			cost_add(COST_IN, begin);
	}
	return 0;
}

/*
 * A thread that sleeps in a futex is woken.  The current task did it if it stands in a futex call
 * itself: interrupts (time-outs) make bystanders current, and those seldom do.
 */
static __always_inline void woken_by(struct task_struct *task, struct thread *t, u64 now)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct walked walked = {.function = NO_FUNCTION};
	const struct py_layout *l;
	struct pt_regs *regs;
	struct thread *waker;

	if (current->flags & PF_KTHREAD)
		return;
	regs = (struct pt_regs *)bpf_task_pt_regs(current);
	if ((s32)regs->orig_ax != __NR_futex)
		return;
	t->waker_stack = 0;
	t->waker = NO_FUNCTION;
	t->waker_tid = current->pid;
	waker = bpf_task_storage_get(&threads, current, NULL, 0);
	if (!waker || !waker->runtime || !(waker->flags & PROCESS_TRACED) ||
	    waker->epoch != process_epoch)
		return;
	l = layout_of(waker->build);
	if (!l)
		return;
	if (t->off_class == WAIT_GIL) { /* its holder is known from its beginning */
		if (t->gil_wanted && waker->gil == t->gil)
			gil_let_go(waker, l, current->tgid, now);
		return;
	}
	if (current->tgid != task->tgid) /* slots are of one process */
		return;
	walk_or_hold(waker, l, HELD_WAKER, now, &walked);
	t->waker_stack = walked.stack;
	t->waker = walked.behalf;
}

/*
 * Who receives from a unix stream is also woken when its peer has received, which makes room to
 * send into: it finds nothing, and sleeps on in the same call.  Nobody is woken for that by an
 * interrupt, so the current task is who did it.
 */
static __always_inline bool woken_in_vain(void)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct pt_regs *regs;

	if (current->flags & PF_KTHREAD)
		return false;
	regs = (struct pt_regs *)bpf_task_pt_regs(current);
	return syscall_receives((s32)regs->orig_ax);
}

/* It is no longer to run: it sleeps, or its switch to another comes. */
static __always_inline bool is_going_to_sleep(struct task_struct *task)
{
	if (!TASK_INT(task, on_rq))
		return true;
	return bpf_core_field_exists(task->se.sched_delayed) && task->se.sched_delayed;
}

/* The wait is over, the run queue begins.  The current task is who ended it, or a bystander. */
SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *task)
{
	struct thread *t;
	u64 now;

	if (task->flags & PF_KTHREAD)
		return 0;
	t = bpf_task_storage_get(&threads, task, NULL, 0);
	if (!t || (t->off_ns && t->wake_ns))
		return 0;
	if (!t->off_ns && !is_going_to_sleep(task))
		return 0;
	now = bpf_ktime_get_ns();
	if (!t->off_ns) {
		t->early_vain = woken_in_vain();
		t->early_ns = now;
		return 0;
	}
	/* it may have gone off-CPU since we looked at the clock */
	t->wake_ns = now > t->off_begin ? now : t->off_begin;
	if (t->off_syscall == __NR_futex)
		woken_by(task, t, now);
	else if (t->off_unix)
		t->in_vain = woken_in_vain();
	cost_sample(COST_WAKE, now);
	return 0;
}

/*
 * The thread's listed state and what it is in, for a task that sleeps
 * elsewhere: done once for threads that slept before we came.
 */
static __always_inline void look_at_sleeper(struct task_struct *task, struct thread *t)
{
	const struct py_layout *l = t->runtime ? layout_of(t->build) : NULL;
	struct walked walked = {.function = NO_FUNCTION};

	if (!l)
		return;
	if (!t->tstate)
		thread_find_listed(task, t, l, thread_ident(task), task->tgid);
	if (!t->tstate)
		return;
	walk_sleeper(task, t, l, &walked);
	t->off_stack = walked.stack;
	t->off_function = walked.function;
}

static __always_inline void thread_seed(struct task_struct *task, struct thread *t, u64 now,
					bool look)
{
	bool on_cpu = TASK_INT(task, on_cpu);

	t->off_flags = WAIT_AT_ATTACH;
	if (on_cpu || BPF_CORE_READ(task, __state) == TASK_RUNNING) {
		t->in_ns = on_cpu ? now : 0;
		if (on_cpu)
			return;
		t->off_class = WAIT_RUNQ;
		t->off_syscall = SYSCALL_NONE;
		t->off_target = 0;
		t->wake_ns = now;
	} else {
		if (look)
			look_at_sleeper(task, t);
		wait_begins(look ? task : NULL, task, t, t->runtime ? layout_of(t->build) : NULL,
			    BPF_CORE_READ(task, __state));
	}
	t->off_begin = now;
	exchange(&t->off_ns, now);
}

/*
 * Run over all tasks at attach and at the end of each window: takes in threads
 * that already sleep, and tells the part of every stretch still going on.
 */
static __always_inline int visit(struct task_struct *task, bool look)
{
	struct thread *t;
	u64 now, since;
	bool known;

	if (!task || (task->flags & PF_KTHREAD))
		return 0;
	now = bpf_ktime_get_ns();
	t = bpf_task_storage_get(&threads, task, NULL, 0);
	known = t && t->flags & PROCESS_TRACED;
	if (known)
		gathered_tell(t);
	t = traced_thread(task, false);
	if (!t)
		return 0;
	if (!known) {
		t->off_function = t->waker = NO_FUNCTION;
		thread_seed(task, t, now, look);
		oncpu_tell(task, t, now);
		return 0;
	}
	gc_tell_open(task, now);
	since = t->in_ns;
	if (since && __sync_val_compare_and_swap(&t->in_ns, since, now) == since)
		__sync_fetch_and_add(&t->oncpu_ns, now - since);
	since = t->off_ns;
	/* its switch-in was missed, or it went after `now`: its next event tells */
	if (since && (TASK_INT(task, on_cpu) || since > now))
		return 0;
	if (since) {
		/* when the wait began, its child may not yet have become what it is */
		if (t->off_class == WAIT_CHILD)
			t->off_target = wait_target(task, t);
		if (__sync_val_compare_and_swap(&t->off_ns, since, now) == since)
			wait_tell(task, t, since, now, false);
	} else {
		oncpu_tell(task, t, now);
	}
	return 0;
}

SEC("iter.s/task")
int each_task(struct bpf_iter__task *ctx)
{
	return visit(ctx->task, true);
}

/*
 * For kernels (6.1) whose sleepable programs may not use all our maps: what threads that
 * slept before us are in is not known then.
 */
SEC("iter/task")
int each_task_unlooked(struct bpf_iter__task *ctx)
{
	return visit(ctx->task, false);
}
