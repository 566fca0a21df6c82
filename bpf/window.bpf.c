// SPDX-License-Identifier: GPL-2.0
/* The end of a process's probe window: calls that are open then are told as censored. */
#include "stack.bpf.h"

struct ending_window {
	struct task_struct *task;
	struct thread *t;
	u64 end_ns;
};

static long censor(u32 i, void *arg)
{
	struct ending_window *ending = arg;
	struct thread *t = ending->t;
	struct record_censored *record;
	struct shadow_frame *f;
	struct generator *g;
	s64 ns;

	if (!t || !ending->task || i >= t->depth)
		return 1;
	f = shadow_at(ending->task, t, i);
	if (!f)
		return 1;
	if (f->segment == SEGMENT_BEFORE)
		return 0;
	ns = ending->end_ns - f->start_ns - (t->probe_ns - f->probe_at);
	if (f->segment == SEGMENT_RESUMED) {
		struct frame_key key = {.frame = f->frame, .tgid = ending->task->tgid};

		g = bpf_map_lookup_elem(&generators, &key);
		if (!g)
			return 0; /* it began before this window */
		ns += g->wall_ns;
		bpf_map_delete_elem(&generators, &key);
	}
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		lose(LOSS_RING_CENSORED);
		return 0;
	}
	record->kind = RECORD_CENSORED;
	record->tgid = ending->task->tgid;
	record->function = f->function;
	record->pad = 0;
	record->ns = ns > 0 ? ns : 0;
	bpf_ringbuf_submit(record, ring_wake_flag());
	return 0;
}

static __always_inline int end_in_thread(struct task_struct *task)
{
	struct ending_window ending = {.task = task};
	u32 slot = ending_slot;
	struct probe_window *window = bpf_map_lookup_elem(&windows, &slot);
	struct thread *t;

	if (!task || !window)
		return 0;
	t = bpf_task_storage_get(&threads, task, NULL, 0);
	if (!t || t->window_slot != slot || t->window != window->number || !t->depth)
		return 0;
	ending.t = t;
	ending.end_ns = window->end_ns;
	bpf_loop(STACK_MAX, censor, &ending, 0);
	t->depth = 0;
	return 0;
}

/* Run over the threads of a process some time after its window's end: no hit is counted any more.
 */
SEC("iter/task")
int end_window(struct bpf_iter__task *ctx)
{
	return end_in_thread(ctx->task);
}
