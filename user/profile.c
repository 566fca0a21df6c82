/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The life of a struct profile, and the small tables that name what is in it. */
#include "profile.h"

#include <stdlib.h>
#include <string.h>

struct profile *profile__new(void)
{
	return calloc(1, sizeof(struct profile));
}

static void free_process(struct profile_process *process)
{
	free(process->comm);
	free(process->command);
	free(process->python);
	free(process->build);
	free(process->build_id);
	free(process->service);
	free(process->container_id);
	free(process->gc_reason);
	free(process->reason);
	free(process->throttled_by);
}

/* Stacks, with what they refer to, and the GILs. */
static void free_stacks(struct profile *profile)
{
	for (size_t i = 0; i < profile->name_count; i++) {
		free(profile->names[i].function);
		free(profile->names[i].file);
	}
	for (size_t i = 0; i < profile->stack_count; i++) {
		free(profile->stacks[i].frames);
		free(profile->stacks[i].waker_frames);
		free(profile->stacks[i].native);
	}
	for (size_t i = 0; i < profile->fault_count; i++) {
		free(profile->faults[i].frames);
		free(profile->faults[i].native);
	}
	for (size_t i = 0; i < profile->gil_count; i++) {
		free(profile->gils[i].waiter);
		free(profile->gils[i].holder);
		free(profile->gils[i].longest);
		histogram_clear(&profile->gils[i].time);
	}
	free(profile->names);
	free(profile->stacks);
	free(profile->faults);
	free(profile->gils);
	free(profile->contentions);
}

static void free_causes(struct profile_tail *tail)
{
	for (size_t i = 0; i < tail->cause_count; i++) {
		free(tail->causes[i].function);
		free(tail->causes[i].target);
	}
	free(tail->causes);
}

void profile__free(struct profile *profile)
{
	if (!profile)
		return;
	for (size_t i = 0; i < profile->process_count; i++)
		free_process(&profile->processes[i]);
	for (size_t i = 0; i < profile->thread_count; i++)
		free(profile->threads[i].name);
	for (size_t i = 0; i < profile->function_count; i++) {
		free(profile->functions[i].function);
		free(profile->functions[i].file);
		free(profile->functions[i].repeat.target);
		histogram_clear(&profile->functions[i].wall);
		histogram_free(profile->functions[i].censored);
		call_groups_free(profile->functions[i].groups);
		free_causes(&profile->functions[i].tail);
	}
	for (size_t i = 0; i < profile->wait_count; i++) {
		free(profile->waits[i].function);
		free(profile->waits[i].file);
		free(profile->waits[i].target);
		free(profile->waits[i].waker);
		free(profile->waits[i].caller.function);
		free(profile->waits[i].caller.file);
		histogram_clear(&profile->waits[i].time);
	}
	for (size_t i = 0; i < profile->callback_count; i++) {
		free(profile->callbacks[i].function);
		free(profile->callbacks[i].file);
		free(profile->callbacks[i].task);
	}
	free_stacks(profile);
	for (size_t i = 0; i < profile->gc_count; i++) {
		free(profile->gcs[i].function);
		free(profile->gcs[i].file);
		histogram_clear(&profile->gcs[i].time);
	}
	free(profile->gcs);
	for (size_t i = 0; i < profile->watch_count; i++) {
		free(profile->watches[i].glob);
		free(profile->watches[i].function);
		free(profile->watches[i].file);
		free(profile->watches[i].reason);
	}
	free(profile->watches);
	free(profile->callbacks);
	free(profile->processes);
	free(profile->threads);
	free(profile->functions);
	free(profile->waits);
	free(profile->version);
	free(profile->host);
	free(profile->kernel);
	free(profile);
}

/*
 * Room for one more: arrays double, and the count alone says when, so they need
 * no capacity field.  Returns the array, perhaps moved, its new entry zeroed.
 */
static void *grow(void *array, size_t count, size_t size)
{
	bool full = (count & (count - 1)) == 0;
	char *grown = array;

	if (full) {
		grown = reallocarray(array, count ? count * 2 : 1, size);
		if (!grown)
			return NULL;
	}
	memset(grown + count * size, 0, size);
	return grown;
}

