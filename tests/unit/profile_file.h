/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Profiles from files: what `--format json` printed, or as much of it as verdicts are made from.
 * Each test program includes this once; a key that is not there ends the test, as does memory
 * running out.
 */
#ifndef PYTRACE_PROFILE_FILE_H
#define PYTRACE_PROFILE_FILE_H

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "../../user/judge/limit.h"
#include "../../user/judge/rules.h"

#define PROFILE_FOLDER "tests/unit/profiles/"

static inline void *file_must(void *pointer, const char *what)
{
	if (!pointer) {
		fprintf(stderr, "profile file: %s: not there, or of another kind\n", what);
		abort();
	}
	return pointer;
}

static inline json_t *file_get(const json_t *object, const char *key)
{
	return file_must(json_object_get(object, key), key);
}

static inline double file_number(const json_t *object, const char *key)
{
	json_t *value = file_get(object, key);

	file_must(json_is_number(value) ? value : NULL, key);
	return json_number_value(value);
}

static inline uint64_t file_ns(const json_t *object, const char *key)
{
	return (uint64_t)llround(file_number(object, key) * 1e9);
}

static inline uint64_t file_count(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(file_get(object, key));
}

/* The file's own; NULL for null. */
static inline const char *file_words(const json_t *object, const char *key)
{
	return json_string_value(file_get(object, key));
}

static inline char *file_text(const json_t *object, const char *key)
{
	const char *words = file_words(object, key);

	return words ? file_must(strdup(words), key) : NULL;
}

/* The same of what is "unknown" where there is none. */
static inline char *file_text_or_unknown(const json_t *object, const char *key)
{
	return strcmp(file_words(object, key), "unknown") ? file_text(object, key) : NULL;
}

static inline enum wait_class file_class(const json_t *object)
{
	const char *name = file_words(object, "class");
	enum wait_class wait_class = wait_class_of_name(name);

	file_must(wait_class < WAIT_CLASSES || !strcmp(name, "oncpu") ? &wait_class : NULL, name);
	return wait_class; /* WAIT_CLASSES is STACK_ONCPU */
}

static inline void file_process(struct profile *profile, const json_t *object)
{
	struct profile_process *process = file_must(profile__add_process(profile), "memory");
	const json_t *runq = file_get(object, "runq_seconds"), *gil = file_get(object, "gil");
	const json_t *memory = file_get(object, "memory"), *after_io = file_get(gil, "after_io");
	const json_t *throttling = file_get(object, "throttling");
	const json_t *gils = file_get(gil, "interpreters");

	process->tgid = file_count(object, "tgid");
	process->gc_method = file_words(object, "gc_method");
	process->observed_ns = file_ns(object, "observed_seconds");
	process->oncpu_ns = file_ns(object, "cpu_seconds");
	process->samples = file_count(object, "samples");
	process->preempted_ns = file_ns(runq, "preempted");
	process->woken_late_ns = file_ns(runq, "woken_late");
	process->gil_after_io = file_count(after_io, "count");
	process->gil_after_io_ns = file_ns(after_io, "seconds");
	process->rss_bytes = file_count(memory, "rss_bytes");
	process->rss_growth = file_number(memory, "growth_bytes_per_second");
	process->rss_begin_bytes = file_count(memory, "begin_bytes");
	process->rss_readings = file_count(memory, "readings");
	process->rss_grown = file_count(memory, "grown");
	if (!json_is_null(throttling)) {
		process->throttled_by = file_text(throttling, "cgroup");
		process->throttled_ns = file_ns(throttling, "seconds");
		process->throttle_count = file_count(throttling, "count");
	}
	for (size_t i = 0; i < json_array_size(gils); i++) {
		const json_t *one = json_array_get(gils, i);
		struct profile_contention *contention =
			file_must(profile__add_contention(profile), "memory");

		contention->tgid = process->tgid;
		contention->interpreter = file_count(one, "interpreter");
		contention->ns = file_ns(one, "wanted_seconds");
	}
}

static inline void file_thread(struct profile *profile, const json_t *object)
{
	struct profile_thread *thread = file_must(profile__add_thread(profile), "memory");
	const json_t *waits = file_get(object, "wait_seconds");

	thread->tgid = file_count(object, "tgid");
	thread->oncpu_ns = file_ns(object, "oncpu_seconds");
	for (int c = 0; c < WAIT_CLASSES; c++)
		thread->wait_ns[c] = file_ns(waits, wait_class_name(c));
}

static inline void file_function(struct profile *profile, const json_t *object)
{
	struct profile_function *function = file_must(profile__add_function(profile), "memory");

	function->tgid = file_count(object, "tgid");
	function->function = file_text(object, "function");
	function->file = file_text(object, "file");
	function->line = file_count(object, "line");
	function->called = !strcmp(file_words(object, "method"), "exact");
	function->self_ns = file_ns(object, "self_seconds");
	function->hold_max_ns = file_ns(file_get(file_get(object, "gil_holds"), "seconds"), "max");
}

static inline void file_frame(struct profile_name *name, const json_t *frame)
{
	name->function = file_text(frame, "function");
	name->file = file_text(frame, "file");
	name->line = file_count(frame, "line");
}

static inline void file_wait(struct profile *profile, const json_t *object)
{
	struct profile_wait *wait = file_must(profile__add_wait(profile), "memory");
	const json_t *caller;

	wait->tgid = file_count(object, "tgid");
	wait->wait_class = file_class(object);
	wait->function = file_text(object, "function");
	wait->file = file_text(object, "file");
	wait->line = file_count(object, "line");
	wait->syscall = file_words(object, "syscall");
	wait->target = file_text(object, "target");
	caller = file_get(object, "caller");
	if (!json_is_null(caller))
		file_frame(&wait->caller, caller);
	wait->waker = file_text(object, "waker");
	wait->by_peer = json_is_true(file_get(object, "by_peer"));
	wait->held_gil_ns = file_ns(object, "held_gil_seconds");
	wait->time.sum_ns = file_ns(file_get(object, "seconds"), "sum");
}

