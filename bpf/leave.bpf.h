/* SPDX-License-Identifier: GPL-2.0 */
/* A call returns, suspends, or is passed by an exception. */
#ifndef PYTRACE_LEAVE_BPF_H
#define PYTRACE_LEAVE_BPF_H

#include "hit.bpf.h"
#include "reconcile.bpf.h"
#include "seed.bpf.h"

/*
 * A call leaves that is not on top of the shadow stack, or none is there: it may be one of
 * another greenlet, one that began before we looked, or one we do not follow.
 */
static __always_inline int leave_unexpected(struct hit *hit, enum ending how, u64 frame, bool early)
{
	struct thread *t = hit->t;
	u64 parked = parked_leaving(hit->tgid, site_frame(hit->ctx, hit->site), frame, early);

	if (parked) {
		if (!stack_switch(t, parked, hit->now))
			shadow_pop(t, how, hit->now);
		return 0;
	}
	if (!t->depth)
		stack_resume(t, hit->l, frame, hit->now);
	if (!t->depth) {
		lose(LOSS_BEGAN_BEFORE);
		return 0;
	}
	if (shadow_top_near(t, hit->l, frame)) { /* a shim's, which had no entry either */
		t->probe_ns -= hit->cost->inner_ns;
		return 0;
	}
	if (reconcile(t, hit->l, frame, hit->now, early ? ABOVE_ENDED : ABOVE_LEAVES)) {
		lose(LOSS_UNMATCHED_EXIT);
		return 0;
	}
	if (early)
		site_learn(hit->ctx, hit->site, frame);
	shadow_pop(t, how, hit->now);
	return 0;
}

/* f_state in 3.10: Include/cpython/frameobject.h */
#define FRAME_SUSPENDED -1
#define FRAME_EXECUTING 0
#define FRAME_RETURNED 1
#define FRAME_UNWINDING 2

/* The instruction a frame of 3.8 or 3.9 stands at, whose head this is; 0 if it cannot be read. */
static __always_inline u8 op_at_lasti(const struct py_layout *l, const u8 *head)
{
	s32 lasti = (s32)head_u32(head, l->frame_instr);
	u64 code = frame_code(l, head), bytes;
	u8 op = 0;

	if (lasti < 0)
		return 0;
	bytes = read_user_u64(NULL, code + l->code_units);
	read_user(NULL, &op, sizeof(op), bytes + l->bytes_data + (u64)lasti * l->lasti_unit);
	return op;
}

/* The same up to 3.10, where frames tell more of themselves. */
__noinline int frame_leaves_by_state(struct thread *t, const struct py_layout *l, u64 frame)
{
	__s8 state = FRAME_EXECUTING;

	if (!t || !l)
		return -1;
	if (l->frame_state != LAYOUT_ABSENT) {
		if (read_user(NULL, &state, sizeof(state), frame + l->frame_state))
			return -1;
		return state != FRAME_EXECUTING && state != FRAME_UNWINDING;
	}
	/* f_stacktop is NULL but in a suspended frame (3.9: Python/ceval.c, YIELD_VALUE) */
	if (read_user_u64(NULL, frame + l->frame_stacktop))
		return 1;
	if (read_frame(NULL, l, t->head, frame))
		return -1;
	return op_at_lasti(l, t->head) == l->op_return_value;
}

/* Does this frame stand at an instruction that returns or suspends?  -1: it cannot be read. */
__noinline int frame_leaves(struct thread *t, const struct py_layout *l, u64 frame)
{
	u8 units[4] = {};

	if (!t || !l || !frame)
		return 0;
	if (l->lasti_unit)
		return frame_leaves_by_state(t, l, frame);
	if (read_frame(NULL, l, t->head, frame) ||
	    read_user(NULL, units, sizeof(units), head_u64(t->head, l->frame_instr) - 2))
		return -1;
	/* from 3.13 on YIELD_VALUE has moved on to the next unit first */
	for (int i = 0; i < 4; i += 2)
		if (l->leaving_ops[units[i] >> 3] >> (units[i] & 7) & 1)
			return 1;
	return 0;
}

/*
 * The frame that leaves, at a site where no register is known (yet) to hold it: the
 * current one at an early site, else the one above.  What the site is, plain hits tell:
 * not those after an exception, which C code may have swallowed so that the top is gone;
 * not a shim's, which looks like an early exit of its caller, but that does not stand at its
 * end; and not one after an exit that was lost, which looks like a late exit of the lost call, but
 * the caller does.
 */
__noinline int leaves_early(struct thread *t, const struct py_layout *l, struct site_votes *site,
			    u64 frame, u32 yields)
{
	struct shadow_frame *f;
	bool plain, own;
	int leaves;

	if (!t || !l)
		return 0;
	f = t->depth ? shadow_at(bpf_get_current_task_btf(), t, t->depth - 1) : NULL;
	plain = f && !f->raised_ns;
	own = f && frame == f->frame;
	if (own && yields) /* shims never suspend */
		return site_is_early(site, true, false, true);
	leaves = frame_leaves(t, l, frame);
	return site_is_early(site, own && plain && leaves > 0,
			     plain && frame == f->previous && !leaves,
			     leaves > 0 || (own && (plain || l->lasti_unit)));
}

/*
 * It is deeper than we keep, and was counted at its entry.  While userspace changes from one
 * set of links to another a hit comes twice, and must not count for the next one down.
 */
__noinline int leave_deep(struct thread *t, const struct py_layout *l, u64 frame)
{
	if (!t || !l)
		return 0;
	frame = frame ?: current_frame(NULL, l, t->tstate);
	if (t->deep_state == DEEP_LEFT && t->deep_frame == frame)
		return 0;
	t->depth--;
	t->deep_frame = frame;
	t->deep_state = DEEP_LEFT;
	return 0;
}

