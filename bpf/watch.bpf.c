// SPDX-License-Identifier: GPL-2.0
/*
 * Watched functions: hardware watchpoints on their bytecode, which the interpreter reads as data.
 * (Uses traced_thread() of sched.bpf.c, with which it shares the object file.)
 */
#include "python.bpf.h"
#include "site.bpf.h"
#include "watched.bpf.h"

#define STACK_LOOKED 512 /* frames below the current one in which a call is looked for */
#define SETTLED_AT_ONCE 16

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_WATCH_POINTS);
	__type(key, struct watch_key);
	__type(value, struct watch_point);
} watch_points SEC(".maps");

/* Is it this code object's frame?  Then its head is in t->head. */
static __always_inline bool frame_runs(struct thread *t, const struct py_layout *l, u64 frame,
				       u64 code)
{
	return frame && !read_frame(NULL, l, t->head, frame) && frame_code(l, t->head) == code;
}

/*
 * The current frame, if it is one of this code object: in whichever of the thread's own states.  0:
 * something else reads there, as does the interpreter that makes bytecode quick.
 */
__noinline u64 watched_frame(struct thread *t, const struct py_layout *l, u64 code)
{
	u64 frame, known;

	if (!t || !l || (!t->tstate && thread_find(t, l)))
		return 0;
	frame = current_frame(NULL, l, t->tstate);
	if (frame_runs(t, l, frame, code))
		return frame;
	known = t->tstate;
	for (u32 i = 0; i < MAX_OWN_STATES && !thread_find_nth(t, l, i); i++) {
		frame = current_frame(NULL, l, t->tstate);
		if (frame_runs(t, l, frame, code))
			return frame;
	}
	t->tstate = known;
	return 0;
}

/* In 3.11 and 3.12 a frame tells exactly which unit it was at last. */
static __always_inline bool tells_last_unit(const struct py_layout *l)
{
	return !l->lasti_unit && l->ts_cframe != LAYOUT_ABSENT;
}

/*
 * Can the frame whose head is in t->head be coming to where it returns?  Who makes bytecode quick
 * (up to 3.11) reads all of it when a call begins.
 */
static __always_inline bool may_return(const struct thread *t, const struct py_layout *l,
				       const struct watch_point *point)
{
	if (l->lasti_unit)
		return (s32)head_u32(t->head, l->frame_instr) > 0;
	return !tells_last_unit(l) || point->at <= 2 ||
	       (s64)(head_u64(t->head, l->frame_instr) - point->units) > 0;
}

/* Does the frame whose head is in t->head stand at its very beginning? */
static __always_inline bool stands_at_entry(const struct thread *t, const struct py_layout *l,
					    const struct watch_point *point)
{
	s64 at;

	if (l->lasti_unit) /* the unit it comes to, or -1 where that has not been written yet */
		return (s32)head_u32(t->head, l->frame_instr) <= 0;
	at = head_u64(t->head, l->frame_instr) - point->units;
	/* (in 3.11, who makes its bytecode quick reads this unit when the frame is at it) */
	if (tells_last_unit(l))
		return at < (s64)point->at && at >= (s64)point->at - 6;
	/* its instruction pointer may not have been written since one of the units before */
	return at <= (s64)point->at && at >= (s64)point->at - 6;
}

/* Is this the frame of a call that begins there?  Anything may be in a register. */
__noinline int begins_at(struct thread *t, const struct py_layout *l,
			 const struct watch_point *point, u64 frame)
{
	if (!t || !l || !point || !frame || frame & 7 || peek_frame(NULL, l, t->head, frame))
		return 0;
	return frame_code(l, t->head) == point->code && stands_at_entry(t, l, point);
}

/*
 * The frame of a call that begins: the current one, or that is only about to be made current when
 * the first unit is read (compilers put the load first), and a register has it.  0: none begins.
 */
__noinline u64 entered_frame(struct bpf_perf_event_data *ctx, struct thread *t,
			     const struct py_layout *l, struct watch_point *point, u64 current)
{
#define X(index, name) ctx->regs.name,
	u64 registers[] = {EACH_REGISTER(X) 0};
#undef X
	u32 learned;

	if (!t || !l || !point)
		return 0;
	learned = point->frame_register;
	if (current && begins_at(t, l, point, current))
		return current;
	learned &= 15;
	barrier_var(learned);
	if (begins_at(t, l, point, registers[learned]))
		return registers[learned];
	for (u32 i = 0; i < 15; i++) {
		if (registers[i] != current && begins_at(t, l, point, registers[i])) {
			point->frame_register = i;
			return registers[i];
		}
	}
	return 0;
}

