// SPDX-License-Identifier: GPL-2.0
/* Samples: what the Python thread on a CPU is doing when a timer goes off, or it faults. */
#include "gc.bpf.h"
#include "gil_holder.bpf.h"
#include "walk.bpf.h"

static __always_inline u32 sample_flags(struct thread *t, const struct py_layout *l, s32 syscall)
{
	u32 flags = syscall >= 0 ? SAMPLE_IN_KERNEL : 0;

	if (collecting_now(t, l))
		flags |= SAMPLE_COLLECTING;
	if (has_gil(t, l, WALKER_SAMPLE))
		flags |= SAMPLE_HAS_GIL;
	return flags;
}

/* Is its process traced?  (A thread that never leaves its CPU is not told of changes.) */
static __always_inline bool sampled_is_traced(const struct thread *t, u32 tgid)
{
	struct process_entry *p;

	if (t->epoch == process_epoch)
		return t->flags & PROCESS_TRACED;
	p = bpf_map_lookup_elem(&processes, &tgid);
	return p && p->flags & PROCESS_TRACED;
}

/* Tell where the current thread is, if it is one of a traced process. */
static __always_inline int sample(enum walker walker)
{
	u64 begin = bpf_ktime_get_ns();
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t = bpf_task_storage_get(&threads, task, NULL, 0);
	struct walked walked = {.function = NO_FUNCTION};
	struct record_sample *record;
	const struct py_layout *l;
	struct pt_regs *regs;

	if (!t || !sampled_is_traced(t, task->tgid))
		return 0;
	l = t->runtime ? layout_of(t->build) : NULL;
	if (l)
		walk_here(t, l, walker, begin, &walked);
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		lose(LOSS_RING_SAMPLE);
		return 0;
	}
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	record->kind = RECORD_SAMPLE;
	record->tgid = task->tgid;
	record->tid = task->pid;
	record->function = walked.function;
	record->stack = walked.stack;
	record->ip = regs->ip;
	record->syscall = (s32)regs->orig_ax;
	if (walker == WALKER_FAULT)
		record->flags = SAMPLE_FAULT;
	else
		record->flags = l && t->tstate ? sample_flags(t, l, record->syscall) : 0;
	bpf_ringbuf_submit(record, ring_wake_flag());
	cost_add(COST_SAMPLE, begin);
	return 0;
}

SEC("perf_event")
int on_sample(void *ctx)
{
	return sample(WALKER_SAMPLE);
}

/* One in FAULTS_PER_SAMPLE page faults of this CPU. */
SEC("perf_event")
int on_fault(void *ctx)
{
	return sample(WALKER_FAULT);
}
