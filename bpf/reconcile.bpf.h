/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Making the shadow stack agree with the interpreter's again, after frames went without an
 * exit or the thread changed to another stack.
 */
#ifndef PYTRACE_RECONCILE_BPF_H
#define PYTRACE_RECONCILE_BPF_H

#include "greenlet.bpf.h"
#include "python.bpf.h"
#include "stack.bpf.h"

struct searching {
	struct task_struct *task;
	struct thread *t;
	u64 frame;
	u32 at;
	u32 found; /* position + 1 */
};

struct unwinding {
	struct task_struct *task;
	struct thread *t;
	u64 now;
	u32 found;  /* so many stay */
	u32 raised; /* an exception took the frames above it away just now */
	u32 keep;   /* how many frames above it stay */
	u32 unseen; /* one went that was not seen to raise */
	u32 lost;   /* they go on elsewhere, and there was no room to keep them */
	u32 pad;
	u64 last; /* when the thread last was hit or came to the CPU */
};

static long shadow_search(u32 i, void *arg)
{
	struct searching *s = arg;
	struct shadow_frame *f;

	if (!s->t || !s->at)
		return 1;
	s->at--;
	f = shadow_at(s->task, s->t, s->at);
	if (f && f->frame == s->frame) {
		s->found = s->at + 1;
		return 1;
	}
	return 0;
}

/* Where a frame is on the shadow stack: its position + 1, or 0. */
__noinline u32 shadow_find(struct thread *t, u64 frame)
{
	struct searching s = {.frame = frame};

	if (!t)
		return 0;
	s.t = t;
	s.task = bpf_get_current_task_btf();
	s.at = t->depth < STACK_MAX ? t->depth : STACK_MAX;
	bpf_loop(STACK_MAX, shadow_search, &s, 0);
	return s.found;
}

struct climbing {
	struct thread *t;
	const struct py_layout *l;
	u64 frame;
	u32 found; /* position + 1 */
	u32 pad;
};

static long shadow_climb(u32 i, void *arg)
{
	struct climbing *c = arg;

	if (!c->t || !c->l || !c->frame)
		return 1;
	c->found = shadow_find(c->t, c->frame);
	if (c->found)
		return 1;
	c->frame = read_user_u64(NULL, c->frame + c->l->frame_previous);
	return 0;
}

/*
 * The same of the nearest that is on it: of the frame, the one below it, and so on.  Many may
 * not be: what is thrown into a chain of generators enters the innermost first, above all others.
 */
__noinline u32 shadow_find_nearest(struct thread *t, const struct py_layout *l, u64 frame)
{
	struct climbing c = {.frame = frame};

	if (!t || !l)
		return 0;
	c.t = t;
	c.l = l;
	bpf_loop(STACK_MAX, shadow_climb, &c, 0);
	return c.found;
}

/*
 * Every return and suspension is seen, so a frame that is gone without one was left by an
 * exception that C code swallowed (or an instruction raised again: that is not told).  It
 * ended after the last we know of the thread, and before this hit.
 */
static long unwinding_pop(u32 i, void *arg)
{
	struct unwinding *u = arg;
	struct shadow_frame *f;
	u64 end = u->now;

	if (u->t->depth <= u->found + u->keep || !u->t->depth)
		return 1;
	if (u->lost) {
		shadow_pop(u->t, ENDED_UNSEEN, u->last);
		return 0;
	}
	f = shadow_at(u->task, u->t, u->t->depth - 1);
	/* an exit accounts its entry's trap, too: here none does */
	if (f && f->segment != SEGMENT_BEFORE)
		u->t->probe_ns += u->t->trap_ns;
	if (f && !u->raised) {
		end = f->raised_ns > u->last ? f->raised_ns : u->last;
		/* what is resumed may raise again what it had caught before: that is not told */
		if (!f->raised_ns && f->segment == SEGMENT_FIRST)
			u->unseen = 1;
	}
	shadow_pop(u->t, ENDED_EXCEPTION, end);
	return 0;
}

/* Was the lowest call we know of made by this frame? */
static __always_inline bool shadow_rests_on(struct thread *t, u64 frame)
{
	return frame && t->depth && t->frames[0].previous == frame;
}

/* What became of the frames that stand above another on the shadow stack. */
enum above {
	ABOVE_ENDED,  /* without a seen exit */
	ABOVE_RAISED, /* by an exception, just now */
	ABOVE_LEAVES, /* but for the lowest: that one leaves now, seen */
};

/*
 * Make `frame` the top of the shadow stack by ending what stands above it.
 * If it is not on it, its nearest ancestor that is counts.  If none is, it is of another
 * greenlet, unless it was open before we looked: then all have ended.  0 if then the
 * frame meant (for ABOVE_LEAVES the one above it) is on top.
 */
__noinline int reconcile(struct thread *t, const struct py_layout *l, u64 frame, u64 now,
			 enum above above)
{
	struct unwinding u = {
		.now = now,
		.raised = above == ABOVE_RAISED,
		.keep = above == ABOVE_LEAVES,
	};
	struct shadow_frame *top;

	if (!t || !l)
		return 0;
	u.t = t;
	u.last = t->hit_ns > t->in_ns ? t->hit_ns : t->in_ns;
	if (u.last > now)
		u.last = now;
	u.task = bpf_get_current_task_btf();
	u.found = shadow_find_nearest(t, l, frame);
	if (!u.found && frame && !shadow_rests_on(t, frame)) {
		if (stack_switch(t, parked_near(l, frame), now))
			u.lost = 1;
		else
			u.found = shadow_find_nearest(t, l, frame);
		if (!u.lost && !u.found)
			return -1;
	}
	bpf_loop(STACK_MAX * 4, unwinding_pop, &u, 0);
	if (u.unseen)
		lose(LOSS_RECONCILE);
	if (!t->depth)
		return -1;
	top = shadow_at(u.task, t, t->depth - 1);
	return top && (top->frame == frame || above == ABOVE_LEAVES) ? 0 : -1;
}

/* Is `frame` what the shadow stack has on top (or is that empty)? */
static __always_inline bool shadow_top_is(struct task_struct *task, struct thread *t, u64 frame)
{
	struct shadow_frame *f;

	if (!t->depth)
		return true;
	f = shadow_at(task, t, t->depth - 1);
	return f && f->frame == frame;
}

/*
 * Is the top of the shadow stack `frame` or close below it?  Between two calls
 * we follow there may be frames we do not: entry frames of the C stack, and the
 * shim that runs a specialised constructor (3.13+: CALL_ALLOC_AND_ENTER_INIT).
 */
__noinline int shadow_top_near(struct thread *t, const struct py_layout *l, u64 frame)
{
	struct shadow_frame *f;

	if (!t || !l || !t->depth)
		return 1;
	f = shadow_at(bpf_get_current_task_btf(), t, t->depth - 1);
	if (!f)
		return 1; /* deeper than we keep */
	for (int i = 0; i < 4 && frame; i++) {
		if (frame == f->frame)
			return 1;
		frame = read_user_u64(NULL, frame + l->frame_previous);
	}
	return 0;
}

#endif
