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
	}
	for (size_t i = 0; i < profile->wait_count; i++) {
		free(profile->waits[i].function);
		free(profile->waits[i].file);
		free(profile->waits[i].target);
	}
	for (size_t i = 0; i < profile->callback_count; i++) {
		free(profile->callbacks[i].function);
		free(profile->callbacks[i].file);
		free(profile->callbacks[i].task);
	}
	for (size_t i = 0; i < profile->gc_count; i++) {
		free(profile->gcs[i].function);
		free(profile->gcs[i].file);
	}
	free(profile->gcs);
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

struct profile_process *profile__add_process(struct profile *profile)
{
	void *grown = grow(profile->processes, profile->process_count, sizeof(*profile->processes));

	if (!grown)
		return NULL;
	profile->processes = grown;
	return &profile->processes[profile->process_count++];
}

struct profile_thread *profile__add_thread(struct profile *profile)
{
	void *grown = grow(profile->threads, profile->thread_count, sizeof(*profile->threads));

	if (!grown)
		return NULL;
	profile->threads = grown;
	return &profile->threads[profile->thread_count++];
}

struct profile_function *profile__add_function(struct profile *profile)
{
	void *grown =
		grow(profile->functions, profile->function_count, sizeof(*profile->functions));

	if (!grown)
		return NULL;
	profile->functions = grown;
	return &profile->functions[profile->function_count++];
}

struct profile_wait *profile__add_wait(struct profile *profile)
{
	void *grown = grow(profile->waits, profile->wait_count, sizeof(*profile->waits));

	if (!grown)
		return NULL;
	profile->waits = grown;
	return &profile->waits[profile->wait_count++];
}

struct profile_callback *profile__add_callback(struct profile *profile)
{
	void *grown =
		grow(profile->callbacks, profile->callback_count, sizeof(*profile->callbacks));

	if (!grown)
		return NULL;
	profile->callbacks = grown;
	return &profile->callbacks[profile->callback_count++];
}

struct profile_gc *profile__add_gc(struct profile *profile)
{
	void *grown = grow(profile->gcs, profile->gc_count, sizeof(*profile->gcs));

	if (!grown)
		return NULL;
	profile->gcs = grown;
	return &profile->gcs[profile->gc_count++];
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	if (!histogram->count || ns < histogram->min_ns)
		histogram->min_ns = ns;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
	histogram->count++;
	histogram->sum_ns += ns;
	histogram->buckets[bucket_of(ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	into->censored += from->censored;
	/* Outside the test below: time may be known before any of it is in a bucket. */
	into->sum_ns += from->sum_ns;
	if (!from->count)
		return;
	if (!into->count || from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
	into->count += from->count;
	for (int i = 0; i < BUCKET_COUNT; i++)
		into->buckets[i] += from->buckets[i];
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
	case GC_UNKNOWN:
		break;
	}
	return "unknown";
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
