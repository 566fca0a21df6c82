/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "blame.h"

#include <string.h>

#include "idle.h"
#include "places.h"

/* Fewer samples than this name no function. */
#define FEW_SAMPLES 10
/* Condition.wait() and Condition.wait_for() */
#define MOST_ABOVE_CALLER 2

static bool is_that(const struct profile_name *name, const struct profile_name *that)
{
	return name && same_name(name, that);
}

/* Of two functions of the library that tell of one wait, that which says more. */
static struct profile_name name_of_wait(const struct profile_wait *wait)
{
	if (wait->caller.function && !wait_is_idle(wait))
		return wait->caller;
	return wait_function(wait);
}

/* Is it on top, but for what it may have called to wait in? */
static bool is_near_top(const struct profile *profile, const struct profile_stack *stack,
			const struct profile_name *function)
{
	for (size_t i = 0; i < MOST_ABOVE_CALLER + 1; i++)
		if (is_that(stack_frame(profile, stack, i), function))
			return true;
	return false;
}

/* Does a stack count as one of that function? */
typedef bool (*stack_test)(const struct profile *profile, const struct profile_stack *stack,
			   const struct profile_name *function);

/*
 * The program's own function that most of that part's stacks of a function were called from, or
 * NULL.
 */
static const char *own_caller(const struct facts *facts, int part, stack_test is_of,
			      const struct profile_name *function)
{
	const struct profile *profile = facts->profile;
	struct tally callers = {.count = 0};
	const struct profile_name *most;
	uint64_t ns;

	for (size_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];

		if (stack->tgid == facts->process->tgid && stack->part == (uint32_t)part &&
		    is_of(profile, stack, function))
			tally_add(&callers,
				  innermost_own(profile, stack->frames, stack->frame_count),
				  stack->ns);
	}
	most = tally_most(&callers, &ns);
	return most ? most->function : NULL;
}

/* Whose code called the library's function that the limit names.  `part`: of the stacks. */
static void find_caller(const struct facts *facts, int part, const struct profile_name *function,
			struct limit *limit)
{
	const char *caller;

	if (!place_is_library(function->file))
		return;
	caller = own_caller(facts, part, is_near_top, function);
	if (caller)
		limit->caller = caller;
}

/* The native code that more than half of its samples were in, if one place has so many. */
static void find_native(const struct facts *facts, const struct profile_name *function,
			struct limit *limit)
{
	const struct profile *profile = facts->profile;
	struct tally leaves = {.count = 0};
	const struct profile_name *most;
	uint64_t ns;

	for (size_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];
		struct profile_name leaf = {.function = stack->native};

		if (stack->tgid == facts->process->tgid && stack->part == STACK_ONCPU &&
		    is_that(stack_frame(profile, stack, 0), function))
			tally_add(&leaves, &leaf, stack->ns);
	}
	most = tally_most(&leaves, &ns);
	if (most && 2 * ns > leaves.all)
		limit->native = most->function;
}

/* Time `function` waited itself, which is in its self time but not on-CPU. */
static uint64_t own_waits(const struct profile *profile, const struct profile_function *function)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < profile->wait_count; i++) {
		const struct profile_wait *wait = &profile->waits[i];

		if (wait->tgid == function->tgid && wait->line == function->line &&
		    wait->function && function->function &&
		    !strcmp(wait->function, function->function) && wait->file && function->file &&
		    !strcmp(wait->file, function->file))
			sum += wait->time.sum_ns;
	}
	return sum;
}

/* By the calls, where there are no samples. */
static void find_largest_self(const struct facts *facts, struct limit *limit)
{
	const struct profile *profile = facts->profile;
	uint64_t most = 0, own;

	for (size_t i = 0; i < profile->function_count; i++) {
		const struct profile_function *f = &profile->functions[i];

		/* Its waits are only worth adding up if it could still be the one. */
		if (f->tgid != facts->process->tgid || !f->called || f->self_ns <= most)
			continue;
		own = own_waits(profile, f);
		if (f->self_ns <= own || f->self_ns - own <= most)
			continue;
		most = f->self_ns - own;
		limit->function = f->function;
	}
	limit->where_share = share_of(most, limit->busy_ns[LIMIT_ONCPU]);
}

