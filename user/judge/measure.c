/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "measure.h"

#include <string.h>

#include "gil_use.h"
#include "idle.h"
#include "places.h"

/* A producer that sleeps longer than this between two items was told when to make one. */
#define QUEUE_SLEEP_NS 200000000ull

double share_of(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0.0;
}

/* Time of one class that counts as another. */
static void move(uint64_t *total, enum wait_class from, enum wait_class to, uint64_t ns)
{
	if (ns > total[from])
		ns = total[from];
	total[from] -= ns;
	total[to] += ns;
}

/*
 * Where the time went.  A wait not yet over is in a thread's total but may be in no
 * histogram, so of a class in which some waits are for work only those known not to
 * be count as held up; the rest of it is idle.
 */
static void add_up(const struct profile *profile, const struct profile_process *process,
		   struct limit *limit)
{
	uint64_t total[WAIT_CLASSES] = {0}, held[WAIT_CLASSES] = {0};
	bool some_idle[WAIT_CLASSES] = {false};
	uint64_t oncpu = 0;

	for (size_t i = 0; i < profile->thread_count; i++) {
		const struct profile_thread *thread = &profile->threads[i];

		if (thread->tgid != process->tgid)
			continue;
		oncpu += thread->oncpu_ns;
		for (int c = 0; c < WAIT_CLASSES; c++)
			total[c] += thread->wait_ns[c];
	}
	for (size_t i = 0; i < profile->wait_count; i++) {
		const struct profile_wait *wait = &profile->waits[i];
		enum wait_class counts_as = wait_counts_as(wait);

		if (wait->tgid != process->tgid)
			continue;
		if (wait_is_idle(wait)) {
			some_idle[wait->wait_class] = true;
			continue;
		}
		held[counts_as] += wait->time.sum_ns;
		move(total, wait->wait_class, counts_as, wait->time.sum_ns);
	}
	for (int c = 0; c < WAIT_CLASSES; c++) {
		uint64_t busy = total[c];

		if (wait_class_is_idle(c))
			busy = 0;
		else if (some_idle[c])
			busy = held[c] < total[c] ? held[c] : total[c];
		limit->busy_ns[c] = busy;
		limit->idle_ns[c] = total[c] - busy;
	}
	limit->busy_ns[LIMIT_ONCPU] = process->oncpu_ns ? process->oncpu_ns : oncpu;
	limit->observed_ns = process->observed_ns ? process->observed_ns : profile->duration_ns;
}

static void measure_gil(struct facts *facts)
{
	const struct profile *profile = facts->profile;
	const struct profile_contention *most = gil_most_wanted(profile, facts->process->tgid);
	uint64_t waited = facts->busy_ns[WAIT_GIL];

	for (size_t i = 0; i < profile->wait_count; i++)
		if (profile->waits[i].tgid == facts->process->tgid)
			facts->gil_held_ns += profile->waits[i].held_gil_ns;
	facts->gil_known = most || waited;
	if (most)
		facts->gil_ns = most->ns;
	if (most || !waited)
		return;
	/* nobody told how much of it was at the same time */
	facts->gil_ns = waited < facts->observed_ns ? waited : facts->observed_ns;
}

static void measure_gc(struct facts *facts)
{
	const struct profile *profile = facts->profile;
	const char *method = facts->process->gc_method;

	facts->gc_known = method && strcmp(method, "unknown") != 0;
	for (size_t i = 0; i < profile->gc_count; i++) {
		const struct profile_gc *gc = &profile->gcs[i];

		if (gc->tgid != facts->process->tgid)
			continue;
		facts->gc_known = true;
		facts->gc_ns += gc->time.sum_ns;
		if (!facts->gc || gc->time.sum_ns > facts->gc->time.sum_ns)
			facts->gc = gc;
	}
}

/* A wait in which a callback of an event loop holds up all others. */
static bool holds_up_a_loop(const struct profile *profile, const struct profile_stack *stack)
{
	switch (stack->part) {
	case STACK_ONCPU:
	case WAIT_GIL:
	case WAIT_RUNQ:
	case WAIT_OTHER: /* (a greenlet that is switched out) */
		return false;
	default:
		return frames_have(profile, stack->frames, stack->frame_count, "_run",
				   "asyncio/events.py");
	}
}