/* The topmost call leaves, unless a register and the thread state say that it is another one. */
static __always_inline int leave(struct hit *hit, enum ending how)
{
	u64 frame = site_frame(hit->ctx, hit->site), current;
	struct thread *t = hit->t;
	struct shadow_frame *f = NULL;
	bool early;

	if (t->depth) {
		f = shadow_top(hit->task, t, frame);
		if (!f) {
			leave_deep(t, hit->l, frame);
			return 0;
		}
		if (frame == f->frame) {
			shadow_pop(t, how, hit->now);
			return 0;
		}
	}
	current = current_frame(NULL, hit->l, t->tstate);
	early = leaves_early(t, hit->l, hit->site, current, hit->kind == SITE_YIELD);
	if (f && current == (early ? f->frame : f->previous) &&
	    !stack_is_parked(hit->tgid, frame)) {
		site_learn(hit->ctx, hit->site, f->frame);
		shadow_pop(t, how, hit->now);
		return 0;
	}
	if (frame)
		early = true;
	return leave_unexpected(hit, how, frame ?: current, early);
}

static __always_inline enum ending ending_by_state(u64 frame_state)
{
	__s8 state = 0;

	read_user(NULL, &state, sizeof(state), frame_state);
	return state == FRAME_SUSPENDED  ? ENDED_YIELD
	       : state == FRAME_RETURNED ? ENDED_RETURN
					 : ENDED_EXCEPTION;
}

/* How the call of `frame` ends (0: the site's register does not tell yet which), up to 3.10. */
__noinline int ending_at_leave(struct thread *t, const struct py_layout *l, struct site_votes *site,
			       u64 frame)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct shadow_frame *f;
	u64 current;
	bool early;

	if (!t || !l)
		return ENDED_RETURN;
	f = t->depth ? shadow_at(task, t, t->depth - 1) : NULL;
	if (!frame || (f && f->frame != frame)) {
		early = site_is_early(site, false, false, false);
		current = current_frame(NULL, l, t->tstate);
		if (f && (f->frame == current || (f->previous == current && !early)) &&
		    !stack_is_parked(task->tgid, frame))
			frame = f->frame; /* taken off already, and still there */
		else if (!frame)
			frame = parked_leaving(task->tgid, 0, current, early) ?: current;
	}
	if (l->frame_state != LAYOUT_ABSENT)
		return ending_by_state(frame + l->frame_state);
	/* f_stacktop is NULL but in a suspended frame (3.9: Python/ceval.c, YIELD_VALUE) */
	if (read_user_u64(NULL, frame + l->frame_stacktop))
		return ENDED_YIELD;
	/* what a generator raises again after a suspension is not seen to raise */
	if (f && f->frame == frame && !f->raised_ns && f->segment == SEGMENT_FIRST)
		return ENDED_RETURN;
	if (read_frame(NULL, l, t->head, frame))
		return ENDED_RETURN;
	return op_at_lasti(l, t->head) == l->op_return_value ? ENDED_RETURN : ENDED_EXCEPTION;
}

/*
 * The frame that runs now, if it is not the one expected to.  The thread state we know may be of
 * an interpreter the thread has left since its last entry, or that is gone: all of its own are
 * tried.
 */
__noinline u64 frame_by_any_state(struct thread *t, const struct py_layout *l, u64 expected)
{
	u64 known;

	if (!t || !l)
		return 0;
	known = t->tstate;
	for (u32 i = 0; i < MAX_OWN_STATES && !thread_find_nth(t, l, i); i++)
		if (current_frame(NULL, l, t->tstate) == expected)
			return expected;
	t->tstate = known;
	return current_frame(NULL, l, known);
}

/* Is there more than one interpreter in the process? */
static __always_inline bool has_interpreters(const struct thread *t, const struct py_layout *l)
{
	u64 first = read_user_u64(NULL, t->runtime + l->runtime_interpreters_head);

	return first && read_user_u64(NULL, first + l->interp_next);
}

/* Deeper than we keep: each hit in another frame than the last is one less. */
static __always_inline void unwind_deep(struct thread *t, u64 frame)
{
	if (t->deep_state != DEEP_LEFT && t->deep_frame && t->deep_frame != frame)
		t->depth--;
	t->deep_frame = frame;
	t->deep_state = DEEP_RAISED;
}

/* An exception was raised in the current frame or arrived in it (PyTraceBack_Here). */
static __always_inline void unwind(struct hit *hit)
{
	u64 frame = current_frame(NULL, hit->l, hit->t->tstate);
	struct thread *t = hit->t;
	struct shadow_frame *f;

	t->trap_ns = hit->cost->trap_ns;
	if (!t->depth)
		stack_resume(t, hit->l, frame, hit->now);
	if (t->depth) {
		f = shadow_top(hit->task, t, frame);
		if (!f) {
			unwind_deep(t, frame);
			return;
		}
		if (f->frame != frame && (!frame || has_interpreters(t, hit->l)))
			frame = frame_by_any_state(t, hit->l, f->frame);
		if (!frame)
			return;
		if (f->frame != frame)
			reconcile(t, hit->l, frame, hit->now, ABOVE_RAISED);
	}
	if (!t->depth)
		stack_resume(t, hit->l, frame, hit->now);
	if (!t->depth) /* more calls were open before we looked than are followed at once */
		stack_seed(t, hit->l, frame, hit->now);
	if (!t->depth)
		return;
	f = shadow_at(hit->task, t, t->depth - 1);
	if (f && f->frame == frame)
		f->raised_ns = hit->now;
}

#endif
