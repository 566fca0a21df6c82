/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Many processes of a kind that have ended are told as one: what a server forks two hundred times a
 * second is nothing to be told apart, nor kept.
 */
#include "collector_internal.h"

#include <stdlib.h>
#include <string.h>

#include "causes.h"
#include "gil.h"
#include "pauses.h"
#include "stacks.h"

/* So many that ended are told one by one. */
#define FEW 64

static const struct function_total *in_other(const struct function_total *function)
{
	return function ? function->folded : NULL;
}

static void fold_functions(struct process_total *to, struct process_total *from)
{
	for (struct function_total *f = from->functions; f; f = f->hh.next) {
		f->folded =
			process_total__function(to, f->name.function, f->name.file, f->name.line);
		if (f->folded && f->watched)
			f->folded = process_total__watched(to, f->folded);
		if (f->folded)
			function_total__move(f->folded, f);
	}
}

static void fold_targets(struct process_total *to, struct process_total *from)
{
	bool other;

	for (struct target_total *t = from->targets; t; t = t->hh.next) {
		struct target_told told = {
			.text = t->id,
			.epoll = t->epoll,
			.fd = t->fd,
			.members = t->members,
		};

		t->folded = process_total__target(to, &told, &other);
		if (t->folded)
			t->folded->other |= t->other;
	}
}

static struct target_total *target_in_other(const struct target_total *target)
{
	return target ? target->folded : NULL;
}

/* After functions and targets. */
static void fold_causes(struct process_total *from)
{
	for (struct function_total *f = from->functions; f; f = f->hh.next)
		for (size_t i = 0; f->folded && i < f->cause_count; i++) {
			struct slow_cause cause = f->causes[i].cause;

			cause.who = in_other(cause.who);
			cause.target = target_in_other(cause.target);
			causes_add_many(f->folded, &cause, f->causes[i].calls, f->causes[i].ns);
		}
}

/* A number that a stack of these functions has in every process: the kernel side's are odd. */
static uint64_t id_of_content(const struct stack_total *stack)
{
	uint64_t id = stack->quality + 1;

	for (size_t i = 0; i < stack->count; i++) {
		id = (id ^ (uintptr_t)in_other(stack->functions[i])) * 0x9e3779b97f4a7c15ull;
		id ^= id >> 29;
	}
	return id << 1;
}

static void fold_stacks(struct process_total *to, struct process_total *from)
{
	for (struct stack_total *s = from->stacks; s; s = s->hh.next) {
		struct function_total *functions[STACK_FRAMES];

		s->folded = process_total__stack(to, id_of_content(s));
		if (!s->folded || s->folded->count || !s->count)
			continue;
		for (size_t i = 0; i < s->count; i++)
			functions[i] = s->functions[i] ? s->functions[i]->folded : NULL;
		s->folded->quality = s->quality;
		stack_total__set(s->folded, functions, s->count);
	}
}

static const struct stack_total *stack_in_other(const struct stack_total *stack)
{
	return stack ? stack->folded : NULL;
}

static void fold_stack_uses(struct process_total *to, const struct process_total *from)
{
	for (const struct stack_use *u = from->stack_uses; u; u = u->hh.next) {
		struct stack_key key = u->key;
		struct stack_use *into;

		key.stack = stack_in_other(key.stack);
		key.waker = stack_in_other(key.waker);
		into = process_total__stack_use(to, &key);
		if (!into)
			continue;
		into->count += u->count;
		into->gil_samples += u->gil_samples;
		into->ns += u->ns;
	}
	for (const struct awaited_use *u = from->awaited; u; u = u->hh.next) {
		struct awaited_use_key key = u->key;
		struct awaited_use *into;

		key.stack = stack_in_other(key.stack);
		key.on.target = target_in_other(key.on.target);
		into = key.stack ? process_total__awaited(to, &key) : NULL;
		if (into)
			into->count += u->count;
	}
}

static void fold_waits(struct process_total *to, const struct process_total *from)
{
	for (const struct wait_total *w = from->waits; w; w = w->hh.next) {
		struct wait_key key = w->key;
		struct wait_total *into;

		key.function = in_other(key.function);
		key.waker = in_other(key.waker);
		key.caller = in_other(key.caller);
		key.target = target_in_other(key.target);
		into = process_total__wait(to, &key);
		if (into)
			wait_total__add(into, w);
	}
}

static void fold_gils(struct process_total *to, const struct process_total *from)
{
	for (const struct gil_total *g = from->gils; g; g = g->hh.next) {
		struct gil_key key = g->key;
		struct gil_total *into;

		key.waiter = in_other(key.waiter);
		key.holder = in_other(key.holder);
		key.longest = in_other(key.longest);
		into = process_total__gil(to, &key);
		if (into)
			gil_total__add(into, g);
	}
	for (const struct gil_contention *c = from->contention; c; c = c->hh.next) {
		struct gil_contention *into = process_total__contention(to, c->gil);

		if (into)
			into->ns += c->ns;
	}
	to->gil_after_io += from->gil_after_io;
	to->gil_after_io_ns += from->gil_after_io_ns;
}

static void fold_callbacks(struct process_total *to, const struct process_total *from)
{
	for (const struct callback_total *c = from->callbacks; c; c = c->hh.next) {
		struct callback_id id = c->id;
		struct callback_total *into;

		id.function = in_other(id.function);
		into = id.function ? process_total__callback(to, &id) : NULL;
		if (into)
			callback_stats_add(&into->stats, &c->stats);
	}
}

