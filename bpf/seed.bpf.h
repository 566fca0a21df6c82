/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls that were open before we looked: at a thread's first entry its shadow stack is
 * filled with them, so that what they call has callers and their exits are known for
 * what they are.
 */
#ifndef PYTRACE_SEED_BPF_H
#define PYTRACE_SEED_BPF_H

#include "python.bpf.h"
#include "stack.bpf.h"

/* So many from the top: there is to be room for what they call.  When they have ended the next are.
 */
#define SEED_MAX (STACK_MAX / 2)

struct seeding {
	struct task_struct *task;
	struct thread *t;
	const struct py_layout *l;
	u64 frame;
	u64 now;
};

/* The next frame of Python code on the way down, its head in t->head; 1: there is none. */
static __always_inline long seed_next(struct seeding *s, u64 *found)
{
	u64 frame = s->frame;

	if (!frame || read_frame(NULL, s->l, s->t->head, frame))
		return 1;
	s->frame = frame_previous(s->l, s->t->head);
	*found = frame_is_entry(s->l, s->t->head) ? 0 : frame;
	return 0;
}

static long seed_count(u32 i, void *arg)
{
	struct seeding *s = arg;
	u64 found = 0;

	if (!s->t || !s->l || s->t->seeding >= SEED_MAX || seed_next(s, &found))
		return 1;
	s->t->seeding += found != 0;
	return 0;
}

static long seed_fill(u32 i, void *arg)
{
	struct seeding *s = arg;
	struct shadow_frame *f;
	u32 function;
	u64 found = 0, previous;

	if (!s->t || !s->l || !s->t->seeding || seed_next(s, &found))
		return 1;
	if (!found)
		return 0;
	previous = s->frame;
	s->t->seeding--;
	function = function_of_frame(s->t, s->l);
	f = shadow_make(s->task, s->t, s->t->seeding);
	if (f)
		shadow_fill(f, s->t, found, previous, function, SEGMENT_BEFORE, s->now);
	return 0;
}

/* `frame` made the first call we see of this thread: it and its callers are open. */
__noinline int stack_seed(struct thread *t, const struct py_layout *l, u64 frame, u64 now)
{
	struct seeding s = {.l = l, .frame = frame, .now = now};
	u32 count;

	if (!t || !l || !frame || t->depth)
		return 0;
	s.t = t;
	s.task = bpf_get_current_task_btf();
	t->seeding = 0;
	bpf_loop(STACK_MAX * 2, seed_count, &s, 0);
	count = t->seeding;
	s.frame = frame;
	bpf_loop(STACK_MAX * 2, seed_fill, &s, 0);
	if (!t->seeding)
		t->depth = count;
	return 0;
}

#endif