static void blame_cpu(const struct facts *facts, struct limit *limit)
{
	const struct profile *profile = facts->profile;
	struct tally tops = {.count = 0};
	const struct profile_name *most = NULL;
	uint64_t ns;

	if (facts->process->samples < FEW_SAMPLES) {
		find_largest_self(facts, limit);
		return;
	}
	for (size_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];

		if (stack->tgid == facts->process->tgid && stack->part == STACK_ONCPU)
			tally_add(&tops, stack_frame(profile, stack, 0), stack->ns);
	}
	most = tally_most(&tops, &ns);
	if (!most) {
		find_largest_self(facts, limit);
		return;
	}
	limit->function = most->function;
	limit->where_share = share_of(ns, limit->busy_ns[LIMIT_ONCPU]);
	find_native(facts, most, limit);
	find_caller(facts, STACK_ONCPU, most, limit);
}

/* What most of the waits of one function were for.  Those without room for a name are not one. */
static void find_target(const struct facts *facts, int part, const struct profile_name *function,
			struct limit *limit)
{
	const struct profile *profile = facts->profile;
	struct tally targets = {.count = 0};
	const struct profile_name *most;
	uint64_t ns;

	for (size_t i = 0; i < profile->wait_count; i++) {
		const struct profile_wait *wait = &profile->waits[i];
		struct profile_name name = name_of_wait(wait), target = {.function = wait->target};

		/* what a wait that counts as another is for is not what that is for */
		if (wait->tgid == facts->process->tgid && (int)wait->wait_class == part &&
		    is_that(&name, function))
			tally_add(&targets, same_text(wait->target, OTHER_TARGETS) ? NULL : &target,
				  wait->time.sum_ns);
	}
	most = tally_most(&targets, &ns);
	if (most && 2 * ns > targets.all)
		limit->target = most->function;
}

/* Does it hold the process up, or keep it idle, in that part? */
static bool is_in(const struct facts *facts, const struct profile_wait *wait, int part, bool idle)
{
	return wait->tgid == facts->process->tgid && (int)wait_counts_as(wait) == part &&
	       wait_is_idle(wait) == idle;
}

void blame_wait(const struct facts *facts, int part, bool idle, struct limit *limit)
{
	const struct profile *profile = facts->profile;
	struct tally functions = {.count = 0};
	const struct profile_name *most;
	uint64_t ns, longest = 0;

	for (size_t i = 0; i < profile->wait_count; i++) {
		const struct profile_wait *wait = &profile->waits[i];
		struct profile_name name = name_of_wait(wait);

		if (is_in(facts, wait, part, idle))
			tally_add(&functions, &name, wait->time.sum_ns);
	}
	most = tally_most(&functions, &ns);
	if (!most)
		return;
	limit->function = most->function;
	limit->where_share = share_of(ns, idle ? limit->idle_ns[part] : limit->busy_ns[part]);
	for (size_t i = 0; i < profile->wait_count; i++) {
		const struct profile_wait *wait = &profile->waits[i];
		struct profile_name name = name_of_wait(wait);

		if (!is_in(facts, wait, part, idle) || !is_that(&name, most) ||
		    wait->time.sum_ns <= longest)
			continue;
		longest = wait->time.sum_ns;
		limit->wait = wait;
	}
	find_target(facts, part, most, limit);
	if (part == WAIT_LOCK && limit->wait)
		limit->waker = limit->wait->waker;
	if (limit->wait)
		find_caller(facts, limit->wait->wait_class, most, limit);
}

/* The library's function of that name on top: who holds the GIL is known by name only. */
static bool has_library_top(const struct profile *profile, const struct profile_stack *stack,
			    const struct profile_name *holder)
{
	const struct profile_name *top = stack_frame(profile, stack, 0);

	return top && same_text(top->function, holder->function) && place_is_library(top->file);
}

