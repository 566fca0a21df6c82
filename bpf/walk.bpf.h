/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Python stacks: which functions a thread is in, from the innermost out, and the number
 * under which userspace knows them.
 */
#ifndef PYTRACE_WALK_BPF_H
#define PYTRACE_WALK_BPF_H

#include "python.bpf.h"

/* Entry frames of the C stack lie between those that count. */
#define WALK_STEPS (STACK_FRAMES * 2)

#define NEAR_BYTES 1024 /* of a thread's data stack, read at once: some six frames */

/* A walk and what it found: too much for a program's own stack. */
struct walk {
	u64 id;
	u64 chain;       /* hash of `codes` */
	u64 near_at;     /* where `near` was read */
	u64 near_frames; /* frames that begin no further on than this are in it as a whole */
	u32 frames;
	u32 quality; /* enum stack_quality */
	u32 newest;  /* code version of these functions */
	u32 unread;  /* it ended where memory could not be read */
	u32 untold;  /* a function of it is not known to userspace (yet) */
	u32 pad;
	u32 functions[STACK_FRAMES];
	u64 codes[STACK_FRAMES];
	u8 head[HEAD_BYTES];
	u8 near[NEAR_BYTES + HEAD_BYTES];
};

/* Who walks: one may interrupt another on its CPU. */
enum walker { WALKER_SCHEDULER, WALKER_SAMPLE, WALKER_FAULT, WALKER_VISIT, WALKERS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WALKERS);
	__type(key, u32);
	__type(value, struct walk);
} walks SEC(".maps");

struct walking {
	struct task_struct *other; /* NULL: the current one */
	struct thread *t;
	const struct py_layout *l;
	struct walk *walk;
	u64 frame;
	u32 tgid;
	u32 tick;
};

