// SPDX-License-Identifier: GPL-2.0
/* Processes and threads that begin, become something else, and end. */
#include "python.bpf.h"
#include "stack.bpf.h"
#include "wait.bpf.h"

/* `entry`: what is traced of the process, where that is to be told with its parent; else NULL. */
static __always_inline void task_tell(enum record_kind kind, u32 tgid, u32 tid,
				      const struct process_entry *entry, u32 parent, u64 oncpu_ns)
{
	struct record_task *record = task_record(kind, tgid, bpf_ktime_get_ns());

	if (!record) {
		lose(LOSS_RING_LIFECYCLE);
		return;
	}
	record->tid = tid;
	if (entry) {
		record->build = entry->build;
		record->flags = entry->flags;
		record->parent = parent;
	}
	record->oncpu_ns = oncpu_ns;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	bpf_ringbuf_submit(record,
			   kind == RECORD_THREAD_EXIT ? ring_wake_flag() : BPF_RB_FORCE_WAKEUP);
}

/* A forked child of a followed process is traced from its first instruction. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 from = parent->tgid, to = child->tgid;
	struct process_entry *p, copy;

	if (from == to) /* a thread */
		return 0;
	p = bpf_map_lookup_elem(&processes, &from);
	if (!p || !(p->flags & PROCESS_FOLLOW))
		return 0;
	copy = *p;
	copy.since = child->start_time;   /* it, too, began when it was traced */
	if (copy.window != WINDOW_ALWAYS) /* its own comes */
		copy.window = WINDOW_NEVER;
	if (bpf_map_update_elem(&processes, &to, &copy, BPF_ANY)) {
		lose(LOSS_PROCESSES_FULL);
		return 0;
	}
	task_tell(RECORD_FORK, to, to, &copy, from, 0);
	return 0;
}

/* End the calls of a thread that will not come back to them. */
static long abandon(u32 i, void *arg)
{
	struct thread **t = arg;

	if (!*t || !(*t)->depth)
		return 1;
	shadow_pop(*t, ENDED_UNSEEN, bpf_ktime_get_ns());
	return 0;
}

static __always_inline void thread_abandon(struct task_struct *task)
{
	struct thread *t = bpf_task_storage_get(&threads, task, NULL, 0);

	if (!t)
		return;
	if (t->watch_group)
		watched_abandon(task, t);
	bpf_loop(STACK_MAX * 2, abandon, &t, 0);
	stack_chunks_free(task, t);
}

/* For how long a thread ran that was not told yet; nothing is left to tell. */
static __always_inline u64 thread_ran(struct thread *t)
{
	u64 since = exchange(&t->in_ns, 0), ran = exchange(&t->oncpu_ns, 0);

	return since ? ran + bpf_ktime_get_ns() - since : ran;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	struct thread *t = bpf_task_storage_get(&threads, task, NULL, 0);
	u32 tgid = task->tgid;
	struct process_entry *p = bpf_map_lookup_elem(&processes, &tgid);
	u64 ran = 0;

	thread_abandon(task);
	if (t) {
		gathered_tell(t);
		ran = thread_ran(t);
	}
	bpf_task_storage_delete(&threads, task);
	if (p) {
		p->runtime = 0; /* set again by the first probe hit or by userspace */
		p->since = bpf_ktime_get_ns();
		p->watch_group = 0; /* an exec takes watchpoints away */
	}
	task_tell(RECORD_EXEC, tgid, task->pid, NULL, 0, ran);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct thread *t = bpf_task_storage_get(&threads, task, NULL, 0);
	u32 tgid = task->tgid;
	struct process_entry *p = bpf_map_lookup_elem(&processes, &tgid);
	/*
	 * Of threads that end together the last to be counted out may come here first: its process
	 * is gone for the others.
	 */
	bool traced = p ? p->flags & PROCESS_TRACED : t && t->flags & PROCESS_TRACED;
	u64 ran = 0;

	if (!t && p && traced && task->start_time >= p->since) {
		/* from begin to end at no switch for which a state could be made */
		task_tell(RECORD_THREAD_EXIT, tgid, task->pid, NULL, 0, task->se.sum_exec_runtime);
	} else if (t) {
		/*
		 * Others have a state too: where they hit a link meant for all of a build, or were
		 * traced until they became another program.
		 */
		if (traced) {
			switch_in_missed(task, t);
			gathered_tell(t);
		}
		thread_abandon(task);
		ran = thread_ran(t);
		t->flags = 0;
		t->epoch = process_epoch;
		if (traced)
			task_tell(RECORD_THREAD_EXIT, tgid, task->pid, NULL, 0, ran);
	}
	if (BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	if (!p)
		return 0;
	bpf_map_delete_elem(&processes, &tgid);
	task_tell(RECORD_EXIT, tgid, task->pid, NULL, 0, 0);
	return 0;
}