/* One more entry of profile->array; NULL without memory. */
#define ADD(profile, array, count)                                                                 \
	({                                                                                         \
		void *_grown =                                                                     \
			grow((profile)->array, (profile)->count, sizeof(*(profile)->array));       \
		if (_grown)                                                                        \
			(profile)->array = _grown;                                                 \
		_grown ? &(profile)->array[(profile)->count++] : NULL;                             \
	})

struct profile_process *profile__add_process(struct profile *profile)
{
	return ADD(profile, processes, process_count);
}

struct profile_thread *profile__add_thread(struct profile *profile)
{
	return ADD(profile, threads, thread_count);
}

struct profile_function *profile__add_function(struct profile *profile)
{
	return ADD(profile, functions, function_count);
}

struct profile_wait *profile__add_wait(struct profile *profile)
{
	return ADD(profile, waits, wait_count);
}

struct profile_callback *profile__add_callback(struct profile *profile)
{
	return ADD(profile, callbacks, callback_count);
}

struct profile_name *profile__add_name(struct profile *profile)
{
	return ADD(profile, names, name_count);
}

struct profile_stack *profile__add_stack(struct profile *profile)
{
	return ADD(profile, stacks, stack_count);
}

struct profile_fault *profile__add_fault(struct profile *profile)
{
	return ADD(profile, faults, fault_count);
}

struct profile_gil *profile__add_gil(struct profile *profile)
{
	return ADD(profile, gils, gil_count);
}

struct profile_contention *profile__add_contention(struct profile *profile)
{
	return ADD(profile, contentions, contention_count);
}

struct profile_watch *profile__add_watch(struct profile *profile)
{
	return ADD(profile, watches, watch_count);
}

struct profile_gc *profile__add_gc(struct profile *profile)
{
	return ADD(profile, gcs, gc_count);
}

void call_groups_free(struct call_group *groups)
{
	for (int i = 0; groups && i < WINDOW_GROUPS; i++)
		free(groups[i].counts);
	free(groups);
}

static const char *const wait_class_names[WAIT_CLASSES] = {
	[WAIT_GIL] = "gil",   [WAIT_LOCK] = "lock",   [WAIT_SLEEP] = "sleep",
	[WAIT_POLL] = "poll", [WAIT_NET] = "net",     [WAIT_DISK] = "disk",
	[WAIT_PIPE] = "pipe", [WAIT_CHILD] = "child", [WAIT_FAULT] = "fault",
	[WAIT_RUNQ] = "runq", [WAIT_OTHER] = "other",
};

const char *wait_class_name(enum wait_class wait_class)
{
	return wait_class_names[wait_class];
}

enum wait_class wait_class_of_name(const char *name)
{
	for (int i = 0; i < WAIT_CLASSES; i++) {
		if (!strcmp(name, wait_class_names[i]))
			return i;
	}
	return WAIT_CLASSES;
}

const char *gc_method_name(enum gc_method method)
{
	switch (method) {
	case GC_USDT:
		return "usdt";
	case GC_WATCHPOINT:
		return "watchpoint";
	case GC_SAMPLES:
		return "samples";
	case GC_UNKNOWN:
		break;
	}
	return "unknown";
}

const char *stack_quality_name(enum stack_quality quality)
{
	static const char *const names[] = {
		[STACK_NONE] = "none",           [STACK_COMPLETE] = "complete",
		[STACK_TRUNCATED] = "truncated", [STACK_UNREADABLE] = "unreadable",
		[STACK_MIXED] = "mixed",
	};

	return names[quality];
}

const char *loss_key(enum loss_cause cause)
{
	static const char *const keys[LOSS_COUNT] = {
#define X(name, key, text) [LOSS_##name] = key,
		LOSS_CAUSES(X)
#undef X
	};

	return keys[cause];
}

const char *loss_text(enum loss_cause cause)
{
	static const char *const texts[LOSS_COUNT] = {
#define X(name, key, text) [LOSS_##name] = text,
		LOSS_CAUSES(X)
#undef X
	};

	return texts[cause];
}
