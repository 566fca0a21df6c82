/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Greenlets: one thread that changes from one stack of calls to another and back.  The
 * stack that is left is parked under its topmost frame, which is the one that runs on
 * when it is switched to again.
 */
#ifndef PYTRACE_GREENLET_BPF_H
#define PYTRACE_GREENLET_BPF_H

#include "python.bpf.h"
#include "stack.bpf.h"

struct parked_stack {
	u64 since;
	u64 probe_at; /* the thread's probe_ns then */
	u32 depth;
	u32 pad;
	struct shadow_frame frames[PARKED_FRAMES];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_PARKED);
	__type(key, struct frame_key);
	__type(value, struct parked_stack);
} parked SEC(".maps");

/*
 * By the frame below the topmost: at an exit site where the interpreter has already gone
 * down to that one, it is all there is to see.  Where the topmost has raised it may be gone, and
 * the thread goes on in the one below, so the next below that is here as well, and so on.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_PARKED);
	__type(key, struct frame_key);
	__type(value, u64); /* the topmost frame */
} parked_below SEC(".maps");

/*
 * Who began a stack of calls at this frame last.  Where a greenlet's memory was given back it may
 * be another thread's before the one it ended in calls or returns again.
 */
struct stack_begun {
	u64 ns;
	u64 task;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_BEGUN);
	__type(key, struct frame_key);
	__type(value, struct stack_begun);
} begun SEC(".maps");

/* What a new entry is made from: it is too large for the program's own stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct parked_stack);
} parked_blank SEC(".maps");

#define PARKED_RAISED                                                                              \
	4 /* frames from the topmost down that are looked at, while they have raised */

/* Put the parked stack's topmost frame under those below it, or (`top` 0) take it away. */
__noinline int parked_put_below(struct thread *t, u64 top)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct frame_key key = {.tgid = task->tgid};
	u64 frame = top; /* 6.1 wants map keys and values on the stack */

	if (!t)
		return 0;
	for (u32 i = 0; i < PARKED_RAISED && i < t->depth; i++) {
		struct shadow_frame *f = shadow_at(task, t, t->depth - 1 - i);

		if (!f || !f->previous)
			break;
		key.frame = f->previous;
		if (top)
			bpf_map_update_elem(&parked_below, &key, &frame, BPF_ANY);
		else
			bpf_map_delete_elem(&parked_below, &key);
		if (!f->raised_ns)
			break;
	}
	return 0;
}

struct moving {
	struct task_struct *task;
	struct thread *t;
	struct parked_stack *stack;
	u64 probes; /* what our probes took of the thread while the stack was away */
	u64 since;
	u32 count;
};

static long park_frame(u32 i, void *arg)
{
	struct moving *m = arg;
	const struct shadow_frame *from;

	barrier_var(i);
	if (i >= m->count || i >= PARKED_FRAMES)
		return 1;
	from = shadow_at(m->task, m->t, i);
	if (!from)
		return 1;
	m->stack->frames[i] = *from;
	return 0;
}

static long unpark_frame(u32 i, void *arg)
{
	struct moving *m = arg;
	struct shadow_frame *to;

	barrier_var(i);
	if (i >= m->count || i >= PARKED_FRAMES)
		return 1;
	to = shadow_at(m->task, m->t, i);
	if (!to)
		return 1;
	*to = m->stack->frames[i];
	to->probe_at += m->probes; /* not inside these calls */
	return 0;
}

/* 0 if the calls in progress were parked or there are none. */
static __always_inline int stack_park(struct task_struct *task, struct thread *t, u64 now)
{
	struct frame_key key = {.tgid = task->tgid};
	struct moving m = {.task = task, .t = t, .count = t->depth};
	struct shadow_frame *top;
	void *blank;
	u32 zero = 0;

	if (!t->depth)
		return 0;
	top = shadow_at(task, t, t->depth - 1);
	blank = bpf_map_lookup_elem(&parked_blank, &zero);
	if (!top || !blank || t->depth > PARKED_FRAMES)
		return -1;
	key.frame = top->frame;
	if (bpf_map_update_elem(&parked, &key, blank, BPF_ANY))
		return -1;
	m.stack = bpf_map_lookup_elem(&parked, &key);
	if (!m.stack)
		return -1;
	parked_put_below(t, key.frame);
	m.stack->since = now;
	m.stack->probe_at = t->probe_ns;
	m.stack->depth = t->depth;
	bpf_loop(PARKED_FRAMES, park_frame, &m, 0);
	t->depth = 0;
	return 0;
}

