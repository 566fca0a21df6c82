/* SPDX-License-Identifier: GPL-2.0 */
/* Garbage collections in progress, by thread, and telling of them. */
#ifndef PYTRACE_GC_BPF_H
#define PYTRACE_GC_BPF_H

#include "python.bpf.h"

/* The collection a thread is in.  Few threads ever collect: so not in `threads`. */
struct gc_pause {
	u64 start_ns; /* 0: it is in none */
	u32 function; /* slot of the function on top when it began, or NO_FUNCTION */
	s32 generation;
	u8 counts[GC_GENERATIONS + 1]; /* a watchpoint's: what they were then */
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct gc_pause);
} gc_pauses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_BUILDS);
	__type(key, u32);
	__type(value, struct gc_flag);
} gc_flags SEC(".maps");

/* Does the interpreter of a thread collect garbage?  False where that cannot be read. */
static __always_inline bool collecting_now(const struct thread *t, const struct py_layout *l)
{
	const struct gc_flag *where = bpf_map_lookup_elem(&gc_flags, &t->build);
	u32 flag = 0;
	u64 at;

	if (!where)
		return false;
	if (where->in_runtime != LAYOUT_ABSENT) {
		at = t->runtime + where->in_runtime;
	} else {
		at = read_user_u64(NULL, t->tstate + l->ts_interp);
		if (!at)
			return false;
		at += where->in_interp;
	}
	return !read_user(NULL, &flag, sizeof(flag), at) && flag == 1;
}

/* Tell userspace of a pause that is over or still going on. */
static __always_inline void gc_tell(struct task_struct *task, const struct gc_pause *pause, u64 now,
				    bool over)
{
	struct record_gc *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		lose(LOSS_RING_GC);
		return;
	}
	record->kind = RECORD_GC;
	record->tgid = task->tgid;
	record->tid = task->pid;
	record->function = pause->function;
	record->ns = now - pause->start_ns;
	record->generation = pause->generation;
	record->over = over;
	bpf_ringbuf_submit(record, ring_wake_flag());
}

/* At the end of a window: what goes on is told, and again when it is over. */
static __always_inline void gc_tell_open(struct task_struct *task, u64 now)
{
	struct gc_pause *pause = bpf_task_storage_get(&gc_pauses, task, NULL, 0);

	if (pause && pause->start_ns)
		gc_tell(task, pause, now, false);
}

#endif