/* Is the code object still the one that is meant?  t->head is scratch. */
__noinline int is_meant(struct thread *t, const struct py_layout *l,
			const struct watch_point *point)
{
	return t && l && point && code_check(NULL, l, point->code, t->head) == point->check;
}

struct looking_for {
	const struct py_layout *l;
	u64 frame, at;
	u32 depth; /* 1: it is the current one */
	u32 pad;
};

static long look_below(u32 i, void *arg)
{
	struct looking_for *s = arg;

	if (!s->l || !s->at)
		return 1;
	if (s->at == s->frame) {
		s->depth = i + 1;
		return 1;
	}
	s->at = read_user_u64(NULL, s->at + s->l->frame_previous);
	return 0;
}

/* How deep below the current frame of the thread this one is: 1, it is that; 0: it is not there. */
__noinline u32 depth_of_frame(const struct thread *t, const struct py_layout *l, u64 frame)
{
	struct looking_for s = {.frame = frame};

	if (!t || !l || !t->tstate)
		return 0;
	s.l = l;
	s.at = current_frame(NULL, l, t->tstate);
	bpf_loop(STACK_LOOKED, look_below, &s, 0);
	return s.depth;
}

struct settling {
	struct thread *t;
	const struct py_layout *l;
	struct watching *w;
};

static long settle_top(u32 i, void *arg)
{
	struct settling *s = arg;
	struct watched_call *call;
	u64 frame, raised;
	u32 depth;

	if (!s->t || !s->l || !s->w)
		return 1;
	frame = s->w->top;
	call = watched_top(s->w);
	if (!call)
		return 1;
	raised = call->raised_ns;
	if (!raised && call->flags & WATCH_ALL_ENDS)
		return 1;
	depth = depth_of_frame(s->t, s->l, frame);
	if (depth > 1)
		call->raised_ns = 0; /* it was handled: its function goes on */
	if (depth)
		return 1;
	if (raised)
		watched_over(s->t, s->w, frame, raised, true);
	else
		watched_lost(s->w, frame);
	return 0;
}

/*
 * What became of the calls the thread entered last, where that cannot be known but by looking: an
 * exception passed, or they may end where nothing is watched.  A frame that is not on the stack any
 * more ended when the exception passed, or else nobody knows when.
 */
__noinline int watched_settle(struct thread *t, const struct py_layout *l, struct watching *w)
{
	struct settling s = {};

	if (!t || !l || !w)
		return 0;
	s.t = t;
	s.l = l;
	s.w = w;
	bpf_loop(SETTLED_AT_ONCE, settle_top, &s, 0);
	return 0;
}

/* An exception passes the frame whose head is in t->head: may it be handled there? */
__noinline int may_be_handled(struct thread *t, const struct py_layout *l,
			      const struct watch_point *point)
{
	s64 at, found = 0;

	if (!t || !l || !point)
		return 1;
	if (l->lasti_unit)
		return 1; /* what handles it is on the frame's block stack */
	at = head_u64(t->head, l->frame_instr) - point->units;
	/* (those that are not used are empty, and there is no branch: it would be 65536 paths) */
	for (u32 i = 0; i < WATCH_RANGES; i++)
		found |= ~(at + 2 - (s64)point->handled[i].from) &
			 (at - 2 - (s64)point->handled[i].to);
	return found < 0;
}

/* (The threads' own list of slots looked up lately is of those that are not watched.) */
static __always_inline u32 watched_function(const struct py_layout *l,
					    const struct watch_point *point, u32 tgid)
{
	struct function_key key = {
		.code = point->code,
		.tgid = tgid | KEY_WATCHED,
		.check = point->check,
	};
	u32 *slot = bpf_map_lookup_elem(&function_slots, &key);

	return slot ? *slot : function_new_here(l, &key);
}

