/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The shadow stack: which calls of a thread are in progress, and the accounting
 * when one begins, suspends or ends.  Nothing here reads a target's memory.
 */
#ifndef PYTRACE_STACK_BPF_H
#define PYTRACE_STACK_BPF_H

#include "common.bpf.h"

/* How a segment ended. */
enum ending {
	ENDED_RETURN,
	ENDED_YIELD,
	ENDED_EXCEPTION,
	ENDED_UNSEEN, /* gone, but when and how was not seen */
};

/* The nth of a thread's chunks after the first. */
static __always_inline struct stack_chunk *stack_chunk(struct task_struct *task, struct thread *t,
						       u32 nth, u64 create)
{
	struct stack_chunk_key key = {.task = (u64)task, .nth = nth};
	struct stack_chunk *chunk = bpf_map_lookup_elem(&stack_chunks, &key);
	u32 zero = 0;
	void *blank;

	if (chunk || !create)
		return chunk;
	blank = bpf_map_lookup_elem(&stack_chunk_blank, &zero);
	if (!blank || bpf_map_update_elem(&stack_chunks, &key, blank, BPF_NOEXIST))
		return NULL;
	if (t->stack_chunks <= nth)
		t->stack_chunks = nth + 1;
	return bpf_map_lookup_elem(&stack_chunks, &key);
}

static __noinline struct shadow_frame *shadow_deep(struct task_struct *task, struct thread *t,
						   u32 index, u64 create)
{
	struct stack_chunk *chunk;

	index -= STACK_INLINE;
	if (index < STACK_CHUNK) {
		chunk = bpf_task_storage_get(&first_chunks, task, NULL, create);
	} else if (index < STACK_CHUNKS * STACK_CHUNK) {
		chunk = stack_chunk(task, t, index / STACK_CHUNK - 1, create);
		index %= STACK_CHUNK;
	} else {
		return NULL;
	}
	if (!chunk)
		return NULL;
	barrier_var(chunk); /* no arithmetic on it before the check */
	barrier_var(index);
	if (index >= STACK_CHUNK)
		return NULL;
	return &chunk->frames[index];
}

/* The frame at a depth, NULL beyond what is kept. */
static __always_inline struct shadow_frame *shadow_at(struct task_struct *task, struct thread *t,
						      u32 index)
{
	barrier_var(index); /* the verifier must see the very value that is compared */
	if (index < STACK_INLINE)
		return &t->frames[index];
	return shadow_deep(task, t, index, 0);
}