/* Threads of a name are one. */
static void fold_threads(struct process_total *to, const struct process_total *from)
{
	for (const struct thread_total *t = from->threads; t; t = t->hh.next) {
		struct thread_total *into;

		for (into = to->threads; into; into = into->hh.next)
			if (!strcmp(into->name, t->name))
				break;
		if (into)
			to->more_threads++;
		else
			into = process_total__thread(to, t->tid);
		if (!into)
			continue;
		memcpy(into->name, t->name, sizeof(into->name));
		into->exited = true;
		into->oncpu_ns += t->oncpu_ns;
		into->preempted_ns += t->preempted_ns;
		for (int c = 0; c < WAIT_CLASSES; c++)
			into->wait_ns[c] += t->wait_ns[c];
	}
	to->more_threads += from->more_threads;
}

static void fold_effort(struct process_total *to, const struct process_total *from)
{
	to->samples += from->samples;
	to->gil_samples += from->gil_samples;
	to->effort.cost_ns += from->effort.cost_ns;
	if (from->effort.walk_every > to->effort.walk_every)
		to->effort.walk_every = from->effort.walk_every;
	to->probed_ns += from->probed_ns;
	to->probing.governed |= from->probing.governed;
	to->probing.windows += from->probing.windows;
	to->probing.windows_cut += from->probing.windows_cut;
	to->probing.hits += from->probing.hits;
	for (int g = 0; g < WINDOW_GROUPS; g++)
		to->probing.group_ns[g] += from->probing.group_ns[g];
	if (from->memory.bytes > to->memory.bytes)
		to->memory = from->memory;
}

static void fold(struct collector *collector, struct process_total *to, struct process_total *from)
{
	for (struct thread_total *t = from->threads; t; t = t->hh.next)
		gil_settle(from, t);
	fold_functions(to, from);
	fold_targets(to, from);
	fold_causes(from);
	fold_stacks(to, from);
	fold_stack_uses(to, from);
	fold_waits(to, from);
	fold_gils(to, from);
	fold_callbacks(to, from);
	pauses_fold(to, from);
	fold_threads(to, from);
	fold_effort(to, from);
	to->folded_ns += process_total__observed_ns(from, collector->window_start_ns, UINT64_MAX);
	to->folded++;
}

static bool is_of_a_kind(const struct process_total *a, const struct process_total *b)
{
	return !a->current && !b->current && a->family == b->family &&
	       a->process.build == b->process.build && a->replaced == b->replaced &&
	       !strcmp(a->process.command, b->process.command);
}

/* One that stands for all of the kind of this one; NULL without memory. */
static struct process_total *sum_of_kind(struct collector *collector,
					 const struct process_total *first)
{
	struct process_total *sum = calloc(1, sizeof(*sum));

	if (!sum)
		return NULL;
	sum->process = first->process;
	sum->family = first->family;
	sum->replaced = first->replaced;
	sum->gc_method = first->gc_method;
	memcpy(sum->gc_reason, first->gc_reason, sizeof(sum->gc_reason));
	sum->since_ns = first->since_ns;
	sum->until_ns = first->since_ns; /* how long they were watched is in folded_ns */
	sum->next = collector->processes;
	collector->processes = sum;
	return sum;
}

/* Ended so long ago that nothing more comes of it? */
static bool is_settled(const struct process_total *total, uint64_t until_ns)
{
	return !total->current && total->until_ns && total->until_ns <= until_ns;
}

/* Those of a kind go into their sum, if they are many. */
static void fold_kind(struct collector *collector, const struct process_total *first,
		      uint64_t until_ns)
{
	struct process_total *sum = NULL, **link = &collector->processes, *total;
	const struct process_total kind = *first; /* which may go */
	size_t count = 0;

	for (total = collector->processes; total; total = total->next) {
		if (!is_of_a_kind(&kind, total))
			continue;
		if (total->folded)
			sum = total;
		count++;
	}
	if (!sum && count > FEW)
		sum = sum_of_kind(collector, first);
	while (sum && (total = *link)) {
		if (total == sum || !is_of_a_kind(&kind, total) || !is_settled(total, until_ns)) {
			link = &total->next;
			continue;
		}
		fold(collector, sum, total);
		*link = total->next;
		process_total__free(total);
	}
}

/* Nothing is told of it: it was a child that became another program at once, or did nothing. */
static bool is_nothing(const struct process_total *total)
{
	return !total->folded &&
	       (process_total__is_passing(total) || (!total->threads && !total->functions));
}

static void forget_those_of_nothing(struct collector *collector, uint64_t until_ns)
{
	struct process_total **link = &collector->processes, *total;

	while ((total = *link)) {
		if (!is_settled(total, until_ns) || !is_nothing(total)) {
			link = &total->next;
			continue;
		}
		collector->passed += process_total__is_passing(total);
		*link = total->next;
		process_total__free(total);
	}
}

void collector__fold_ended(struct collector *collector, uint64_t until_ns)
{
	struct process_total *total;

	forget_those_of_nothing(collector, until_ns);
	for (total = collector->processes; total;) {
		if (total->considered || total->folded || !is_settled(total, until_ns)) {
			total = total->next;
			continue;
		}
		total->considered = true;
		fold_kind(collector, total, until_ns);
		total = collector->processes; /* that one may be gone */
	}
}
