/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Finding, making and forgetting what is added up per process. */
#include "totals.h"
#include "pauses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void function_free(struct function_total *function)
{
	free(function->id);
	free(function->name.function);
	free(function->name.file);
	free(function);
}

static void callbacks_free(struct process_total *total)
{
	struct callback_total *callback, *next;

	HASH_ITER(hh, total->callbacks, callback, next)
	{
		HASH_DEL(total->callbacks, callback);
		free(callback);
	}
}

void process_total__free(struct process_total *total)
{
	struct function_total *function, *next_function;
	struct thread_total *thread, *next_thread;
	struct wait_total *wait, *next_wait;

	if (!total)
		return;
	callbacks_free(total);
	pauses_free(total);
	HASH_ITER(hh, total->waits, wait, next_wait)
	{
		HASH_DEL(total->waits, wait);
		free(wait);
	}
	HASH_ITER(hh, total->threads, thread, next_thread)
	{
		HASH_DEL(total->threads, thread);
		free(thread);
	}
	HASH_ITER(hh, total->functions, function, next_function)
	{
		HASH_DEL(total->functions, function);
		function_free(function);
	}
	free(total);
}

struct function_total *process_total__function(struct process_total *total, const char *function,
					       const char *file, uint32_t line)
{
	struct function_total *found = NULL;
	char *id;

	if (asprintf(&id, "%u\n%s\n%s", line, file, function) < 0)
		return NULL;
	HASH_FIND_STR(total->functions, id, found);
	if (found) {
		free(id);
		return found;
	}
	found = calloc(1, sizeof(*found));
	if (!found) {
		free(id);
		return NULL;
	}
	found->id = id;
	found->name.function = strdup(function);
	found->name.file = strdup(file);
	found->name.line = line;
	if (!found->name.function || !found->name.file) {
		function_free(found);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, total->functions, found->id, strlen(found->id), found);
	return found;
}

struct thread_total *process_total__thread(struct process_total *total, uint32_t tid)
{
	struct thread_total *thread = NULL;

	HASH_FIND(hh, total->threads, &tid, sizeof(tid), thread);
	if (thread)
		return thread;
	thread = calloc(1, sizeof(*thread));
	if (!thread)
		return NULL;
	thread->tid = tid;
	HASH_ADD(hh, total->threads, tid, sizeof(tid), thread);
	return thread;
}

struct wait_total *process_total__wait(struct process_total *total, const struct wait_key *key)
{
	struct wait_total *wait = NULL;

	HASH_FIND(hh, total->waits, key, sizeof(*key), wait);
	if (wait)
		return wait;
	wait = calloc(1, sizeof(*wait));
	if (!wait)
		return NULL;
	wait->key = *key;
	HASH_ADD(hh, total->waits, key, sizeof(wait->key), wait);
	return wait;
}

struct callback_total *process_total__callback(struct process_total *total,
					       const struct callback_id *id)
{
	struct callback_total *callback = NULL;

	HASH_FIND(hh, total->callbacks, id, sizeof(*id), callback);
	if (callback)
		return callback;
	callback = calloc(1, sizeof(*callback));
	if (!callback)
		return NULL;
	callback->id = *id;
	HASH_ADD(hh, total->callbacks, id, sizeof(callback->id), callback);
	return callback;
}

void callback_stats_add(struct callback_stats *to, const struct callback_stats *from)
{
	to->count += from->count;
	to->ns += from->ns;
	if (from->max_ns > to->max_ns)
		to->max_ns = from->max_ns;
}

static void counts_move(struct function_total *to, struct function_total *from)
{
	const uint64_t *source = (const uint64_t *)&from->window;
	uint64_t *target = (uint64_t *)&to->window;

	_Static_assert(sizeof(from->window) % sizeof(uint64_t) == 0, "counters only");
	for (size_t i = 0; i < sizeof(from->window) / sizeof(uint64_t); i++)
		target[i] += source[i];
	to->begun += from->begun;
	to->over += from->over;
	histogram_merge(&to->wall, &from->wall);
}

static void callbacks_move(struct process_total *total, const struct function_total *to,
			   const struct function_total *from)
{
	struct callback_total *callback, *next, *into;

	HASH_ITER(hh, total->callbacks, callback, next)
	{
		struct callback_id id = callback->id;

		if (id.function != from)
			continue;
		id.function = to;
		into = process_total__callback(total, &id);
		if (into)
			callback_stats_add(&into->stats, &callback->stats);
		HASH_DEL(total->callbacks, callback);
		free(callback);
	}
}

void process_total__rename(struct process_total *total, struct function_total *from,
			   struct function_total *to)
{
	struct wait_total *wait, *next;

	HASH_ITER(hh, total->waits, wait, next)
	{
		struct wait_key key = wait->key;
		struct wait_total *into;

		if (key.function != from)
			continue;
		key.function = to;
		into = process_total__wait(total, &key);
		if (into)
			histogram_merge(&into->time, &wait->time);
		HASH_DEL(total->waits, wait);
		free(wait);
	}
	for (struct thread_total *t = total->threads; t; t = t->hh.next) {
		if (t->gil.key.function == from)
			t->gil.key.function = to;
		if (t->open_key.function == from)
			t->open_key.function = to;
	}
	callbacks_move(total, to, from);
	pauses_move(total, to, from);
	counts_move(to, from);
	HASH_DEL(total->functions, from);
	function_free(from);
}

void process_total__reset(struct process_total *total)
{
	struct function_total *function, *next_function;
	struct thread_total *thread, *next_thread;
	struct wait_total *wait, *next_wait;

	HASH_ITER(hh, total->functions, function, next_function)
	{
		memset(&function->window, 0, sizeof(function->window));
		memset(&function->wall, 0, sizeof(function->wall));
	}
	HASH_ITER(hh, total->threads, thread, next_thread)
	{
		if (thread->exited) {
			HASH_DEL(total->threads, thread);
			free(thread);
			continue;
		}
		thread->oncpu_ns = 0;
		memset(thread->wait_ns, 0, sizeof(thread->wait_ns));
	}
	HASH_ITER(hh, total->waits, wait, next_wait)
	{
		HASH_DEL(total->waits, wait);
		free(wait);
	}
	callbacks_free(total);
	pauses_free(total);
	total->probed_ns = 0;
	total->exited_oncpu_ns = 0;
}