static void measure_loop(struct facts *facts)
{
	const struct profile *profile = facts->profile;
	uint32_t tgid = facts->process->tgid;

	for (size_t i = 0; i < profile->callback_count; i++) {
		const struct profile_callback *callback = &profile->callbacks[i];

		/* where all are counted most are short, and do no harm */
		if (callback->tgid != tgid || callback->max_ns < LOOP_LONG_NS)
			continue;
		facts->loop_ns += callback->sum_ns / LOOP_LONG_NS >= callback->count
					  ? callback->sum_ns
					  : callback->max_ns;
		if (callback->max_ns > facts->loop_longest_ns)
			facts->loop_longest_ns = callback->max_ns;
		if (!facts->callback || callback->sum_ns > facts->callback->sum_ns)
			facts->callback = callback;
	}
	for (size_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];

		if (stack->tgid == tgid && holds_up_a_loop(profile, stack))
			tally_add(&facts->loop_waits, stack_frame(profile, stack, 0), stack->ns);
	}
	if (facts->loop_waits.all > facts->loop_ns)
		facts->loop_ns = facts->loop_waits.all;
}

static bool is_queue_wait(const struct profile *profile, const struct profile_stack *stack)
{
	return stack->part == WAIT_LOCK && stack->waker_count &&
	       frames_have(profile, stack->frames, stack->frame_count, "get", "queue.py");
}

/* The outermost frame that is none of the library's: what the thread is there for. */
static const uint32_t *outermost_own(const struct profile *profile, const uint32_t *frames,
				     size_t count)
{
	for (size_t i = count; i-- > 0;)
		if (!place_is_library(profile->names[frames[i]].file))
			return &frames[i];
	return NULL;
}

static bool has_frame(const struct profile_stack *stack, uint32_t frame)
{
	for (size_t i = 0; i < stack->frame_count; i++)
		if (stack->frames[i] == frame)
			return true;
	return false;
}

/*
 * What a function does most, of LIMIT_PARTS; -1: who waits for work as well is no slow producer,
 * nor is one that seldom makes anything because it was told to sleep long.
 */
static int does_most(const struct facts *facts, uint32_t frame, uint64_t each_ns)
{
	const struct profile *profile = facts->profile;
	uint64_t parts[LIMIT_PARTS] = {0}, idle = 0;
	int best;

	for (size_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];

		if (stack->tgid != facts->process->tgid || !has_frame(stack, frame))
			continue;
		if (stack->part == WAIT_POLL || stack->part == WAIT_OTHER ||
		    stack->part == WAIT_LOCK || stack_waits_for_request(profile, stack) ||
		    (stack->part == WAIT_SLEEP && each_ns > QUEUE_SLEEP_NS) ||
		    frames_have(profile, stack->frames, 1, "accept", "socket.py"))
			idle += stack->ns;
		else
			parts[stack->part] += stack->ns;
	}
	best = limit_largest(parts);
	return parts[best] > idle ? best : -1;
}

/* Of waits for one producer, the longest so far. */
static void take_queue(struct facts *facts, const struct profile_stack *stack)
{
	const struct profile *profile = facts->profile;
	const struct profile_name *consumer, *producer;
	const uint32_t *from;
	int part;

	consumer = innermost_own(profile, stack->frames, stack->frame_count);
	producer = innermost_own(profile, stack->waker_frames, stack->waker_count);
	from = outermost_own(profile, stack->waker_frames, stack->waker_count);
	if (!consumer || !producer || !from || !stack->count)
		return;
	part = does_most(facts, *from, stack->ns / stack->count);
	if (part < 0)
		return;
	facts->queue_ns = stack->ns;
	facts->queue_count = stack->count;
	facts->consumer = consumer;
	facts->producer = producer;
	facts->producer_part = part;
}

static void measure_queue(struct facts *facts)
{
	const struct profile *profile = facts->profile;

	for (size_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];

		if (stack->tgid == facts->process->tgid && stack->ns > facts->queue_ns &&
		    is_queue_wait(profile, stack))
			take_queue(facts, stack);
	}
}

void measure(const struct profile *profile, const struct profile_process *process,
	     struct limit *limit, struct facts *facts)
{
	*facts = (struct facts){.profile = profile, .process = process, .producer_part = -1};
	add_up(profile, process, limit);
	for (int part = 0; part < LIMIT_PARTS; part++)
		limit->active_ns += limit->busy_ns[part];
	facts->observed_ns = limit->observed_ns;
	facts->active_ns = limit->active_ns;
	facts->busy_ns = limit->busy_ns;
	measure_gil(facts);
	measure_gc(facts);
	measure_loop(facts);
	measure_queue(facts);
}
