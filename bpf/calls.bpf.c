// SPDX-License-Identifier: GPL-2.0
/*
 * Calls: the handlers of the probe sites.  Each keeps its thread's shadow stack
 * true to the interpreter's and accounts what ended.
 */
#include "greenlet.bpf.h"
#include "python.bpf.h"
#include "seed.bpf.h"
#include "site.bpf.h"
#include "stack.bpf.h"
#include "wait.bpf.h"

/* What every handler needs, found once at its start. */
struct hit {
	struct pt_regs *ctx;
	struct site_votes *site;
	struct task_struct *task;
	struct thread *t;
	const struct py_layout *l;
	struct build_cost *cost;
	u64 cookie;
	u64 now;
	u32 kind; /* enum site_kind */
	u32 tgid;
};

/* The process is not in the table: take it in if all are wanted. */
static __always_inline int process_admit(u32 tgid, u32 build, u64 runtime, u64 now)
{
	struct process_entry fresh = {
		.runtime = runtime,
		.since = now,
		.build = build,
		.flags = PROCESS_TRACED | PROCESS_CALLS | PROCESS_FOLLOW,
	};
	struct record_task *record;

	if (!admit_all || tgid == own_tgid)
		return 0;
	if (bpf_map_update_elem(&processes, &tgid, &fresh, BPF_NOEXIST)) {
		if (!bpf_map_lookup_elem(&processes, &tgid))
			lose(LOSS_PROCESSES_FULL);
		return 0;
	}
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		lose(LOSS_RING_LIFECYCLE);
		return 0;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->kind = RECORD_FIRST_HIT;
	record->tgid = tgid;
	record->build = build;
	record->ns = now;
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/*
 * What the process table says of this thread's process, cached in the thread.
 * The probe itself tells where _PyRuntime is: it stands at a known distance.
 */
__noinline int thread_awake(struct thread *t)
{
	if (t)
		switch_in_missed(bpf_get_current_task_btf(), t);
	return 0;
}

__noinline int thread_refresh(struct thread *t, u32 tgid, u64 cookie, u64 ip, u64 now)
{
	u32 build = SITE_COOKIE_BUILD(cookie);
	const struct py_layout *l = layout_of(build);
	struct process_entry *p;
	u64 runtime;

	if (!t || !l)
		return 0;
	runtime = ip - SITE_COOKIE_VADDR(cookie) + l->runtime_vaddr;
	p = bpf_map_lookup_elem(&processes, &tgid);
	if (!p) {
		process_admit(tgid, build, runtime, now);
		p = bpf_map_lookup_elem(&processes, &tgid);
	}
	thread_forget(t);
	t->flags = p ? p->flags : 0;
	if (p && !p->runtime) {
		p->runtime = runtime;
		p->build = build;
	}
	if (t->runtime != runtime || t->build != build) {
		t->runtime = runtime;
		t->build = build;
		t->tstate = 0;
		t->depth = 0;
	}
	return 0;
}

static __always_inline int hit_begin(struct pt_regs *ctx, struct hit *hit)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t;
	u64 create;

	if (calls_over)
		return -1;
	hit->now = bpf_ktime_get_ns();
	hit->ctx = ctx;
	hit->cookie = bpf_get_attach_cookie(ctx);
	hit->kind = SITE_COOKIE_KIND(hit->cookie);
	create = hit->kind == SITE_ENTRY || hit->kind == SITE_THROW ? BPF_LOCAL_STORAGE_GET_F_CREATE
								    : 0;
	hit->task = task;
	hit->tgid = task->tgid;
	t = bpf_task_storage_get(&threads, task, NULL, create);
	if (!t) {
		if (create)
			lose(LOSS_STORAGE);
		return -1;
	}
	hit->t = t;
	if (t->off_ns)
		thread_awake(t);
	if (t->epoch != process_epoch || t->build != SITE_COOKIE_BUILD(hit->cookie) || !t->runtime)
		thread_refresh(t, hit->tgid, hit->cookie, ctx->ip, hit->now);
	if (!(t->flags & PROCESS_CALLS))
		return -1;
	hit->l = layout_of(t->build);
	if (!hit->l)
		return -1;
	hit->site = site_of(hit->cookie);
	hit->cost = bpf_map_lookup_elem(&build_costs, &t->build);
	if (!hit->cost)
		return -1;
	if (!t->tstate && thread_find(t, hit->l)) {
		if (create)
			lose(LOSS_UNKNOWN_THREAD);
		return -1;
	}
	return 0;
}