static void blame_gil(const struct facts *facts, struct limit *limit)
{
	const struct profile *profile = facts->profile;
	struct tally holders = {.count = 0};
	const struct profile_name *most;
	uint64_t ns;

	blame_wait(facts, WAIT_GIL, false, limit);
	for (size_t i = 0; i < profile->gil_count; i++) {
		const struct profile_gil *gil = &profile->gils[i];
		struct profile_name name = {.function = gil->longest ?: gil->holder};

		if (gil->tgid == facts->process->tgid)
			tally_add(&holders, &name, gil->time.sum_ns);
	}
	most = tally_most(&holders, &ns);
	if (!most)
		return;
	limit->holder = most->function;
	limit->holder_share = share_of(ns, holders.all);
	limit->holder_caller = own_caller(facts, STACK_ONCPU, has_library_top, most);
}

static void blame_gc(const struct facts *facts, struct limit *limit)
{
	const struct profile *profile = facts->profile;
	struct tally functions = {.count = 0};
	const struct profile_name *most;
	uint64_t ns;

	for (size_t i = 0; i < profile->gc_count; i++) {
		const struct profile_gc *gc = &profile->gcs[i];
		struct profile_name name = {gc->function, gc->file, gc->line};

		if (gc->tgid == facts->process->tgid)
			tally_add(&functions, &name, gc->time.sum_ns);
	}
	most = tally_most(&functions, &ns);
	if (most)
		limit->function = most->function;
	limit->where_share = share_of(ns, functions.all);
}

static void blame_loop(const struct facts *facts, struct limit *limit)
{
	uint64_t ns;
	const struct profile_name *waits = tally_most(&facts->loop_waits, &ns);

	if (facts->callback) {
		limit->function = facts->callback->function;
		limit->where_share = share_of(facts->callback->sum_ns, facts->loop_ns);
		limit->longest_ns = facts->loop_longest_ns;
	}
	if (!waits || ns * 2 < facts->loop_ns)
		return;
	/* most of it is waited in there, which says more than what the loop called */
	limit->caller = limit->function;
	limit->function = waits->function;
	limit->where_share = share_of(ns, facts->loop_ns);
}

const struct profile_name *faults_most(const struct profile *profile, uint32_t tgid,
				       struct tally *faults, uint64_t *count)
{
	*faults = (struct tally){.count = 0};
	for (size_t i = 0; i < profile->fault_count; i++) {
		const struct profile_fault *fault = &profile->faults[i];
		const struct profile_name *own;

		if (fault->tgid != tgid)
			continue;
		own = innermost_own(profile, fault->frames, fault->frame_count);
		if (!own && fault->frame_count)
			own = &profile->names[fault->frames[0]];
		tally_add(faults, own, fault->count);
	}
	return tally_most(faults, count);
}

static void blame_memory(const struct facts *facts, struct limit *limit)
{
	struct tally faults;
	uint64_t count;
	const struct profile_name *most =
		faults_most(facts->profile, facts->process->tgid, &faults, &count);

	if (!most) {
		blame_cpu(facts, limit);
		return;
	}
	limit->function = most->function;
	limit->where_share = share_of(count, faults.all);
	limit->faults = faults.all;
}

static void blame_queue(const struct facts *facts, struct limit *limit)
{
	limit->function = facts->consumer->function;
	limit->waker = facts->producer->function;
	limit->where_share = 1;
}

void blame(const struct facts *facts, const struct limit_rule *rule, struct limit *limit)
{
	switch (rule->blame) {
	case BLAME_CPU:
		blame_cpu(facts, limit);
		break;
	case BLAME_WAIT:
		blame_wait(facts, rule->part, false, limit);
		break;
	case BLAME_GIL:
		blame_gil(facts, limit);
		break;
	case BLAME_GC:
		blame_gc(facts, limit);
		break;
	case BLAME_LOOP:
		blame_loop(facts, limit);
		break;
	case BLAME_QUEUE:
		blame_queue(facts, limit);
		break;
	case BLAME_MEMORY:
		blame_memory(facts, limit);
		break;
	}
}
