/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Finding, making and forgetting what is added up per process. */
#include "totals.h"
#include "awaited.h"
#include "causes.h"
#include "clock.h"
#include "hash.h"
#include "pauses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discover/target_text.h"
#include "windowed.h"

static void function_free(struct function_total *function)
{
	histogram_clear(&function->wall);
	free(function->history);
	windowed_forget(function);
	awaited_forget(function);
	causes_forget(function);
	free(function->id);
	free(function->name.function);
	free(function->name.file);
	free(function);
}

static void stack_free(struct stack_total *stack)
{
	free(stack->functions);
	free(stack);
}

static void wait_free(struct wait_total *wait)
{
	histogram_clear(&wait->time);
	free(wait);
}

void pause_total__free(struct pause_total *pause)
{
	histogram_clear(&pause->time);
	free(pause);
}

static void gil_free(struct gil_total *gil)
{
	histogram_clear(&gil->time);
	free(gil);
}

/* What is of the window only. */
static void window_free(struct process_total *total)
{
	EMPTY(total->callbacks, free);
	EMPTY(total->waits, wait_free);
	EMPTY(total->pauses, pause_total__free);
	EMPTY(total->stack_uses, free);
	EMPTY(total->awaited, free);
	EMPTY(total->gils, gil_free);
}

static void targets_free(struct process_total *total, bool all)
{
	struct target_total *target, *next;

	HASH_ITER(hh, total->targets, target, next)
	{
		if (target->kept && !all) {
			target->kept = false;
			continue;
		}
		HASH_DEL(total->targets, target);
		free(target->id);
		free(target);
	}
}

void process_total__free(struct process_total *total)
{
	if (!total)
		return;
	window_free(total);
	targets_free(total, true);
	EMPTY(total->stacks, stack_free);
	EMPTY(total->contention, free);
	EMPTY(total->threads, free);
	EMPTY(total->gone, free);
	EMPTY(total->functions, function_free);
	free(total);
}

/* Takes the id; NULL without memory. */
static struct function_total *function_of_id(struct process_total *total, char *id,
					     const char *function, const char *file, uint32_t line)
{
	struct function_total *found = NULL;

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
	found->go_between = go_between_in(file);
	if (!found->name.function || !found->name.file) {
		function_free(found);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, total->functions, found->id, strlen(found->id), found);
	return found;
}

struct function_total *process_total__function(struct process_total *total, const char *function,
					       const char *file, uint32_t line)
{
	char *id;

	if (asprintf(&id, "%u\n%s\n%s", line, file, function) < 0)
		return NULL;
	return function_of_id(total, id, function, file, line);
}

struct function_total *process_total__watched(struct process_total *total,
					      struct function_total *function)
{
	const struct function_name *name = &function->name;
	struct function_total *twin = function->twin;
	char *id;

	if (twin || function->watched)
		return twin ?: function;
	if (asprintf(&id, "watched\n%s", function->id) < 0)
		return NULL;
	twin = function_of_id(total, id, name->function, name->file, name->line);
	if (!twin)
		return NULL;
	twin->watched = true;
	twin->twin = function;
	function->twin = twin;
	return twin;
}

uint64_t function_total__watched_ns(const struct function_total *function, uint64_t now_ns)
{
	uint64_t since = function->watched_since_ns;

	return function->watched_ns + (since && since < now_ns ? now_ns - since : 0);
}

void function_total__tail_in_force(struct function_total *function, uint64_t least_ns,
				   uint64_t most_ns)
{
	if (least_ns && (!function->tail_least_ns || least_ns < function->tail_least_ns))
		function->tail_least_ns = least_ns;
	if (most_ns > function->tail_most_ns)
		function->tail_most_ns = most_ns;
}

struct thread_total *process_total__thread(struct process_total *total, uint32_t tid)
{
	return FIND_OR_MAKE(total->threads, tid, &tid);
}

struct target_total *process_total__target(struct process_total *total,
					   const struct target_told *told, bool *other)
{
	struct target_total *found = NULL;
	const char *id = told->text;

	*other = false;
	HASH_FIND_STR(total->targets, id, found);
	if (!found && HASH_COUNT(total->targets) >= PROCESS_TARGETS) {
		*other = true;
		id = OTHER_TARGETS;
		HASH_FIND_STR(total->targets, id, found);
	}
	if (found)
		return found;
	found = calloc(1, sizeof(*found));
	if (!found)
		return NULL;
	found->id = strdup(id);
	if (!found->id) {
		free(found);
		return NULL;
	}
	found->other = *other;
	if (!*other) {
		found->epoll = told->epoll;
		found->fd = told->fd;
		found->members = told->members;
	}
	HASH_ADD_KEYPTR(hh, total->targets, found->id, strlen(found->id), found);
	return found;
}