static __always_inline u64 hash_step(u64 hash, u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

#define NO_CODE 0xfffffffe /* instead of a function's slot: there is no code object */

#define CODE_TYPE_NAME 0x65646f63u /* "code" */

/*
 * Is it a code object?  A thread may be looked at while it links a frame: on 3.11 and 3.12 its
 * new _PyCFrame is in place before that says which frame is the current one, and until then
 * holds what was on the stack (Python/ceval.c, _PyEval_EvalFrameDefault).
 */
static __always_inline bool is_code(struct task_struct *other, const struct thread *t,
				    const struct py_layout *l, u64 object)
{
	u64 type = read_user_u64(other, object + l->object_type), name = 0;

	if (l->code_type_vaddr && type == t->runtime - l->runtime_vaddr + l->code_type_vaddr)
		return true;
	/* a program that is linked to a shared library's objects may have a copy of the type */
	return !read_user(other, &name, sizeof("code"),
			  read_user_u64(other, type + l->type_name)) &&
	       name == CODE_TYPE_NAME;
}

/* A function of its own: 6.1 has no more stack for all that leads here together. */
static __noinline bool is_code_here(const struct thread *t, const struct py_layout *l, u64 object)
{
	return is_code(NULL, t, l, object);
}

/*
 * Builds without code versions: what a code object is takes two reads of memory to tell.  One that
 * has been the same for STABLE_TICKS is not looked at more often than every SURE_TICKS: should
 * another take its place, what that waits for meanwhile, at the most a 500th of the time its
 * predecessor was there, is the predecessor's.
 */
#define TICK_SHIFT 20 /* about a millisecond, in nanoseconds */
#define STABLE_TICKS 1000
#define SURE_TICKS 2

static __always_inline u32 tick_of(u64 now)
{
	return now >> TICK_SHIFT;
}

/* The slot of a function that need not be looked at, or NO_FUNCTION. */
static __always_inline u32 walked_surely(const struct thread *t, u64 code, u32 tick)
{
	const struct walked_function *known = &t->walked[recent_place(code)];

	if (known->is.code != code || known->sure_until - tick - 1 >= SURE_TICKS)
		return NO_FUNCTION;
	return known->is.slot;
}

/* The slot of a function that was looked at, if it is among those lately walked over. */
static __always_inline u32 walked_lately(struct thread *t, const struct py_layout *l,
					 const struct function_key *key, u32 tick)
{
	struct walked_function *known = &t->walked[recent_place(key->code)];

	if (known->is.code != key->code || known->is.check != key->check)
		return NO_FUNCTION;
	if (l->code_version == LAYOUT_ABSENT && tick - known->since >= STABLE_TICKS)
		known->sure_until = tick + SURE_TICKS;
	return known->is.slot;
}

/* (In the order in which one who interrupts this may read it.) */
static __always_inline void walked_remember(struct thread *t, const struct function_key *key,
					    u32 slot, u32 tick)
{
	struct walked_function *known = &t->walked[recent_place(key->code)];

	known->is.code = 0;
	barrier();
	known->is.slot = slot;
	known->is.check = key->check;
	known->since = known->sure_until = tick;
	barrier();
	known->is.code = key->code;
}

/* A function that is not among those the thread walked over lately. */
__noinline u32 walk_new_function(const struct py_layout *l, const struct function_key *key,
				 struct thread *t)
{
	struct function_key own; /* 6.1 wants map keys on the program's own stack */
	struct function_stats *stats;
	u32 *found, slot;

	if (!l || !key || !t)
		return NO_FUNCTION;
	own = *key;
	found = bpf_map_lookup_elem(&function_slots, &own);
	if (!found && !is_code_here(t, l, own.code))
		return NO_CODE;
	slot = found ? *found : function_new_here(l, &own);
	stats = stats_of_slot(slot);
	if (!stats)
		return NO_FUNCTION;
	if (!stats->told)
		function_tell_again(l, stats, slot);
	if (stats->told)
		walked_remember(t, &own, slot, tick_of(bpf_ktime_get_ns()));
	return slot;
}

/* The slot of a function, NO_FUNCTION (the table is full) or NO_CODE. */
static __always_inline u32 walk_function(struct task_struct *other, struct walking *s, u64 code)
{
	struct function_key key = {.code = code, .tgid = s->tgid};
	struct walked_function *known = &s->t->walked[recent_place(code)];
	u32 *slot, found;

	if (!other) {
		found = walked_surely(s->t, code, s->tick);
		if (found != NO_FUNCTION)
			return found;
	}
	key.check = code_check(other, s->l, code, s->walk->head);
	if (key.check > s->walk->newest)
		s->walk->newest = key.check;
	if (!other) {
		found = walked_lately(s->t, s->l, &key, s->tick);
		if (found != NO_FUNCTION)
			return found;
		found = walk_new_function(s->l, &key, s->t);
		/* what userspace knows is among the lately walked over now */
		if (known->is.code != code || known->is.check != key.check)
			s->walk->untold = 1;
		return found;
	}
	slot = bpf_map_lookup_elem(&function_slots, &key);
	if (!slot && !is_code(other, s->t, s->l, code))
		return NO_CODE;
	return slot ? *slot : function_new(other, s->l, &key);
}

/*
 * From 3.11 on the frames of a thread lie one behind the other, the innermost last, as long as no
 * generator and no C function comes between: read what is before `frame`, too, for one read of
 * much costs what one of little does.  Not beyond its page: the one before may not be there.
 */
static __always_inline void near_read(const struct py_layout *l, struct walk *walk, u64 frame)
{
	u64 end = frame + l->frame_head, at = end - NEAR_BYTES, bytes;

	if (at < (frame & -4096ull))
		at = frame & -4096ull;
	bytes = end - at;
	walk->near_at = walk->near_frames = 0;
	barrier_var(bytes);
	if (!frame || l->frame_owner == LAYOUT_ABSENT || bytes > NEAR_BYTES ||
	    peek_user(NULL, walk->near, bytes, at))
		return;
	walk->near_at = at;
	walk->near_frames = frame - at;
}

/* The head of the frame that is next, or NULL. */
static __always_inline u8 *walk_head(struct task_struct *other, struct walking *s)
{
	struct walk *walk = s->walk;
	u64 at = s->frame - walk->near_at;

	if (!other && at <= walk->near_frames)
		return walk->near + (at & (NEAR_BYTES - 1));
	if (peek_frame(other, s->l, walk->head, s->frame)) {
		walk->unread = 1;
		return NULL;
	}
	return walk->head;
}

/* One frame on the way out. */
static __always_inline long walk_step(struct task_struct *other, struct walking *s)
{
	struct walk *walk = s->walk;
	u32 place;
	u64 code;
	u8 *head;

	if (!s->t || !s->l || !walk)
		return 1;
	if (!s->frame) {
		walk->quality = STACK_COMPLETE;
		return 1;
	}
	place = walk->frames;
	if (place >= STACK_FRAMES) {
		walk->quality = STACK_TRUNCATED;
		return 1;
	}
	head = walk_head(other, s);
	if (!head)
		return 1;
	s->frame = frame_previous(s->l, head);
	if (frame_is_entry(s->l, head))
		return 0;
	code = frame_code(s->l, head);
	if (!code)
		return 1;
	walk->codes[place & (STACK_FRAMES - 1)] = code;
	walk->chain = hash_step(walk->chain, code);
	walk->frames = place + 1;
	return 0;
}

static long walk_here_step(u32 i, void *arg)
{
	return walk_step(NULL, arg);
}

static long walk_other_step(u32 i, void *arg)
{
	struct walking *s = arg;

	return s->other ? walk_step(s->other, s) : 1;
}

/* The function of the frame at this place, the innermost first. */
static __always_inline long know_step(struct task_struct *other, struct walking *s, u32 place)
{
	struct walk *walk = s->walk;
	u32 function;

	if (!s->t || !s->l || !walk || place >= walk->frames)
		return 1;
	function = walk_function(other, s, walk->codes[place & (STACK_FRAMES - 1)]);
	if (function == NO_CODE) { /* what seemed to lie behind is nothing, either */
		walk->frames = place;
		walk->quality = STACK_UNREADABLE;
		walk->unread = 0;
		return 1;
	}
	walk->functions[place & (STACK_FRAMES - 1)] = function;
	walk->id = hash_step(walk->id, function);
	return 0;
}

static long know_here_step(u32 i, void *arg)
{
	return know_step(NULL, arg, i);
}

static long know_other_step(u32 i, void *arg)
{
	struct walking *s = arg;

	return s->other ? know_step(s->other, s, i) : 1;
}

/* Begin a walk of a process's thread; NULL if there is no memory for one. */
static __always_inline struct walk *walk_begin(struct thread *t, u32 tgid, u32 walker)
{
	struct walk *walk = bpf_map_lookup_elem(&walks, &walker);

	if (!walk)
		return NULL;
	walk->id = walk->chain = hash_step(t->taken_in, tgid);
	walk->frames = walk->newest = walk->unread = walk->untold = 0;
	walk->quality = STACK_UNREADABLE;
	return walk;
}

/* Send a stack to userspace.  0 if it went out. */
__noinline int stack_tell(const struct walk *walk, u32 tgid)
{
	struct record_stack *record;

	if (!walk)
		return -1;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		lose(LOSS_RING_STACK);
		return -1;
	}
	record->kind = RECORD_STACK;
	record->tgid = tgid;
	record->id = walk->id;
	record->frames = walk->frames;
	record->quality = walk->quality;
	__builtin_memcpy(record->functions, walk->functions, sizeof(record->functions));
	bpf_ringbuf_submit(record, ring_wake_flag());
	return 0;
}

