/* SPDX-License-Identifier: GPL-2.0 */
/* A call begins or is resumed. */
#ifndef PYTRACE_ENTER_BPF_H
#define PYTRACE_ENTER_BPF_H

#include "cost.bpf.h"
#include "hit.bpf.h"
#include "loop.bpf.h"
#include "reconcile.bpf.h"
#include "seed.bpf.h"

enum entry_kind {
	ENTRY_UNKNOWN, /* the frame looked at does not begin */
	ENTRY_DOUBTED, /* it looks resumed, but it runs already */
	ENTRY_START,
	ENTRY_RESUME,
	ENTRY_NONE,        /* it does, but that is no call */
	ENTRY_PERHAPS = 8, /* a bit: it may run already */
};

/* What the site says of it. */
enum entry_site {
	ENTERED,
	ENTERED_BY_THROW, /* a generator or coroutine, with an exception */
};

static __always_inline bool is_resume(const struct py_layout *l, u8 op)
{
	u64 found = 0;

	for (int i = 0; i < LAYOUT_RESUME_OPS; i++)
		found |= equal_bit(l->resume_ops[i], op);
	return op && found; /* the list ends with 0 */
}

static __always_inline enum entry_kind resume_kind(const struct py_layout *l, u8 oparg)
{
	if (l->resume_genexpr && oparg == l->resume_genexpr)
		return ENTRY_NONE; /* the frame goes on to make a generator, and is gone */
	return oparg & 3 ? ENTRY_RESUME : ENTRY_START;
}

/*
 * Does the entry of the frame in t->head begin a call or resume one?  From 3.11 on the
 * oparg of RESUME tells: 0 at the start (Python/bytecodes.c, RESUME).  The handler may or
 * may not have stored its instruction pointer yet, so RESUME is there or one unit on.
 * Up to 3.10 f_lasti is negative until the first instruction.
 */
__noinline int entry_kind(struct thread *t, const struct py_layout *l)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u8 units[4] = {};
	u64 instr;

	if (!t || !l)
		return ENTRY_UNKNOWN;
	if (l->lasti_unit)
		return (s32)head_u32(t->head, l->frame_instr) < 0 ? ENTRY_START : ENTRY_RESUME;
	instr = head_u64(t->head, l->frame_instr);
	if (read_user(NULL, units, sizeof(units), instr))
		return ENTRY_UNKNOWN;
	if (is_resume(l, units[0]))
		return resume_kind(l, units[1]);
	/*
	 * What is after the instruction of a call that runs is not one but its cache, which may
	 * look so by chance: if code of another interpreter begins, which that call has made
	 */
	if (is_resume(l, units[2]))
		return resume_kind(l, units[3]) |
		       (t->depth && shadow_top_is(task, t, t->entering) ? ENTRY_PERHAPS : 0);
	return ENTRY_UNKNOWN;
}

/*
 * The frame in t->head is entered by throw() or close(): it never comes to its RESUME.  What has
 * not run yet stands at or behind the instruction that made its generator.
 */
static __always_inline int thrown_kind(const struct thread *t, const struct py_layout *l)
{
	u8 units[4] = {};

	if (read_user(NULL, units, sizeof(units), head_u64(t->head, l->frame_instr) - 2))
		return ENTRY_RESUME;
	return units[0] == l->op_return_generator || units[2] == l->op_return_generator
		       ? ENTRY_START
		       : ENTRY_RESUME;
}

/*
 * Is this the entry we have just seen?  Turning on sys.monitoring has the interpreter
 * run RESUME a second time (3.12+), and while userspace changes from one set of links
 * to another a hit comes twice.  (A frame that began cannot begin again before it was
 * left, nor be resumed again; one left by an exception has been seen to raise.)
 */
static __always_inline bool entered_already(struct hit *hit, u64 frame, u32 function,
					    enum segment segment)
{
	struct shadow_frame *f;

	if (!hit->t->depth)
		return false;
	if (hit->t->depth > STACK_MAX)
		return hit->t->deep_frame == frame && hit->t->deep_state == DEEP_ENTERED;
	f = shadow_at(hit->task, hit->t, hit->t->depth - 1);
	return f && f->frame == frame && f->function == function && f->segment == segment &&
	       !f->raised_ns;
}

/*
 * The usual entry, cheaply: the frame by its register, proved by the frame below it
 * being the one on top.
 */
static __always_inline enum entry_kind enter_quickly(struct hit *hit, u64 *frame)
{
	const struct py_layout *l = hit->l;
	struct thread *t = hit->t;

	*frame = t->entering = site_frame(hit->ctx, hit->site);
	if (!*frame || !t->depth || read_frame(NULL, l, t->head, *frame) ||
	    frame_is_entry(l, t->head) || !shadow_top_is(hit->task, t, frame_previous(l, t->head)))
		return ENTRY_UNKNOWN;
	if (l->lasti_unit || l->resume_genexpr || frame_is_generator(l, t->head))
		return entry_kind(t, l) & ~ENTRY_PERHAPS;
	return ENTRY_START;
}