char *target_total__name(const struct target_total *target)
{
	if (!target)
		return NULL;
	return target->epoll ? epoll_text(target->members) : strdup(target->id);
}

struct wait_total *process_total__wait(struct process_total *total, const struct wait_key *key)
{
	return FIND_OR_MAKE(total->waits, key, key);
}

void wait_total__add(struct wait_total *to, const struct wait_total *from)
{
	histogram_merge(&to->time, &from->time);
	to->block_io += from->block_io;
	to->held_gil += from->held_gil;
	to->held_gil_ns += from->held_gil_ns;
}

void gil_total__add(struct gil_total *to, const struct gil_total *from)
{
	to->sure += from->sure;
	histogram_merge(&to->time, &from->time);
}

struct stack_total *process_total__stack(struct process_total *total, uint64_t id)
{
	return FIND_OR_MAKE(total->stacks, id, &id);
}

struct stack_use *process_total__stack_use(struct process_total *total, const struct stack_key *key)
{
	return FIND_OR_MAKE(total->stack_uses, key, key);
}

struct awaited_use *process_total__awaited(struct process_total *total,
					   const struct awaited_use_key *key)
{
	return FIND_OR_MAKE(total->awaited, key, key);
}

struct awaited_total *function_total__awaited(struct function_total *function,
					      const struct awaited_key *key)
{
	return FIND_OR_MAKE(function->awaited, key, key);
}

struct gil_total *process_total__gil(struct process_total *total, const struct gil_key *key)
{
	return FIND_OR_MAKE(total->gils, key, key);
}

struct gil_contention *process_total__contention(struct process_total *total, uint64_t gil)
{
	return FIND_OR_MAKE(total->contention, gil, &gil);
}

struct callback_total *process_total__callback(struct process_total *total,
					       const struct callback_id *id)
{
	return FIND_OR_MAKE(total->callbacks, id, id);
}

void callback_stats_add(struct callback_stats *to, const struct callback_stats *from)
{
	to->count += from->count;
	to->ns += from->ns;
	if (from->max_ns > to->max_ns)
		to->max_ns = from->max_ns;
}

void function_total__move(struct function_total *to, struct function_total *from)
{
	const uint64_t *source = (const uint64_t *)&from->window;
	uint64_t *target = (uint64_t *)&to->window;

	_Static_assert(sizeof(from->window) % sizeof(uint64_t) == 0, "counters only");
	for (size_t i = 0; i < sizeof(from->window) / sizeof(uint64_t); i++)
		target[i] += source[i];
	to->begun += from->begun;
	to->over += from->over;
	histogram_merge(&to->wall, &from->wall);
	windowed_move(to, from);
	if (from->hold_max_ns > to->hold_max_ns)
		to->hold_max_ns = from->hold_max_ns;
	function_total__tail_in_force(to, from->tail_least_ns, from->tail_most_ns);
}

/* Is anything in a key `from`?  Then it is `to`. */
static bool renamed(const struct function_total **in, const struct function_total *from,
		    const struct function_total *to)
{
	if (*in != from)
		return false;
	*in = to;
	return true;
}

static void callbacks_rename(struct process_total *total, const struct function_total *from,
			     const struct function_total *to)
{
	struct callback_total *callback, *next, *into;

	HASH_ITER(hh, total->callbacks, callback, next)
	{
		struct callback_id id = callback->id;

		if (!renamed(&id.function, from, to))
			continue;
		into = process_total__callback(total, &id);
		if (into)
			callback_stats_add(&into->stats, &callback->stats);
		HASH_DEL(total->callbacks, callback);
		free(callback);
	}
}

static void waits_rename(struct process_total *total, const struct function_total *from,
			 const struct function_total *to)
{
	struct wait_total *wait, *next, *into;

	HASH_ITER(hh, total->waits, wait, next)
	{
		struct wait_key key = wait->key;
		bool function = renamed(&key.function, from, to);
		bool caller = renamed(&key.caller, from, to);

		if (!renamed(&key.waker, from, to) && !function && !caller)
			continue;
		into = process_total__wait(total, &key);
		if (into)
			wait_total__add(into, wait);
		HASH_DEL(total->waits, wait);
		wait_free(wait);
	}
}