/* Have userspace know the stack: mostly it is the one that was told last. */
static __always_inline void stack_know(struct thread *t, const struct walk *walk, u32 tgid)
{
	u64 id = walk->id;
	u8 told = 1;

	if (t->told_stack == id)
		return;
	if (!bpf_map_lookup_elem(&stacks_told, &id)) {
		if (stack_tell(walk, tgid))
			return;
		bpf_map_update_elem(&stacks_told, &id, &told, BPF_ANY);
	}
	t->told_stack = id;
}

/*
 * Look for the thread state of a thread that may have none (yet): not all the time.  (A function
 * of its own, for its stack is not there while the frames are walked: 6.1 adds both up.)
 */
__noinline int thread_look_for_state(struct thread *t, const struct py_layout *l)
{
	u64 now = bpf_ktime_get_ns();

	if (!t || !l || now < t->not_before || !thread_find(t, l))
		return 0;
	/* one that begins has none yet for a moment, others never will */
	t->not_before = now + (RETRY_NS << t->searches);
	if (t->searches < RETRY_DOUBLINGS)
		t->searches++;
	return 0;
}

#define GO_BETWEENS 5 /* at most: notify_all(), notify(), ... */

/*
 * The innermost function that does what it does for itself.  If there is none among the first few,
 * the one on top.
 */
static __always_inline u32 on_behalf_of(const struct walk *walk)
{
	struct function_stats *stats;
	u32 function;

	for (u32 i = 0; i <= GO_BETWEENS && i < walk->frames; i++) {
		function = walk->functions[i];
		stats = stats_of_slot(function);
		if (!stats || stats->role != ROLE_GO_BETWEEN)
			return function;
	}
	return walk->functions[0];
}