/* Is a stack parked whose topmost frame is this one? */
static __always_inline bool stack_is_parked(u32 tgid, u64 frame)
{
	struct frame_key key = {.frame = frame, .tgid = tgid};

	return frame && bpf_map_lookup_elem(&parked, &key);
}

/* The parked stack that parked_put_below() has put under this frame, and its topmost; or NULL. */
static __always_inline struct parked_stack *parked_below_which(u32 tgid, u64 frame, u64 *top)
{
	struct frame_key key = {.frame = frame, .tgid = tgid};
	u64 *found = frame ? bpf_map_lookup_elem(&parked_below, &key) : NULL;

	if (!found)
		return NULL;
	key.frame = *top = *found;
	return bpf_map_lookup_elem(&parked, &key);
}

/*
 * The parked stack in which this frame is not topmost, but all above it may be gone: they have
 * raised, but for the one right above it.  Its topmost frame, or 0.
 */
__noinline u64 parked_over(u32 tgid, u64 frame)
{
	u64 top = 0;
	struct parked_stack *stack = parked_below_which(tgid, frame, &top);
	u32 at, below;

	if (!stack)
		return 0;
	at = stack->depth - 1;
	for (int i = 0; i < PARKED_RAISED; i++) {
		below = at - 1;
		barrier_var(at); /* or 6.1 takes the checks for ones of something else */
		barrier_var(below);
		if (at >= PARKED_FRAMES || below >= PARKED_FRAMES)
			return 0;
		if (stack->frames[below].frame == frame)
			return top;
		if (!stack->frames[at].raised_ns)
			return 0;
		at = below;
	}
	return 0;
}

/*
 * The parked stack that goes on with a call made by `frame`: that frame is on top of it (but for
 * those that are gone), or one a little below it is.  Its topmost frame, or 0.
 */
__noinline u64 parked_near(const struct py_layout *l, u64 frame)
{
	u32 tgid = bpf_get_current_task_btf()->tgid;
	u64 top;

	if (!l)
		return 0;
	for (int i = 0; i < 4 && frame; i++) {
		if (stack_is_parked(tgid, frame))
			return frame;
		top = parked_over(tgid, frame);
		if (top)
			return top;
		frame = read_user_u64(NULL, frame + l->frame_previous);
	}
	return 0;
}

/*
 * The parked stack whose topmost call leaves: by its frame if a register holds that, by
 * the current frame where that is it still, by the one below where it is not.  Its topmost
 * frame, or 0.
 */
static __always_inline u64 parked_leaving(u32 tgid, u64 own, u64 current, bool early)
{
	struct parked_stack *stack;
	u64 top = 0;
	u32 at;

	if (stack_is_parked(tgid, own))
		return own;
	if (early)
		return stack_is_parked(tgid, current) ? current : 0;
	stack = parked_below_which(tgid, current, &top);
	if (!stack)
		return 0;
	at = stack->depth - 1;
	barrier_var(at);
	return at < PARKED_FRAMES && stack->frames[at].previous == current ? top : 0;
}

/*
 * From 3.11 on frames lie in chunks, and greenlet gives each greenlet chunks of its own.  The
 * first chunk begins with a head of so many bytes; its lowest frame goes when it goes.
 */
#define CHUNK_FIRST_FRAME 32
#define PAGE_BYTES 4096

__noinline int note_begin(u64 frame, u64 now)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct frame_key key = {.frame = frame, .tgid = task->tgid};
	struct stack_begun by = {.ns = now, .task = (u64)task};

	bpf_map_update_elem(&begun, &key, &by, BPF_ANY);
	return 0;
}

/* Has another thread begun a stack there since? */
__noinline int is_begun_by_another(u64 frame, u64 since)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct frame_key key = {.frame = frame, .tgid = task->tgid};
	struct stack_begun *by = bpf_map_lookup_elem(&begun, &key);

	return by && by->task != (u64)task && by->ns > since;
}

/*
 * Has an exception left the lowest call in progress too?  Where that is a greenlet's, nothing
 * tells: the exception goes on elsewhere, or dies in C.  But the frame's memory is given back then,
 * and may be another's by now.
 */
