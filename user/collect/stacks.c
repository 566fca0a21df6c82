/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "stacks.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PROCESS_STACKS 65536 /* different ones of one process */

void stack_total__set(struct stack_total *stack, struct function_total *const *functions,
		      size_t count)
{
	struct function_total **copy =
		reallocarray(stack->functions, count, sizeof(struct function_total *));

	if (!copy)
		return;
	for (size_t i = 0; i < count; i++)
		copy[i] = functions[i];
	stack->functions = copy;
	stack->count = count;
}

static bool has_room(struct collector *collector, const struct process_total *process)
{
	if (HASH_COUNT(process->stacks) < MAX_PROCESS_STACKS)
		return true;
	collector->losses[LOSS_STACKS_FULL]++;
	return false;
}

void stacks_add(struct collector *collector, struct process_total *process,
		const struct record_stack *record)
{
	struct function_total *functions[STACK_FRAMES];
	struct stack_total *stack;

	if (!record->frames || record->frames > STACK_FRAMES || !record->id ||
	    record->quality > STACK_UNREADABLE || !has_room(collector, process))
		return;
	for (size_t i = 0; i < record->frames; i++)
		functions[i] = collector__slot_function(collector, record->functions[i], process);
	stack = process_total__stack(process, record->id);
	if (!stack)
		return;
	stack->quality = record->quality;
	stack_total__set(stack, functions, record->frames);
}

/* A number for a stack of one function that no stack of the kernel side has: theirs are odd. */
static uint64_t id_of_function(const struct function_total *function)
{
	return (uint64_t)(uintptr_t)function;
}

const struct stack_total *stacks_find(struct collector *collector, struct process_total *process,
				      uint64_t id, struct function_total *top)
{
	struct stack_total *stack = NULL;

	if (!id)
		return NULL;
	HASH_FIND(hh, process->stacks, &id, sizeof(id), stack);
	if (stack || !top)
		return stack;
	id = id_of_function(top);
	HASH_FIND(hh, process->stacks, &id, sizeof(id), stack);
	if (!stack && has_room(collector, process))
		stack = process_total__stack(process, id);
	if (!stack)
		return NULL;
	stack->quality = STACK_UNREADABLE;
	if (!stack->count || stack->functions[0] != top) /* (where another function once was) */
		stack_total__set(stack, &top, 1);
	return stack;
}

void stacks_use(struct process_total *process, const struct stack_key *key, uint64_t ns,
		uint64_t count)
{
	struct stack_use *use;

	if (!ns && !count)
		return;
	use = process_total__stack_use(process, key);
	if (!use)
		return;
	use->ns += ns;
	use->count += count;
}

void stacks_sample(struct process_total *process, const struct stack_key *key, bool has_gil)
{
	struct stack_use *use = process_total__stack_use(process, key);

	if (!use)
		return;
	use->count++;
	use->gil_samples += has_gil;
}

static void add_up(const struct stack_use *use)
{
	const struct stack_total *stack = use->key.stack;

	bool faults = use->key.part == STACK_FAULTS;

	if (!stack || !stack->count)
		return;
	if (stack->functions[0] && faults)
		stack->functions[0]->stack.faults_exclusive += use->count;
	else if (stack->functions[0])
		stack->functions[0]->stack.exclusive_ns += use->ns;
	for (size_t i = 0; i < stack->count; i++) {
		struct function_total *function = stack->functions[i];

		if (!function || function->stack.counted == use)
			continue; /* a recursion counts once */
		function->stack.counted = use;
		if (faults) {
			function->stack.faults_inclusive += use->count;
			continue;
		}
		function->stack.inclusive_ns += use->ns;
		function->stack.ns[use->key.part] += use->ns;
	}
}

/* Without samples it ran in code that is not known. */
static void weigh_samples(struct process_total *process)
{
	const struct stack_key nowhere = {.part = STACK_ONCPU};

	if (!process->samples)
		stacks_use(process, &nowhere, process_total__oncpu_ns(process), 0);
	for (struct stack_use *use = process->stack_uses; use; use = use->hh.next)
		if (use->key.part == STACK_ONCPU && process->samples)
			use->ns = process_total__sampled_ns(process, use->count);
}