/* A call begins. */
__noinline int watched_enter(struct thread *t, const struct py_layout *l, struct watching *w,
			     const struct watch_point *point, u64 frame)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct frame_key key = {.tgid = task->tgid};
	struct watched_call fresh = {}, *before;
	struct function_stats *stats;

	if (!t || !l || !w || !point)
		return 0;
	key.frame = frame;
	before = bpf_map_lookup_elem(&watched_calls, &key);
	if (before && before->start_ns < point->since_ns) {
		watched_lost(w, frame);
	} else if (before && before->raised_ns) {
		watched_over(t, w, frame, before->raised_ns, true);
	} else if (before) {
		/* sys.monitoring has the interpreter read the first unit twice */
		if (before->flags & WATCH_ALL_ENDS)
			return 0;
		watched_lost(w, frame);
	}
	fresh.function = watched_function(l, point, key.tgid);
	stats = stats_of_slot(fresh.function);
	if (!stats) {
		lose(LOSS_FUNCTIONS_FULL);
		return 0;
	}
	if (!stats->told)
		function_tell_again(l, stats, fresh.function);
	__sync_fetch_and_add(&stats->calls, 1);
	__sync_fetch_and_add(&stats->segments, 1);
	fresh.flags = point->flags;
	fresh.task = (u64)task;
	fresh.below = w->top;
	fresh.probe_at = t->probe_ns;
	for (u32 c = 0; c < WAIT_CLASSES; c++)
		fresh.wait_ns[c] = w->wait_ns[c];
	fresh.start_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&watched_calls, &key, &fresh, BPF_ANY)) {
		lose(LOSS_WATCHED_FULL);
		__sync_fetch_and_add(&stats->ended_unseen, 1);
		return 0;
	}
	if (!(point->flags & WATCH_GENERATOR))
		w->top = frame;
	return 0;
}

/* Something ends the call of the frame whose head is in t->head, or may do so. */
static __always_inline void watched_leave(struct thread *t, const struct py_layout *l,
					  struct watching *w, const struct watch_point *point,
					  u64 frame, u64 now)
{
	struct watched_call *call = watched_call_of(frame, bpf_get_current_task_btf()->tgid);
	struct function_stats *stats;

	if (call && call->start_ns < point->since_ns) {
		watched_lost(w, frame);
		return;
	}
	if (!call) {
		if (point->kind == WATCH_RAISE || w->ended == frame)
			return; /* or it was told already: it is read more than once */
		stats = stats_of_slot(watched_function(l, point, bpf_get_current_task_btf()->tgid));
		if (stats)
			count_began_before(stats);
		return;
	}
	if (point->kind == WATCH_RAISE && may_be_handled(t, l, point))
		call->raised_ns = now;
	else
		watched_over(t, w, frame, now, point->kind == WATCH_RAISE);
}

/* It was read more often than it may be: userspace takes the watchpoint away. */
__noinline int watch_spent(u32 tgid, u64 now)
{
	struct record_task *record = task_record(RECORD_WATCH_SPENT, tgid, now);

	if (record) /* if not, userspace looks at it soon in any case */
		bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	return 0;
}

SEC("perf_event")
int watched(struct bpf_perf_event_data *ctx)
{
	u64 now = bpf_ktime_get_ns(), frame, probes, hits;
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t = traced_thread(task, false);
	struct watch_key key = {.address = ctx->addr};
	const struct py_layout *l;
	struct watch_point *point;
	struct watching *w;

	if (!t || !t->runtime || !t->watch_group)
		return 0;
	key.group = t->watch_group;
	point = bpf_map_lookup_elem(&watch_points, &key);
	l = layout_of(t->build);
	if (!point || !l)
		return 0;
	hits = __sync_fetch_and_add(&point->hits, 1);
	if (hits >= point->hits_max) {
		if (hits == point->hits_max)
			watch_spent(task->tgid, now);
		return 0;
	}
	w = bpf_task_storage_get(&watchings, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!w) {
		lose(LOSS_STORAGE);
		return 0;
	}
	w->tgid = task->tgid;
	w->task = (u64)task;
	probes = t->probe_ns + watch_trap_ns;
	if (point->kind == WATCH_ENTRY) {
		frame = 0;
		if (t->tstate || !thread_find(t, l))
			frame = entered_frame(ctx, t, l, point, current_frame(NULL, l, t->tstate));
		if (!frame) {
			frame = watched_frame(t, l, point->code);
			if (frame && !stands_at_entry(t, l, point))
				frame = 0;
		}
	} else {
		frame = watched_frame(t, l, point->code);
		if (frame && point->kind == WATCH_RETURN && !may_return(t, l, point))
			frame = 0;
	}
	if (frame && point->kind == WATCH_ENTRY && !is_meant(t, l, point))
		frame = 0;
	if (frame && w->top && w->top != frame)
		watched_settle(t, l, w);
	/* (settling may have read another frame's head) */
	if (frame && point->kind == WATCH_ENTRY)
		watched_enter(t, l, w, point, frame);
	else if (frame && frame_runs(t, l, frame, point->code))
		watched_leave(t, l, w, point, frame, now);
	/* the trap is half before and half after us; what we took is in no call's time */
	t->probe_ns = probes + bpf_ktime_get_ns() - now;
	return 0;
}