/* A walk has come to its end: what it found, if anything, is known to userspace from now on. */
static __always_inline void walk_end(struct thread *t, struct walk *walk, u32 tgid,
				     struct walked *out)
{
	if (walk->unread)
		lose(LOSS_UNREADABLE);
	if (!walk->frames)
		return;
	walk->id = hash_step(walk->id, walk->quality) | 1;
	out->stack = walk->id;
	out->function = walk->functions[0];
	out->behalf = on_behalf_of(walk);
	stack_know(t, walk, tgid);
}

/*
 * The number that the interpreter gives to the next code object it makes: as long as it is the
 * same, none has come where another one was.  0: not known.  (A thread with states in several
 * interpreters may have gone from one to another.)
 */
static __always_inline u32 versions_given(const struct thread *t, const struct py_layout *l)
{
	u32 next = 0;

	if (t->memo.tstate != t->tstate || t->states[1])
		return 0;
	peek_user(NULL, &next, sizeof(next), t->memo.versions);
	return next;
}

#define VERSIONS_AHEAD (1u << 22) /* beyond those of the functions: more is no such number */

/*
 * Remember a walk.  Only the scheduler's are: a sample may come in the middle of one of those.
 * `next`: what versions_given() said.
 */
static __always_inline void walk_remember(struct thread *t, const struct py_layout *l,
					  const struct walk *walk, u32 next,
					  const struct walked *walked)
{
	struct walk_memo *memo = &t->memo;

	memo->next = 0;
	barrier();
	if (memo->tstate != t->tstate) {
		memo->versions =
			read_user_u64(NULL, t->tstate + l->ts_interp) + l->interp_code_versions;
		memo->tstate = t->tstate;
		return;
	}
	memo->chain = walk->chain;
	memo->walked = *walked;
	barrier();
	if (walked->stack == t->told_stack && !walk->untold &&
	    next - walk->newest - 1 < VERSIONS_AHEAD)
		memo->next = next;
}

/* Walk the current thread's stack, and have userspace know it. */
__noinline int walk_here(struct thread *t, const struct py_layout *l, u32 walker, u64 now,
			 struct walked *out)
{
	u32 tgid = bpf_get_current_task_btf()->tgid, next;
	struct walking s = {.tgid = tgid, .tick = tick_of(now)};
	struct walk *walk;

	if (!t || !l || !out)
		return 0;
	*out = (struct walked){.function = NO_FUNCTION, .behalf = NO_FUNCTION};
	if (!t->tstate)
		thread_look_for_state(t, l);
	if (!t->tstate)
		return 0;
	if (now >= t->look_ns) {
		t->look_ns = now + LOOK_NS;
		thread_note_states(t, l);
	}
	/* probed calls tell at each entry which one it is in, and count by that */
	if (t->states[1] && !(t->flags & PROCESS_CALLS))
		thread_choose_state(t, l);
	walk = walk_begin(t, tgid, walker);
	if (!walk)
		return 0;
	s.t = t;
	s.l = l;
	s.walk = walk;
	s.frame = current_frame(NULL, l, t->tstate);
	next = versions_given(t, l);
	near_read(l, walk, s.frame);
	bpf_loop(WALK_STEPS, walk_here_step, &s, 0);
	walk->chain = hash_step(walk->chain, walk->quality);
	if (next && next == t->memo.next && walk->chain == t->memo.chain) {
		*out = t->memo.walked;
		return 0;
	}
	bpf_loop(STACK_FRAMES, know_here_step, &s, 0);
	walk_end(t, walk, tgid, out);
	if (walker == WALKER_SCHEDULER && l->interp_code_versions != LAYOUT_ABSENT)
		walk_remember(t, l, walk, next, out);
	return 0;
}

/* The same of a thread that sleeps, whose state is known; only sleepable programs may. */
static __always_inline void walk_sleeper(struct task_struct *other, struct thread *t,
					 const struct py_layout *l, struct walked *out)
{
	struct walking s = {.tgid = other->tgid};
	struct walk *walk = walk_begin(t, s.tgid, WALKER_VISIT);

	if (!walk)
		return;
	s.other = other;
	s.t = t;
	s.l = l;
	s.walk = walk;
	s.frame = current_frame(other, l, t->tstate);
	bpf_loop(WALK_STEPS, walk_other_step, &s, 0);
	bpf_loop(STACK_FRAMES, know_other_step, &s, 0);
	walk_end(t, walk, s.tgid, out);
}

#endif