struct unwinding {
	struct task_struct *task;
	struct thread *t;
	u64 frame; /* the frame that must be on top afterwards, or be none of ours */
	u64 now;
	u32 found; /* position + 1 */
	u32 at;
	u32 raised; /* an exception took the frames above it away just now */
	u32 keep;   /* how many frames above it stay */
	u32 unseen; /* one went that was not seen to raise */
	u64 last;   /* when the thread last was hit or came to the CPU */
};

static long unwinding_search(u32 i, void *arg)
{
	struct unwinding *u = arg;
	struct shadow_frame *f;

	if (!u->at)
		return 1;
	u->at--;
	f = shadow_at(u->task, u->t, u->at);
	if (f && f->frame == u->frame) {
		u->found = u->at + 1;
		return 1;
	}
	return 0;
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
	f = shadow_at(u->task, u->t, u->t->depth - 1);
	if (f && !u->raised) {
		end = f->raised_ns > u->last ? f->raised_ns : u->last;
		if (!f->raised_ns && f->segment != SEGMENT_BEFORE)
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

/*
 * Make `frame` the top of the shadow stack by ending what stands above it.
 * If it is not on it, its nearest ancestor that is counts.  If none is, it is of another
 * greenlet, unless it was open before we looked: then all have ended.  0 if then the
 * frame meant (for ABOVE_LEAVES the one above it) is on top.
 */
enum above {
	ABOVE_ENDED,  /* without a seen exit */
	ABOVE_RAISED, /* by an exception, just now */
	ABOVE_LEAVES, /* but for the lowest: that one leaves now, seen */
};

__noinline int reconcile(struct thread *t, const struct py_layout *l, u64 frame, u64 now,
			 enum above above)
{
	struct unwinding u = {
		.frame = frame,
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
	for (int i = 0; i < 32 && u.frame; i++) {
		u.at = t->depth < STACK_MAX ? t->depth : STACK_MAX;
		bpf_loop(STACK_MAX, unwinding_search, &u, 0);
		if (u.found)
			break;
		u.frame = read_user_u64(NULL, u.frame + l->frame_previous);
	}
	if (!u.found && frame && !shadow_rests_on(t, frame) &&
	    !stack_switch(t, parked_near(l, frame), now))
		return -1;
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

enum entry_kind { ENTRY_UNKNOWN, ENTRY_START, ENTRY_RESUME, ENTRY_NONE };

static __always_inline bool is_resume(const struct py_layout *l, u8 op)
{
	for (int i = 0; i < LAYOUT_RESUME_OPS; i++)
		if (l->resume_ops[i] && l->resume_ops[i] == op)
			return true;
	return false;
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
	if (is_resume(l, units[2]))
		return resume_kind(l, units[3]);
	return ENTRY_UNKNOWN;
}

/*
 * Find the thread state anew: the thread may have got another one, or go on in another of
 * its own (a sub-interpreter's).
 */
static __always_inline int thread_again(struct hit *hit)
{
	struct thread *t = hit->t;
	u64 avoid = 0;

	if (read_user_u64(NULL, t->tstate + hit->l->ts_thread_id) ==
	    thread_ident(bpf_get_current_task_btf()))
		avoid = t->tstate;
	if (!thread_find_but(t, hit->l, avoid))
		return 0;
	t->tstate = avoid;
	return -1;
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

	*frame = site_frame(hit->ctx, hit->site);
	if (!*frame || !t->depth || read_frame(NULL, l, t->head, *frame) ||
	    frame_is_entry(l, t->head) || !shadow_top_is(hit->task, t, frame_previous(l, t->head)))
		return ENTRY_UNKNOWN;
	if (l->lasti_unit || l->resume_genexpr || frame_is_generator(l, t->head))
		return entry_kind(t, l);
	return ENTRY_START;
}

/* Any entry: the frame from the thread state, proved by the instruction it stands at. */
static __always_inline enum entry_kind enter_surely(struct hit *hit, u64 *frame,
						    enum entry_kind forced)
{
	const struct py_layout *l = hit->l;
	struct thread *t = hit->t;
	enum entry_kind kind = ENTRY_UNKNOWN;
	bool running;

	*frame = current_frame(NULL, l, t->tstate);
	if (!read_frame(NULL, l, t->head, *frame))
		kind = forced ?: entry_kind(t, l);
	/* up to 3.10 any frame that runs looks resumed: also one of another interpreter */
	running = l->lasti_unit && kind == ENTRY_RESUME && t->depth &&
		  shadow_top_is(hit->task, t, *frame);
	if ((kind == ENTRY_UNKNOWN || running) && !thread_again(hit)) {
		*frame = current_frame(NULL, l, t->tstate);
		if (!read_frame(NULL, l, t->head, *frame))
			kind = entry_kind(t, l);
	}
	if (kind == ENTRY_UNKNOWN)
		lose(LOSS_NOT_AT_RESUME);
	else if (!forced)
		site_learn(hit->ctx, hit->site, *frame);
	return kind;
}

#define COST_OUTLIER_NS 50000 /* interrupted or preempted: no cost of ours */
#define COST_FIRST 8          /* exits that are all timed */

/*
 * The time from one hit to the next is half a trap, what the target did, and half a
 * trap.  Where the target did next to nothing (calling at once, in a call without
 * calls, between two in a row) it is the cost: follow a low quantile of it (one in nine is below),
 * never above `most`.
 */
static __always_inline u32 low_quantile(u32 cost, u64 took, u32 most)
{
	cost += took < cost ? -(cost / 16) : cost / 128;
	return cost < most ? cost : most;
}

/* The program of an entry ends now: what it took is its thread's loss, not the call's time. */
static __always_inline u64 entry_over(struct hit *hit)
{
	struct thread *t = hit->t;
	struct build_cost *cost = hit->cost;
	u64 end = bpf_ktime_get_ns(), took = end - hit->now;

	if (t->hit_entry)
		cost->trap_ns = low_quantile(cost->trap_ns, hit->now - t->hit_ns, cost->most_ns);
	else
		cost->after_ns = low_quantile(cost->after_ns, hit->now - t->hit_ns,
					      cost->trap_ns + cost->exit_ns);
	t->hit_entry = 1;
	t->hit_ns = end;
	t->probe_ns += took < COST_OUTLIER_NS ? took : cost->exit_ns;
	return end;
}

/* An exit begins: its half of the traps is inside the call that ends. */
static __always_inline void exit_begins(struct hit *hit)
{
	struct thread *t = hit->t;
	struct build_cost *cost = hit->cost;

	if (t->hit_entry)
		cost->inner_ns = low_quantile(cost->inner_ns, hit->now - t->hit_ns, cost->most_ns);
	t->probe_ns += cost->inner_ns;
}

/* It ends; the rest is its caller's.  What the program takes after the accounting is sampled. */
static __always_inline void exit_over(struct hit *hit)
{
	struct thread *t = hit->t;
	struct build_cost *cost = hit->cost;
	u64 took;

	if (cost->samples < COST_FIRST || !(hit->now & (COST_SAMPLE - 1))) {
		took = bpf_ktime_get_ns() - hit->now;
		if (!cost->samples++)
			cost->exit_ns = took;
		cost->exit_ns += took < cost->exit_ns ? -(cost->exit_ns / 8) : cost->exit_ns / 8;
	}
	t->probe_ns += cost->after_ns;
	t->hit_entry = 0;
	t->hit_ns = hit->now;
	if (hit->site && hit->site->stepped) {
		t->probe_ns += cost->step_ns - cost->most_ns;
		t->hit_entry = 1; /* the next entry tells nothing of a usual trap */
		t->hit_ns = 0;
	}
}

static __always_inline int enter(struct hit *hit, enum entry_kind forced)
{
	const struct py_layout *l = hit->l;
	struct thread *t = hit->t;
	enum entry_kind kind = ENTRY_UNKNOWN;
	struct function_stats *stats;
	struct function_key key = {.tgid = hit->tgid};
	u64 frame = 0, previous;
	u32 function = NO_FUNCTION;
	enum segment segment;
	bool surely;

	if (!forced)
		kind = enter_quickly(hit, &frame);
	surely = kind == ENTRY_UNKNOWN;
	if (surely)
		kind = enter_surely(hit, &frame, forced);
	if (kind == ENTRY_UNKNOWN || kind == ENTRY_NONE)
		return 0;
	previous = frame_previous(l, t->head);
	key.code = frame_code(l, t->head);
	if (key.code) {
		key.check = code_check(NULL, l, key.code, t->head);
		function = function_slot(t, l, &key);
	}
	segment = kind == ENTRY_RESUME ? SEGMENT_RESUMED : SEGMENT_FIRST;
	if (entered_already(hit, frame, function, segment))
		return 0;
	if (surely && !t->depth) {
		stack_resume(t, l, previous, hit->now);
		if (!t->depth)
			stack_seed(t, l, previous, hit->now);
	} else if (surely && frame_begins_stack(l, frame, previous)) {
		if (t->frames[0].frame == frame) /* where one was that is gone: no greenlet */
			reconcile(t, l, 0, hit->now, ABOVE_ENDED);
		else
			stack_switch(t, 0, hit->now);
	} else if (surely && !shadow_top_near(t, l, previous)) {
		reconcile(t, l, previous, hit->now, ABOVE_ENDED);
	}
	if (function == NO_FUNCTION)
		lose(LOSS_FUNCTIONS_FULL);
	stats = bpf_map_lookup_elem(&functions, &function);
	if (stats) {
		if (!stats->told)
			function_tell_again(l, stats, function);
		__sync_fetch_and_add(&stats->segments, 1);
		if (kind == ENTRY_START)
			__sync_fetch_and_add(&stats->calls, 1);
	}
	if (!shadow_push(hit->task, t, frame, previous, function, segment, entry_over(hit)) &&
	    stats && kind == ENTRY_START)
		__sync_fetch_and_add(&stats->ended_unseen, 1);
	return 0;
}

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
	if (!t->depth) {
		lose(LOSS_BEGAN_BEFORE);
		return 0;
	}
	if (shadow_top_near(t, hit->l, frame))
		return 0;
	if (reconcile(t, hit->l, frame, hit->now, early ? ABOVE_ENDED : ABOVE_LEAVES)) {
		lose(LOSS_UNMATCHED_EXIT);
		return 0;
	}
	if (early)
		site_learn(hit->ctx, hit->site, frame);
	shadow_pop(t, how, hit->now);
	return 0;
}

/* Does this frame stand at an instruction that returns or suspends? */
__noinline int frame_leaves(struct thread *t, const struct py_layout *l, u64 frame)
{
	u8 units[4] = {};

	if (!t || !l || l->lasti_unit || read_frame(NULL, l, t->head, frame) ||
	    read_user(NULL, units, sizeof(units), head_u64(t->head, l->frame_instr) - 2))
		return 0;
	/* from 3.13 on YIELD_VALUE has moved on to the next unit first */
	for (int i = 0; i < 4; i += 2)
		if (l->leaving_ops[units[i] >> 3] >> (units[i] & 7) & 1)
			return 1;
	return 0;
}

/*
 * The frame that leaves, at a site where no register is known (yet) to hold it: the
 * current one at an early site, else the one above.  What the site is, plain hits tell:
 * not those after an exception, which C code may have swallowed so that the top is gone, and
 * not a shim's, which looks like an early exit of its caller.
 */
static __always_inline bool leaves_early(struct hit *hit, const struct shadow_frame *f, u64 frame)
{
	bool plain = f && !f->raised_ns, below = plain && frame == f->previous;
	bool own = f && frame == f->frame;

	if (own && hit->kind == SITE_YIELD) /* shims never suspend */
		return site_is_early(hit->site, true, false);
	if (hit->l->lasti_unit)
		return site_is_early(hit->site, own && plain, below);
	if (!plain && !site_has_votes(hit->site))
		return frame_leaves(hit->t, hit->l, frame);
	if (own && plain && !frame_leaves(hit->t, hit->l, frame))
		return !site_has_votes(hit->site) || site_is_early(hit->site, false, false);
	return site_is_early(hit->site, own && plain, below);
}

/* The topmost call leaves, unless a register says that it is another one. */
static __always_inline int leave(struct hit *hit, enum ending how)
{
	u64 frame = site_frame(hit->ctx, hit->site);
	struct thread *t = hit->t;
	struct shadow_frame *f = NULL;
	bool early = true;

	if (t->depth) {
		f = shadow_top(hit->task, t, frame);
		if (!f) { /* deeper than we keep: counted at its entry */
			t->depth--;
			t->deep_frame = 0;
			return 0;
		}
		if (frame == f->frame) {
			shadow_pop(t, how, hit->now);
			return 0;
		}
	}
	if (!frame) {
		frame = current_frame(NULL, hit->l, t->tstate);
		early = leaves_early(hit, f, frame);
		if (f && frame == (early ? f->frame : f->previous)) {
			site_learn(hit->ctx, hit->site, f->frame);
			shadow_pop(t, how, hit->now);
			return 0;
		}
	}
	return leave_unexpected(hit, how, frame, early);
}

/* How a frame of 3.8 or 3.9 leaves that does not suspend: the instruction it stands at tells. */
static __always_inline enum ending ending_at_lasti(const struct py_layout *l, const u8 *head)
{
	s32 lasti = (s32)head_u32(head, l->frame_instr);
	u64 code = frame_code(l, head), bytes;
	u8 op = 0;

	if (lasti < 0)
		return ENDED_EXCEPTION;
	bytes = read_user_u64(NULL, code + l->code_units);
	if (read_user(NULL, &op, sizeof(op), bytes + l->bytes_data + (u64)lasti * l->lasti_unit))
		return ENDED_RETURN;
	return op == l->op_return_value ? ENDED_RETURN : ENDED_EXCEPTION;
}

/* f_state in 3.10: Include/cpython/frameobject.h */
#define FRAME_SUSPENDED -1
#define FRAME_RETURNED 1

static __always_inline enum ending ending_by_state(u64 frame_state)
{
	__s8 state = 0;

	read_user(NULL, &state, sizeof(state), frame_state);
	return state == FRAME_SUSPENDED  ? ENDED_YIELD
	       : state == FRAME_RETURNED ? ENDED_RETURN
					 : ENDED_EXCEPTION;
}

static __always_inline enum ending ending_at_leave(struct hit *hit)
{
	const struct py_layout *l = hit->l;
	struct thread *t = hit->t;
	struct shadow_frame *f = t->depth ? shadow_at(hit->task, t, t->depth - 1) : NULL;
	u64 frame = site_frame(hit->ctx, hit->site);

	if (!frame) {
		frame = current_frame(NULL, l, t->tstate);
		if (f && f->previous == frame &&
		    !(f->raised_ns && site_is_early(hit->site, false, false)))
			frame = f->frame; /* taken off already, and still there */
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
	return ending_at_lasti(l, t->head);
}

/* An exception was raised in the current frame or arrived in it (PyTraceBack_Here). */
static __always_inline void unwind(struct hit *hit)
{
	u64 frame = current_frame(NULL, hit->l, hit->t->tstate);
	struct thread *t = hit->t;
	struct shadow_frame *f;

	if (!t->depth)
		stack_resume(t, hit->l, frame, hit->now);
	if (!t->depth)
		return;
	f = shadow_top(hit->task, t, frame);
	if (!f) { /* deeper than we keep: each hit in another frame than the last is one less */
		if (t->deep_frame && t->deep_frame != frame)
			t->depth--;
		t->deep_frame = frame;
		return;
	}
	if (f->frame != frame) {
		reconcile(t, hit->l, frame, hit->now, ABOVE_RAISED);
		if (!t->depth)
			return;
		f = shadow_at(hit->task, t, t->depth - 1);
	}
	if (f && f->frame == frame)
		f->raised_ns = hit->now;
}

/* Every probe site.  (One program, and so one link: each takes a grace period to close.) */
SEC("uprobe")
int call_site(struct pt_regs *ctx)
{
	enum ending how = ENDED_RETURN;
	struct hit hit;

	if (hit_begin(ctx, &hit))
		return 0;
	switch (hit.kind) {
	case SITE_ENTRY:
	case SITE_THROW:
		enter(&hit, hit.kind == SITE_THROW ? ENTRY_RESUME : ENTRY_UNKNOWN);
		cost_sample(COST_ENTRY, hit.now);
		return 0;
	case SITE_UNWIND:
		unwind(&hit);
		hit.t->probe_ns += hit.cost->trap_ns + hit.cost->exit_ns;
		hit.t->hit_entry = 1;
		hit.t->hit_ns = 0;
		return 0;
	case SITE_YIELD:
		how = ENDED_YIELD;
		break;
	case SITE_LEAVE: /* up to 3.10: one probe for every way out */
		how = ending_at_leave(&hit);
		break;
	}
	exit_begins(&hit);
	leave(&hit, how);
	exit_over(&hit);
	cost_sample(COST_EXIT, hit.now);
	return 0;
}

/* What a probe costs without us: for calibration and comparison. */
SEC("uprobe")
int call_nothing(struct pt_regs *ctx)
{
	return 0;
}