static void gils_rename(struct process_total *total, const struct function_total *from,
			const struct function_total *to)
{
	struct gil_total *gil, *next, *into;

	HASH_ITER(hh, total->gils, gil, next)
	{
		struct gil_key key = gil->key;
		bool waiter = renamed(&key.waiter, from, to);
		bool holder = renamed(&key.holder, from, to);

		if (!renamed(&key.longest, from, to) && !waiter && !holder)
			continue;
		into = process_total__gil(total, &key);
		if (into)
			gil_total__add(into, gil);
		HASH_DEL(total->gils, gil);
		gil_free(gil);
	}
}

static void threads_rename(struct process_total *total, const struct function_total *from,
			   const struct function_total *to)
{
	for (struct thread_total *t = total->threads; t; t = t->hh.next) {
		renamed(&t->gil.key.function, from, to);
		renamed(&t->open_key.function, from, to);
		renamed(&t->open_key.waker, from, to);
		renamed(&t->open_key.caller, from, to);
		for (uint32_t i = 0; i < t->gil.holder_count; i++)
			renamed(&t->gil.holders[i].function, from, to);
	}
}

static void stacks_rename(struct process_total *total, const struct function_total *from,
			  struct function_total *to)
{
	for (struct stack_total *stack = total->stacks; stack; stack = stack->hh.next)
		for (size_t i = 0; i < stack->count; i++)
			if (stack->functions[i] == from)
				stack->functions[i] = to;
}

void process_total__rename(struct process_total *total, struct function_total *from,
			   struct function_total *to)
{
	waits_rename(total, from, to);
	gils_rename(total, from, to);
	threads_rename(total, from, to);
	stacks_rename(total, from, to);
	callbacks_rename(total, from, to);
	pauses_move(total, to, from);
	causes_move(to, from);
	function_total__move(to, from);
	HASH_DEL(total->functions, from);
	for (struct function_total *f = total->functions; f; f = f->hh.next)
		causes_rename(f, from, to);
	function_free(from);
}

void process_total__reset(struct process_total *total)
{
	struct thread_total *thread, *next_thread;

	for (struct function_total *f = total->functions; f; f = f->hh.next) {
		memset(&f->window, 0, sizeof(f->window));
		f->watched_ns = 0;
		histogram_clear(&f->wall);
		windowed_forget(f);
		f->hold_max_ns = 0;
		f->tail_least_ns = f->tail_most_ns = 0;
		awaited_forget(f);
		causes_forget(f);
	}
	HASH_ITER(hh, total->threads, thread, next_thread)
	{
		if (thread->exited) {
			HASH_DEL(total->threads, thread);
			free(thread);
			continue;
		}
		if (thread->open && thread->open_key.target)
			thread->open_key.target->kept = true;
		thread->oncpu_ns = thread->preempted_ns = 0;
		memset(thread->wait_ns, 0, sizeof(thread->wait_ns));
	}
	for (struct gil_contention *gil = total->contention; gil; gil = gil->hh.next)
		gil->ns = 0;
	window_free(total);
	targets_free(total, false);
	total->gil_after_io = total->gil_after_io_ns = 0;
	total->samples = total->gil_samples = 0;
	total->probed_ns = 0;
	windowed_reset(&total->probing);
	total->effort.cost_ns = 0;
	total->effort.walk_every = 0;
}

uint64_t process_total__observed_ns(const struct process_total *total, uint64_t start_ns,
				    uint64_t end_ns)
{
	uint64_t start = total->since_ns > start_ns ? total->since_ns : start_ns;
	uint64_t end = total->until_ns && total->until_ns < end_ns ? total->until_ns : end_ns;

	return end > start ? end - start : 0;
}

bool process_total__is_passing(const struct process_total *total)
{
	uint64_t until = total->until_ns ?: monotonic_ns();

	if (!total->replaced || until - total->since_ns > LEAST_OBSERVED_NS)
		return false;
	for (struct function_total *f = total->functions; f; f = f->hh.next)
		if (f->window.calls || f->window.segments)
			return false;
	return true;
}

uint64_t process_total__oncpu_ns(const struct process_total *total)
{
	uint64_t ns = 0;

	for (const struct thread_total *t = total->threads; t; t = t->hh.next)
		ns += t->oncpu_ns;
	return ns;
}

/* How long they ran is known exactly: each sample stands for the same part of it. */
uint64_t process_total__sampled_ns(const struct process_total *total, uint64_t samples)
{
	return total->samples ? (uint64_t)((double)process_total__oncpu_ns(total) *
					   (double)samples / (double)total->samples)
			      : 0;
}