/* Which of the profile's names a frame is; the same always. */
static inline uint32_t file_name(struct profile *profile, const json_t *frame)
{
	const char *function = file_words(frame, "function"), *path = file_words(frame, "file");
	uint32_t line = file_count(frame, "line");
	struct profile_name *name;

	for (size_t i = 0; i < profile->name_count; i++) {
		name = &profile->names[i];
		if (name->line == line && !strcmp(name->function, function) &&
		    !strcmp(name->file, path))
			return i;
	}
	name = file_must(profile__add_name(profile), "memory");
	file_frame(name, frame);
	return profile->name_count - 1;
}

/* Files have the outermost first; NULL for null. */
static inline uint32_t *file_frames(struct profile *profile, const json_t *array, size_t *count)
{
	uint32_t *frames;

	*count = json_array_size(array);
	if (!*count)
		return NULL;
	frames = file_must(calloc(*count, sizeof(*frames)), "memory");
	for (size_t i = 0; i < *count; i++)
		frames[i] = file_name(profile, json_array_get(array, *count - 1 - i));
	return frames;
}

static inline void file_stack(struct profile *profile, const json_t *object)
{
	struct profile_stack *stack = file_must(profile__add_stack(profile), "memory");

	stack->tgid = file_count(object, "tgid");
	stack->part = file_class(object);
	stack->count = file_count(object, "count");
	stack->ns = file_ns(object, "seconds");
	stack->native = file_text(object, "native");
	stack->frames = file_frames(profile, file_get(object, "frames"), &stack->frame_count);
	stack->waker_frames =
		file_frames(profile, file_get(object, "waker_frames"), &stack->waker_count);
}

static inline void file_fault(struct profile *profile, const json_t *object)
{
	struct profile_fault *fault = file_must(profile__add_fault(profile), "memory");

	fault->tgid = file_count(object, "tgid");
	fault->count = file_count(object, "count");
	fault->frames = file_frames(profile, file_get(object, "frames"), &fault->frame_count);
}

static inline void file_gil(struct profile *profile, const json_t *object)
{
	struct profile_gil *gil = file_must(profile__add_gil(profile), "memory");

	gil->tgid = file_count(object, "tgid");
	gil->holder = file_text_or_unknown(object, "holder");
	gil->longest = file_text_or_unknown(object, "longest_holder");
	gil->time.sum_ns = file_ns(file_get(object, "seconds"), "sum");
}

static inline void file_callback(struct profile *profile, const json_t *object)
{
	struct profile_callback *callback = file_must(profile__add_callback(profile), "memory");
	const json_t *seconds = file_get(object, "seconds");

	callback->tgid = file_count(object, "tgid");
	callback->function = file_text(object, "function");
	callback->count = file_count(object, "count");
	callback->sum_ns = file_ns(seconds, "sum");
	callback->max_ns = file_ns(seconds, "max");
}

static inline void file_gc(struct profile *profile, const json_t *object)
{
	struct profile_gc *gc = file_must(profile__add_gc(profile), "memory");

	gc->tgid = file_count(object, "tgid");
	gc->function = file_text(object, "function");
	gc->file = file_text(object, "file");
	gc->line = file_count(object, "line");
	gc->estimated = json_is_null(file_get(object, "count"));
	gc->time.sum_ns = file_ns(file_get(object, "seconds"), "sum");
}

static inline size_t file_piece(void *buffer, size_t size, void *in)
{
	int got = gzread(in, buffer, size);

	return got < 0 ? (size_t)-1 : (size_t)got;
}

/* A report, which may be compressed. */
static inline json_t *profile_file__load(const char *path)
{
	gzFile in = file_must(gzopen(path, "rb"), path);
	json_t *report = file_must(json_load_callback(file_piece, in, 0, NULL), path);

	gzclose(in);
	return report;
}

/* Adds what is in a report to the profile, which goes on using it. */
static inline void profile_file__read(struct profile *profile, const json_t *report)
{
	const struct {
		json_t *array;
		void (*read)(struct profile *profile, const json_t *object);
	} kinds[] = {
		{file_get(report, "processes"), file_process},
		{file_get(report, "threads"), file_thread},
		{file_get(report, "functions"), file_function},
		{file_get(report, "waits"), file_wait},
		{file_get(report, "stacks"), file_stack},
		{file_get(report, "page_faults"), file_fault},
		{file_get(report, "gil"), file_gil},
		{file_get(file_get(report, "asyncio"), "callbacks"), file_callback},
		{file_get(report, "gc"), file_gc},
	};

	profile->duration_ns = file_ns(report, "duration_seconds");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (size_t k = 0; k < json_array_size(kinds[i].array); k++)
			kinds[i].read(profile, json_array_get(kinds[i].array, k));
}

struct profile_file {
	const char *path;
	json_t *report;
	struct profile *profile;
};

static inline void profile_file__open(struct profile_file *file, const char *path)
{
	file->path = path;
	file->report = profile_file__load(path);
	file->profile = file_must(profile__new(), "memory");
	profile_file__read(file->profile, file->report);
}

static inline void profile_file__close(struct profile_file *file)
{
	profile__free(file->profile);
	json_decref(file->report);
}

/* Which rule decided, or the verdict without one. */
static inline const char *limit_outcome(const struct limit *limit)
{
	return limit->decided ? limit->decided->rule->name : limit->verdict;
}

#endif
