/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls of watched functions in progress, and what their threads wait for meanwhile.  Kept by
 * frame: most of what the threads call is not seen, and a coroutine may go on in another thread.
 */
#ifndef PYTRACE_WATCHED_BPF_H
#define PYTRACE_WATCHED_BPF_H

#include "stack.bpf.h"
#include "watch_point.h"

struct watched_call {
	u64 start_ns;
	u64 probe_at;  /* the thread's probe_ns then */
	u64 raised_ns; /* an exception passed that may be handled inside; 0: none did */
	u64 below;     /* frame of the watched call of this thread it is in, 0: none */
	u64 task;      /* the thread it began in */
	u32 function;  /* slot */
	u32 flags;     /* enum watch_flags */
	struct cause cause;
	u64 wait_ns[WAIT_CLASSES]; /* what the thread had waited when it began */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_WATCHED_CALLS);
	__type(key, struct frame_key);
	__type(value, struct watched_call);
} watched_calls SEC(".maps");

/* Of a thread that has run a watched function. */
struct watching {
	u64 top;   /* frame of the watched call that it entered last and that goes on; 0: none */
	u64 ended; /* frame of the one that ended last */
	u64 task;  /* it */
	u32 tgid;
	u32 pad;
	u64 wait_ns[WAIT_CLASSES]; /* since it did so first */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct watching);
} watchings SEC(".maps");

static __always_inline struct watched_call *watched_call_of(u64 frame, u32 tgid)
{
	struct frame_key key = {.frame = frame, .tgid = tgid};

	return frame ? bpf_map_lookup_elem(&watched_calls, &key) : NULL;
}

/*
 * The call it entered last and that goes on; NULL: there is none.  Up to 3.10 a frame that ended by
 * an exception may be another thread's by now.
 */
static __always_inline struct watched_call *watched_top(struct watching *w)
{
	struct watched_call *call = watched_call_of(w->top, w->tgid);

	if (call && call->task == w->task)
		return call;
	w->top = 0;
	return NULL;
}

static __always_inline void watched_forget(struct watching *w, const struct watched_call *call,
					   const struct frame_key *key)
{
	if (w->top == key->frame)
		w->top = call->below;
	bpf_map_delete_elem(&watched_calls, key);
}

/* Calibrated: what a watchpoint's hit costs. */
volatile __u32 watch_trap_ns SEC(".data") = 0;

/*
 * A watched call is over.  `own`: it ends in the thread that `w` is of and in which it began, of
 * whose waits it has those since then; of a coroutine's, which others' may be among, none is told.
 */
__noinline int watched_over(struct thread *t, struct watching *w, u64 frame, u64 now, u32 raised)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct frame_key key = {.tgid = task->tgid};
	struct watched_call *call, *below;
	struct function_stats *stats;
	u32 function;
	s64 wall, waits = 0;
	u64 probes, ns, mask;
	bool own;

	if (!t || !w)
		return 0;
	key.frame = frame;
	call = bpf_map_lookup_elem(&watched_calls, &key);
	if (!call)
		return 0;
	own = call->task == (u64)task && !(call->flags & WATCH_GENERATOR);
	probes = own ? t->probe_ns - call->probe_at : watch_trap_ns;
	mask = -(u64)own;
	for (u32 c = 0; c < WAIT_CLASSES; c++) {
		barrier_var(mask); /* no branch: eleven would be 2048 paths to verify */
		ns = (w->wait_ns[c] - call->wait_ns[c]) & mask;
		call->wait_ns[c] = ns;
		waits += ns;
	}
	wall = now - call->start_ns - probes;
	if (wall < waits)
		wall = waits;
	function = call->function;
	stats = stats_of_slot(function);
	if (stats) {
		__sync_fetch_and_add(&stats->probe_ns, probes);
		call_account(stats, function, wall, raised, (u32)mask & ((1 << WAIT_CLASSES) - 1),
			     call->wait_ns, &call->cause);
	}
	below = own ? watched_call_of(call->below, key.tgid) : NULL;
	if (below)
		causes_merge(&below->cause, &call->cause);
	w->ended = frame;
	watched_forget(w, call, &key);
	return 0;
}

/* It is gone, and none of the ends that are watched was seen. */
__noinline int watched_lost(struct watching *w, u64 frame)
{
	struct frame_key key = {.tgid = bpf_get_current_task_btf()->tgid};
	struct function_stats *stats;
	struct watched_call *call;

	if (!w)
		return 0;
	key.frame = frame;
	call = bpf_map_lookup_elem(&watched_calls, &key);
	if (!call)
		return 0;
	stats = stats_of_slot(call->function);
	if (stats)
		__sync_fetch_and_add(&stats->ended_unseen, 1);
	lose(LOSS_EXIT_UNSEEN);
	watched_forget(w, call, &key);
	return 0;
}

#define ABANDONED_AT_ONCE 512

struct abandoning {
	struct thread *t;
	struct watching *w;
};

/* The thread ends, or becomes another program: so do the watched calls that it is in. */
static long abandon_watched(u32 i, void *arg)
{
	struct abandoning *a = arg;
	struct watched_call *call;
	u64 frame;

	if (!a->t || !a->w || !a->w->top)
		return 1;
	frame = a->w->top;
	call = watched_top(a->w);
	if (!call)
		return 1;
	if (call->raised_ns) /* most likely it was that which ended it */
		watched_over(a->t, a->w, frame, call->raised_ns, true);
	else
		watched_lost(a->w, frame);
	return 0;
}

static __always_inline void watched_abandon(struct task_struct *task, struct thread *t)
{
	struct abandoning a = {.t = t};

	a.w = bpf_task_storage_get(&watchings, task, NULL, 0);
	if (a.w)
		bpf_loop(ABANDONED_AT_ONCE, abandon_watched, &a, 0);
}

#endif