/*
 * The entry that the thread state's current frame stands at, if it does: an enum entry_kind.
 * The frame is in t->entering.
 */
__noinline int entry_by_state(struct thread *t, const struct py_layout *l, u32 site)
{
	int kind;

	if (!t || !l)
		return ENTRY_UNKNOWN;
	t->entering = current_frame(NULL, l, t->tstate);
	if (read_frame(NULL, l, t->head, t->entering))
		return ENTRY_UNKNOWN;
	kind = site == ENTERED_BY_THROW ? thrown_kind(t, l) : entry_kind(t, l);
	/* up to 3.10 any frame that runs looks resumed: also one of another interpreter */
	if (kind & ENTRY_PERHAPS || (l->lasti_unit && kind == ENTRY_RESUME && t->depth &&
				     shadow_top_is(bpf_get_current_task_btf(), t, t->entering)))
		return ENTRY_DOUBTED;
	return kind;
}

/*
 * The thread may have got another thread state, or go on in another of its own (a
 * sub-interpreter's): try all.
 */
__noinline int entry_by_any_state(struct thread *t, const struct py_layout *l, u32 site)
{
	u64 known;
	int kind;

	if (!t || !l)
		return ENTRY_UNKNOWN;
	known = t->tstate;
	for (u32 i = 0; i < MAX_OWN_STATES && !thread_find_nth(t, l, i); i++) {
		kind = entry_by_state(t, l, site);
		if (kind > ENTRY_DOUBTED)
			return kind;
	}
	t->tstate = known;
	kind = entry_by_state(t, l, site);
	return kind == ENTRY_DOUBTED ? entry_kind(t, l) & ~ENTRY_PERHAPS : kind;
}

/* Any entry: the frame from the thread state, proved by the instruction it stands at. */
static __always_inline enum entry_kind enter_surely(struct hit *hit, u64 *frame,
						    enum entry_site site)
{
	struct thread *t = hit->t;
	enum entry_kind kind = entry_by_state(t, hit->l, site);

	if (kind <= ENTRY_DOUBTED)
		kind = entry_by_any_state(t, hit->l, site);
	*frame = t->entering;
	if (kind == ENTRY_UNKNOWN)
		lose(LOSS_NOT_AT_RESUME);
	else if (site == ENTERED)
		site_learn(hit->ctx, hit->site, *frame);
	return kind;
}

static __always_inline int enter(struct hit *hit, enum entry_site site)
{
	const struct py_layout *l = hit->l;
	struct thread *t = hit->t;
	enum entry_kind kind = ENTRY_UNKNOWN;
	struct function_stats *stats;
	u64 frame = 0, previous;
	u32 function;
	enum segment segment;
	bool surely;

	if (site == ENTERED)
		kind = enter_quickly(hit, &frame);
	surely = kind == ENTRY_UNKNOWN;
	if (surely)
		kind = enter_surely(hit, &frame, site);
	if (kind == ENTRY_UNKNOWN || kind == ENTRY_NONE)
		return 0;
	previous = frame_previous(l, t->head);
	function = function_of_frame(t, l);
	segment = kind == ENTRY_RESUME ? SEGMENT_RESUMED : SEGMENT_FIRST;
	if (entered_already(hit, frame, function, segment))
		return 0;
	if (surely && frame_begins_stack(l, frame, previous)) {
		if (t->depth && t->frames[0].frame == frame) /* where one was that is gone */
			reconcile(t, l, 0, hit->now, ABOVE_ENDED);
		else
			stack_begin(t, frame, hit->now);
		note_begin(frame, hit->now);
	} else if (surely) {
		if (!t->depth)
			stack_resume(t, l, previous, hit->now);
		if (!t->depth)
			stack_seed(t, l, previous, hit->now);
		else if (!shadow_top_near(t, l, previous))
			reconcile(t, l, previous, hit->now, ABOVE_ENDED);
	}
	if (function == NO_FUNCTION)
		lose(LOSS_FUNCTIONS_FULL);
	stats = stats_of_slot(function);
	if (stats) {
		if (!stats->told)
			function_tell_again(l, stats, function);
		if (stats->role != ROLE_PLAIN)
			loop_enter(t, l, stats, frame);
		__sync_fetch_and_add(&stats->segments, 1);
		if (kind == ENTRY_START)
			__sync_fetch_and_add(&stats->calls, 1);
	}
	if (!shadow_push(hit->task, t, frame, previous, function, segment, entry_over(hit)) &&
	    stats && kind == ENTRY_START)
		__sync_fetch_and_add(&stats->ended_unseen, 1);
	step_follows(hit);
	return 0;
}

#endif