void stacks_add_up(struct process_total *process)
{
	weigh_samples(process);
	for (struct function_total *f = process->functions; f; f = f->hh.next)
		memset(&f->stack, 0, sizeof(f->stack));
	for (struct stack_use *use = process->stack_uses; use; use = use->hh.next)
		add_up(use);
}

/* The function's place in the profile's names; UINT32_MAX without memory. */
static uint32_t name_of(struct profile *profile, struct function_total *function)
{
	struct profile_name *name;

	if (function->name_index)
		return function->name_index - 1;
	name = profile__add_name(profile);
	if (!name)
		return UINT32_MAX;
	name->function = strdup(function->name.function);
	name->file = strdup(function->name.file);
	name->line = function->name.line;
	function->name_index = profile->name_count;
	return function->name_index - 1;
}

static int fill_frames(struct profile *profile, const struct stack_total *stack, uint32_t **frames,
		       size_t *count)
{
	if (!stack || !stack->count)
		return 0;
	*frames = calloc(stack->count, sizeof(**frames));
	if (!*frames)
		return -1;
	for (size_t i = 0; i < stack->count; i++) {
		uint32_t name;

		if (!stack->functions[i])
			continue;
		name = name_of(profile, stack->functions[i]);
		if (name == UINT32_MAX)
			return -1;
		(*frames)[(*count)++] = name;
	}
	return 0;
}

static int add_stack(struct profile *profile, uint32_t tgid, const struct stack_use *use)
{
	struct profile_stack *out = profile__add_stack(profile);
	const struct stack_key *key = &use->key;

	if (!out)
		return -1;
	out->tgid = tgid;
	out->part = key->part;
	out->quality = key->stack ? key->stack->quality : STACK_NONE;
	out->count = use->count;
	out->gil_samples = use->gil_samples;
	out->ns = use->ns;
	out->native = key->native ? strdup(key->native) : NULL;
	if (fill_frames(profile, key->stack, &out->frames, &out->frame_count))
		return -1;
	return fill_frames(profile, key->waker, &out->waker_frames, &out->waker_count);
}

static int add_fault(struct profile *profile, uint32_t tgid, const struct stack_use *use)
{
	struct profile_fault *out = profile__add_fault(profile);
	const struct stack_key *key = &use->key;

	if (!out)
		return -1;
	out->tgid = tgid;
	out->quality = key->stack ? key->stack->quality : STACK_NONE;
	out->count = use->count;
	out->native = key->native ? strdup(key->native) : NULL;
	return fill_frames(profile, key->stack, &out->frames, &out->frame_count);
}

static char *name_or_null(const struct function_total *function)
{
	return function ? strdup(function->name.function) : NULL;
}

/* A GIL's number in its process: in the order they were met. */
static uint32_t interpreter_of(const struct process_total *process, uint64_t gil)
{
	uint32_t number = 0;

	for (struct gil_contention *c = process->contention; c && c->gil != gil; c = c->hh.next)
		number++;
	return number;
}

static int add_gils(struct profile *profile, const struct process_total *process)
{
	for (struct gil_total *gil = process->gils; gil; gil = gil->hh.next) {
		struct profile_gil *out = profile__add_gil(profile);

		if (!out)
			return -1;
		out->tgid = process->process.tgid;
		out->interpreter = interpreter_of(process, gil->key.gil);
		out->waiter = name_or_null(gil->key.waiter);
		out->holder = name_or_null(gil->key.holder);
		out->longest = name_or_null(gil->key.longest);
		out->sure = gil->sure;
		out->time = histogram_take(&gil->time);
	}
	for (struct gil_contention *gil = process->contention; gil; gil = gil->hh.next) {
		struct profile_contention *out = profile__add_contention(profile);

		if (!out)
			return -1;
		out->tgid = process->process.tgid;
		out->interpreter = interpreter_of(process, gil->gil);
		out->ns = gil->ns;
	}
	return 0;
}

int stacks_profile(struct profile *profile, struct process_total *process)
{
	for (struct function_total *f = process->functions; f; f = f->hh.next)
		f->name_index = 0;
	for (struct stack_use *use = process->stack_uses; use; use = use->hh.next)
		if (use->key.part == STACK_FAULTS ? add_fault(profile, process->process.tgid, use)
						  : add_stack(profile, process->process.tgid, use))
			return -1;
	return add_gils(profile, process);
}
