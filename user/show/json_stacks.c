/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "json_stacks.h"

#include "../judge/gil_use.h"
#include "../judge/select.h"
#include "json_top.h"

/* "net" and so on, or "oncpu". */
static const char *stack_part_name(uint32_t part)
{
	return part == STACK_ONCPU ? "oncpu" : wait_class_name(part);
}

json_t *json_frame(struct json_builder *b, const struct profile_name *name)
{
	json_t *frame = json_object();

	json_put(b, frame, "function", json_name(name->function));
	json_put(b, frame, "file", json_name(name->file));
	json_put(b, frame, "line", json_integer(name->line));
	return frame;
}

/* Outermost first, as flame graphs have it. */
static json_t *frames(struct json_builder *b, const struct profile *profile, const uint32_t *names,
		      size_t count)
{
	json_t *array = json_array();

	for (size_t i = count; i-- > 0;)
		json_push(b, array, json_frame(b, &profile->names[names[i]]));
	return array;
}

static json_t *stack_json(struct json_builder *b, const struct profile *profile,
			  const struct profile_stack *stack)
{
	json_t *object = json_object();

	json_put(b, object, "tgid", json_integer(stack->tgid));
	json_put(b, object, "frames", frames(b, profile, stack->frames, stack->frame_count));
	json_put(b, object, "quality", json_string(stack_quality_name(stack->quality)));
	json_put(b, object, "class", json_string(stack_part_name(stack->part)));
	json_put(b, object, "count", json_count(stack->count));
	json_put(b, object, "gil_samples",
		 stack->part == STACK_ONCPU ? json_count(stack->gil_samples) : json_null());
	json_put(b, object, "seconds", json_seconds((double)stack->ns));
	json_put(b, object, "native", json_name_or_null(stack->native));
	json_put(b, object, "waker_frames",
		 stack->waker_count ? frames(b, profile, stack->waker_frames, stack->waker_count)
				    : json_null());
	return object;
}

json_t *json_stacks(struct json_builder *b, const struct profile *profile, int top)
{
	const struct profile_stack **stacks;
	struct json_top at = JSON_TOP(top);
	json_t *array;
	size_t count;

	if (select_stacks(profile, &stacks, &count))
		return NULL;
	array = json_array();
	for (size_t i = 0; i < count; i++)
		if (json_top_takes(&at, stacks[i]->tgid))
			json_push(b, array, stack_json(b, profile, stacks[i]));
	free(stacks);
	return array;
}

static json_t *fault_json(struct json_builder *b, const struct profile *profile,
			  const struct profile_fault *fault)
{
	json_t *object = json_object();

	json_put(b, object, "tgid", json_integer(fault->tgid));
	json_put(b, object, "frames", frames(b, profile, fault->frames, fault->frame_count));
	json_put(b, object, "quality", json_string(stack_quality_name(fault->quality)));
	json_put(b, object, "count", json_count(fault->count));
	json_put(b, object, "native", json_name_or_null(fault->native));
	return object;
}

json_t *json_faults(struct json_builder *b, const struct profile *profile, int top)
{
	const struct profile_fault **faults;
	struct json_top at = JSON_TOP(top);
	json_t *array;
	size_t count;

	if (select_faults(profile, &faults, &count))
		return NULL;
	array = json_array();
	for (size_t i = 0; i < count; i++)
		if (json_top_takes(&at, faults[i]->tgid))
			json_push(b, array, fault_json(b, profile, faults[i]));
	free(faults);
	return array;
}

static json_t *name_or_unknown(const char *name)
{
	return name ? json_name(name) : json_string("unknown");
}

static json_t *gil_json(struct json_builder *b, const struct profile_gil *gil)
{
	json_t *object = json_object();

	json_put(b, object, "tgid", json_integer(gil->tgid));
	json_put(b, object, "interpreter", json_integer(gil->interpreter));
	json_put(b, object, "waiter", name_or_unknown(gil->waiter));
	json_put(b, object, "holder", name_or_unknown(gil->holder));
	json_put(b, object, "longest_holder", name_or_unknown(gil->longest));
	json_put(b, object, "count", json_count(gil->time.count));
	json_put(b, object, "certain", json_count(gil->sure));
	json_put(b, object, "seconds", json_histogram(b, &gil->time, NULL));
	return object;
}

json_t *json_gils(struct json_builder *b, const struct profile *profile, int top)
{
	const struct profile_gil **gils;
	struct json_top at = JSON_TOP(top);
	json_t *array;
	size_t count;

	if (select_gils(profile, &gils, &count))
		return NULL;
	array = json_array();
	for (size_t i = 0; i < count; i++)
		if (json_top_takes(&at, gils[i]->tgid))
			json_push(b, array, gil_json(b, gils[i]));
	free(gils);
	return array;
}

json_t *json_process_gil(struct json_builder *b, const struct profile *profile,
			 const struct profile_process *process)
{
	json_t *object = json_object(), *array = json_array(), *after_io = json_object();
	struct gil_use use;

	gil_use(profile, process, &use);
	for (size_t i = 0; i < profile->contention_count; i++) {
		const struct profile_contention *contention = &profile->contentions[i];
		json_t *one;

		if (contention->tgid != process->tgid)
			continue;
		one = json_object();
		json_put(b, one, "interpreter", json_integer(contention->interpreter));
		json_put(b, one, "wanted_seconds", json_seconds((double)contention->ns));
		json_push(b, array, one);
	}
	json_put(b, object, "held_share", json_number(use.held));
	json_put(b, object, "held_share_is", json_string("estimate"));
	json_put(b, object, "wanted_share", json_number(use.wanted));
	json_put(b, object, "interpreters", array);
	json_put(b, after_io, "count", json_count(process->gil_after_io));
	json_put(b, after_io, "seconds", json_seconds((double)process->gil_after_io_ns));
	json_put(b, object, "after_io", after_io);
	return object;
}

json_t *json_page_faults(struct json_builder *b, const struct profile_function *function)
{
	json_t *object = json_object();

	json_put(b, object, "inclusive", json_count(function->faults_inclusive));
	json_put(b, object, "exclusive", json_count(function->faults_exclusive));
	return object;
}

json_t *json_stack_seconds(struct json_builder *b, const struct profile_function *function)
{
	json_t *object = json_object();

	json_put(b, object, "inclusive", json_seconds((double)function->stack_inclusive_ns));
	json_put(b, object, "exclusive", json_seconds((double)function->stack_exclusive_ns));
	for (uint32_t part = 0; part < STACK_PARTS; part++)
		json_put(b, object, stack_part_name(part),
			 json_seconds((double)function->stack_ns[part]));
	return object;
}