static __always_inline bool stack_is_gone(const struct thread *t)
{
	const struct shadow_frame *lowest = &t->frames[0];
	u64 word;

	return t->depth && lowest->raised_ns &&
	       (lowest->frame & (PAGE_BYTES - 1)) == CHUNK_FIRST_FRAME &&
	       (bpf_probe_read_user(&word, sizeof(word), (void *)lowest->frame) ||
		is_begun_by_another(lowest->frame, lowest->start_ns));
}

static long end_gone(u32 i, void *arg)
{
	struct moving *m = arg;
	struct shadow_frame *f;

	if (!m->t || !m->t->depth)
		return 1;
	f = shadow_at(m->task, m->t, m->t->depth - 1);
	shadow_pop(m->t, ENDED_EXCEPTION, f && f->raised_ns ? f->raised_ns : m->since);
	return 0;
}

/*
 * All calls in progress have ended, by an exception: where it is not known when it passed one,
 * that was at `since`.
 */
__noinline int stack_end(struct thread *t, u64 since)
{
	struct moving m = {.since = since};

	if (!t)
		return 0;
	m.task = bpf_get_current_task_btf();
	m.t = t;
	bpf_loop(STACK_MAX * 2, end_gone, &m, 0);
	return 0;
}

/*
 * Park the calls in progress, and go on with those parked under `frame`, if there are any:
 * the time they were away counts as a wait; `gone`: they have ended.  When these were parked, 0:
 * there are none; or -1 if the calls left could not be kept: then nothing was done.
 */
__noinline s64 stack_change(struct thread *t, u64 frame, u64 now, u32 gone)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct frame_key key = {.frame = frame, .tgid = task->tgid};
	struct moving m = {.task = task, .t = t};

	if (!t)
		return -1;
	if (stack_park(task, t, now)) {
		lose(LOSS_PARKED);
		return -1;
	}
	m.stack = bpf_map_lookup_elem(&parked, &key);
	if (!m.stack)
		return 0;
	m.count = m.stack->depth;
	m.probes = t->probe_ns - m.stack->probe_at;
	bpf_loop(PARKED_FRAMES, unpark_frame, &m, 0);
	t->depth = m.count;
	m.since = m.stack->since;
	bpf_map_delete_elem(&parked, &key);
	parked_put_below(t, 0);
	if (!gone)
		shadow_wait(task, t, WAIT_OTHER, 0, now - m.since);
	return m.since;
}

/* What ends calls is not called by what moves them: together they are too deep for 6.1's stack. */
static __always_inline s64 stack_leave(struct thread *t, u64 frame, u64 now, u32 gone)
{
	if (stack_is_gone(t))
		stack_end(t, t->hit_ns);
	return stack_change(t, frame, now, gone);
}

/*
 * The thread has changed to the stack of calls that has `frame` on top, 0: to a new one.  0, or
 * -1 if the calls left could not be kept: then nothing was done.
 */
static __always_inline int stack_switch(struct thread *t, u64 frame, u64 now)
{
	return stack_leave(t, frame, now, 0) < 0 ? -1 : 0;
}

/*
 * The thread has changed to a new stack, whose lowest frame this is.  If one is parked there
 * it is gone: an exception had left all of it before it was parked.
 */
static __always_inline void stack_begin(struct thread *t, u64 frame, u64 now)
{
	s64 since = stack_leave(t, frame, now, 1);

	if (since > 0)
		stack_end(t, since);
}

/*
 * Is this the lowest frame of a stack?  Up to 3.10 it has no other below it.  From 3.11 on it is
 * the first of the first chunk: only that has none before it, and begins with an unused word after
 * its head {previous, size, top} (Python/pystate.c, push_chunk).  The frame's `previous` tells
 * nothing: from 3.12 on it leads to whoever started the greenlet.
 */
static __always_inline bool frame_begins_stack(const struct py_layout *l, u64 frame, u64 previous)
{
	u64 head[2] = {};

	if (l->lasti_unit)
		return !previous;
	if ((frame & (PAGE_BYTES - 1)) != CHUNK_FIRST_FRAME)
		return false;
	if (read_user(NULL, head, sizeof(head), frame - CHUNK_FIRST_FRAME))
		return false;
	return !head[0] && head[1] && !(head[1] & (PAGE_BYTES - 1)) && head[1] < 1ull << 32;
}

/* No call is in progress: has the thread gone back to a stack that `frame` belongs to? */
static __always_inline void stack_resume(struct thread *t, const struct py_layout *l, u64 frame,
					 u64 now)
{
	u64 top = parked_near(l, frame);

	if (top)
		stack_switch(t, top, now);
}

#endif