/* The same, with memory for it where there is none yet. */
static __always_inline struct shadow_frame *shadow_make(struct task_struct *task, struct thread *t,
							u32 index)
{
	barrier_var(index);
	if (index < STACK_INLINE)
		return &t->frames[index];
	return shadow_deep(task, t, index, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* The thread is over: its chunks in task storage go with it, these do not. */
static __always_inline void stack_chunks_free(struct task_struct *task, struct thread *t)
{
	for (u32 i = 0; i < STACK_CHUNKS && i < t->stack_chunks; i++) {
		struct stack_chunk_key key = {.task = (u64)task, .nth = i};

		bpf_map_delete_elem(&stack_chunks, &key);
	}
	t->stack_chunks = 0;
}

static __always_inline void shadow_fill(struct shadow_frame *f, const struct thread *t, u64 frame,
					u64 previous, u32 function, enum segment segment, u64 now)
{
	f->frame = frame;
	f->previous = previous;
	f->child_ns = 0;
	f->probe_at = t->probe_ns;
	f->function = function;
	f->waited = 0;
	f->cause.ns = 0;
	f->segment = segment;
	f->raised_ns = 0;
	f->start_ns = now;
}

/* False if it is deeper than we keep: then only its depth is counted. */
static __always_inline bool shadow_push(struct task_struct *task, struct thread *t, u64 frame,
					u64 previous, u32 function, enum segment segment, u64 now)
{
	u32 index = t->depth;
	struct shadow_frame *f;

	t->depth = index + 1;
	f = shadow_make(task, t, index);
	if (!f) {
		t->deep_frame = frame;
		t->deep_state = DEEP_ENTERED;
		lose(LOSS_DEPTH);
		return false;
	}
	shadow_fill(f, t, frame, previous, function, segment, now);
	return true;
}

/*
 * The topmost frame, NULL if it is deeper than we keep.  That the highest one we keep is
 * `frame` again shows that all those above have gone, seen or not.
 */
static __always_inline struct shadow_frame *shadow_top(struct task_struct *task, struct thread *t,
						       u64 frame)
{
	struct shadow_frame *kept;

	if (t->depth <= STACK_MAX)
		return shadow_at(task, t, t->depth - 1);
	kept = shadow_at(task, t, STACK_MAX - 1);
	if (!kept || kept->frame != frame)
		return NULL;
	t->depth = STACK_MAX;
	return kept;
}

__noinline int cause_vote(struct cause *leads, u32 wait_class, u32 what, u64 ns)
{
	if (!leads)
		return 0;
	if (leads->ns && leads->wait_class == wait_class && leads->what == what) {
		leads->ns += ns;
	} else if (leads->ns >= ns) {
		leads->ns -= ns;
	} else {
		leads->ns = ns - leads->ns;
		leads->wait_class = wait_class;
		leads->what = what;
	}
	return 0;
}

static __always_inline void causes_merge(struct cause *into, const struct cause *from)
{
	if (from->ns)
		cause_vote(into, from->wait_class, from->what, from->ns);
}

__noinline int frame_waited(struct shadow_frame *f, u32 wait_class, u32 what, u64 ns)
{
	if (!f || wait_class >= WAIT_CLASSES)
		return 0;
	if (!(f->waited & (1 << wait_class)))
		f->wait_ns[wait_class] = 0;
	f->waited |= 1 << wait_class;
	f->wait_ns[wait_class] += ns;
	cause_vote(&f->cause, wait_class, what, ns);
	return 0;
}

/*
 * Add one wait to the call on top; callers get it when the call ends.  `what` as in struct
 * record_slow.
 */
static __always_inline void shadow_wait(struct task_struct *task, struct thread *t,
					enum wait_class wait_class, u32 what, u64 ns)
{
	struct shadow_frame *f;

	f = t->depth ? shadow_at(task, t, t->depth - 1) : NULL;
	if (f)
		frame_waited(f, wait_class, what, ns);
}

/* ns if the class is in the set, else 0, without a branch: eleven would be 2048 paths to verify. */
static __always_inline u64 if_waited(u32 set, u32 wait_class, u64 ns)
{
	return ns & -(u64)((set >> wait_class) & 1);
}

static __always_inline void waits_to_parent(struct shadow_frame *parent,
					    const struct shadow_frame *f)
{
	for (u32 c = 0; c < WAIT_CLASSES; c++)
		parent->wait_ns[c] = if_waited(parent->waited, c, parent->wait_ns[c]) +
				     if_waited(f->waited, c, f->wait_ns[c]);
	parent->waited |= f->waited;
	causes_merge(&parent->cause, &f->cause);
}

static __always_inline void waits_to_generator(struct generator *g, const struct shadow_frame *f)
{
	for (u32 c = 0; c < WAIT_CLASSES; c++)
		g->wait_ns[c] += if_waited(f->waited, c, f->wait_ns[c]);
	g->waited |= f->waited;
	causes_merge(&g->cause, &f->cause);
}

static __always_inline void waits_account(__u64 *sums, u32 waited, const u64 *wait_ns)
{
	for (u32 c = 0; c < WAIT_CLASSES; c++)
		__sync_fetch_and_add(&sums[c], if_waited(waited, c, wait_ns[c]));
}

/*
 * What is left of a segment without our probes.  They take of its time on a CPU, never of its
 * waits, even where their estimated cost says so.
 */
static __always_inline s64 at_least_its_waits(const struct shadow_frame *f, s64 wall)
{
	s64 waits = 0;

	for (u32 c = 0; c < WAIT_CLASSES; c++)
		waits += if_waited(f->waited, c, f->wait_ns[c]);
	return wall < waits ? waits : wall;
}

#define SLOW_CAUSE_PART 4 /* of its wall time: less is no cause */

/* A slow call waited for something. */
__noinline int slow_tell(u32 function, const struct cause *cause, u64 wall)
{
	struct record_slow *record;

	if (!cause || cause->ns < wall / SLOW_CAUSE_PART)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		lose(LOSS_RING_SLOW);
		return 0;
	}
	record->kind = RECORD_SLOW;
	record->tgid = bpf_get_current_task_btf()->tgid;
	record->function = function;
	record->wait_class = cause->wait_class;
	record->what = cause->what;
	record->pad = 0;
	record->ns = cause->ns;
	bpf_ringbuf_submit(record, ring_wake_flag());
	return 0;
}

/*
 * A call is over, seen from its entry on: into the function's histogram, and if it was one of
 * the slow ones, into its tail.  What is left of its wall time without our probes may be less
 * than nothing, for their cost is an estimate: the sum is to come out right.
 */
static __always_inline void call_account(struct function_stats *stats, u32 function, s64 left,
					 bool raised, u32 waited, const u64 *wait_ns,
					 const struct cause *cause)
{
	u64 wall = left > 0 ? left : 1;
	u32 bucket = bucket_of(wall);

	if (bucket < BUCKET_COUNT)
		__sync_fetch_and_add(&stats->buckets[bucket], 1);
	__sync_fetch_and_add(&stats->exits, 1);
	__sync_fetch_and_add(&stats->wall_ns, left);
	if (raised)
		__sync_fetch_and_add(&stats->exceptions, 1);
	if (wall > stats->max_ns)
		stats->max_ns = wall;
	if (!stats->min_ns || wall < stats->min_ns)
		stats->min_ns = wall;
	if (waited)
		waits_account(stats->wait_ns, waited, wait_ns);
	if (wall <= stats->tail_from_ns - 1) /* always, where that is 0 */
		return;
	__sync_fetch_and_add(&stats->tail.calls, 1);
	__sync_fetch_and_add(&stats->tail.wall_ns, left);
	waits_account(stats->tail.wait_ns, waited, wait_ns);
	if (waited && stats->tail_from_ns)
		slow_tell(function, cause, wall);
}

/*
 * A generator begins where another one was: that one was closed or dropped without being
 * run again (3.13+: Objects/genobject.c, gen_close), or raised what C code swallowed in a thread
 * that has not gone on since.  Its call ended when it last suspended.  Was there one?
 */
static __always_inline bool generator_gone(const struct frame_key *key)
{
	struct generator *g = bpf_map_lookup_elem(&generators, key);
	struct function_stats *stats;
	u32 function;

	if (!g)
		return false;
	function = g->function;
	stats = stats_of_slot(function);
	if (stats) {
		__sync_fetch_and_add(&stats->suspended_ns, g->suspended_ns);
		call_account(stats, function, g->wall_ns, false, g->waited, g->wait_ns, &g->cause);
	}
	return true;
}

/* A segment ended in a suspension: keep what the call has had so far. */
static __always_inline int generator_suspend(const struct shadow_frame *f, u32 tgid, u64 now,
					     s64 wall)
{
	struct frame_key key = {.tgid = tgid};
	struct generator *g;
	void *blank;
	bool heir;
	u32 zero = 0;

	if (!f)
		return 0;
	key.frame = f->frame;
	if (f->segment == SEGMENT_RESUMED) {
		g = bpf_map_lookup_elem(&generators, &key);
		if (!g)
			return 0; /* it began before we looked */
		g->suspended_ns += f->start_ns - g->yield_ns;
	} else {
		blank = bpf_map_lookup_elem(&generator_blank, &zero);
		heir = generator_gone(&key);
		if (!blank || bpf_map_update_elem(&generators, &key, blank, BPF_ANY)) {
			lose(LOSS_GENERATORS_FULL);
			return 0;
		}
		g = bpf_map_lookup_elem(&generators, &key);
		if (!g)
			return 0;
		g->function = f->function;
		g->heir = heir;
	}
	g->wall_ns += wall;
	g->yield_ns = now;
	waits_to_generator(g, f);
	return 0;
}

/*
 * Is what is kept under a resumed frame's address of its call?  One that was suspended
 * after this segment began is a later call's: another thread has made a generator where
 * this one was before we heard that it was gone.  Then generator_gone() has ended this call.
 */
static __always_inline bool generator_is_later(const struct generator *g,
					       const struct shadow_frame *f)
{
	return g->yield_ns > f->start_ns;
}

/* The call will not end where we see it.  Was it known? */
static __always_inline bool generator_forget(const struct shadow_frame *f, u32 tgid)
{
	struct frame_key key = {.frame = f->frame, .tgid = tgid};
	struct generator *g = bpf_map_lookup_elem(&generators, &key);

	return g && !generator_is_later(g, f) && !bpf_map_delete_elem(&generators, &key);
}

/* A call is over that began before we looked. */
static __always_inline void count_began_before(struct function_stats *stats)
{
	__sync_fetch_and_add(&stats->began_before, 1);
	lose(LOSS_BEGAN_BEFORE);
}

/* A call that was suspended at least once is over. */
static __always_inline int generator_finish(const struct shadow_frame *f,
					    struct function_stats *stats, u32 tgid, s64 wall,
					    u32 raised)
{
	struct frame_key key = {.tgid = tgid};
	struct generator *g;

	if (!f || !stats)
		return 0;
	key.frame = f->frame;
	g = bpf_map_lookup_elem(&generators, &key);
	if (g && generator_is_later(g, f)) {
		if (raised)
			__sync_fetch_and_add(&stats->exceptions, 1);
		return 0;
	}
	if (!g || g->function != f->function) {
		count_began_before(stats);
		return 0;
	}
	waits_to_generator(g, f);
	__sync_fetch_and_add(&stats->suspended_ns, g->suspended_ns + f->start_ns - g->yield_ns);
	call_account(stats, f->function, g->wall_ns + wall, raised, g->waited, g->wait_ns,
		     &g->cause);
	if (g->heir)
		g->function = NO_FUNCTION;
	else
		bpf_map_delete_elem(&generators, &key);
	return 0;
}

/* A call of an event loop's is over: remember it until this hit's program can tell. */
static __always_inline void loop_leave(struct thread *t, const struct shadow_frame *f, u32 index,
				       s64 wall)
{
	const struct loop_call *call = &t->loop_calls[index % OPEN_CALLBACKS];

	if (wall < callback_least_ns)
		return;
	if (t->call_over.pending)
		lose(LOSS_CALLBACKS_FULL); /* two ended at once */
	t->call_over.handle = call->frame == f->frame ? call->handle : 0;
	t->call_over.ns = wall;
	t->call_over.function = f->function;
	t->call_over.pending = 1;
}

/* End the topmost segment of the current task.  (Not static: verified once, not at each call.) */
__noinline int shadow_pop(struct thread *t, enum ending how, u64 now)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct shadow_frame *f, *parent = NULL;
	u32 index;
	struct function_stats *stats;
	u32 function, tgid;
	u64 probes;
	s64 wall;

	if (!t)
		return 0;
	tgid = task->tgid;
	index = t->depth - 1;
	f = shadow_at(task, t, index);
	t->depth = index;
	if (!f)
		return 0;
	if (now < f->start_ns)
		now = f->start_ns;
	probes = t->probe_ns - f->probe_at;
	wall = now - f->start_ns - probes;
	if (f->waited)
		wall = at_least_its_waits(f, wall);
	if (index)
		parent = shadow_at(task, t, index - 1);
	if (parent) {
		parent->child_ns += wall;
		if (f->waited)
			waits_to_parent(parent, f);
	}
	function = f->function;
	stats = stats_of_slot(function);
	if (!stats)
		return 0;
	__sync_fetch_and_add(&stats->self_ns, wall - f->child_ns);
	__sync_fetch_and_add(&stats->probe_ns, probes);
	if (f->segment == SEGMENT_BEFORE) {
		if (how != ENDED_YIELD) /* which is no end: that comes when it was resumed */
			count_began_before(stats);
	} else if (how == ENDED_UNSEEN) {
		if (f->segment == SEGMENT_RESUMED && !generator_forget(f, tgid))
			return 0; /* its beginning was not counted either */
		__sync_fetch_and_add(&stats->ended_unseen, 1);
		lose(LOSS_EXIT_UNSEEN);
	} else if (how == ENDED_YIELD) {
		generator_suspend(f, tgid, now, wall);
	} else if (f->segment == SEGMENT_RESUMED) {
		generator_finish(f, stats, tgid, wall, how == ENDED_EXCEPTION);
	} else {
		call_account(stats, function, wall, how == ENDED_EXCEPTION, f->waited, f->wait_ns,
			     &f->cause);
		if (stats->role == ROLE_LOOP_CALL)
			loop_leave(t, f, index, wall);
	}
	return 0;
}

#endif
