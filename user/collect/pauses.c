/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* See pauses.h. */
#include "pauses.h"

#include "hash.h"

#include <stdlib.h>
#include <string.h>

static struct pause_total *pause_of(struct process_total *total, const struct pause_key *key)
{
	return FIND_OR_MAKE(total->pauses, key, key);
}

static void pause_add(struct pause_total *to, const struct pause_total *from)
{
	histogram_merge(&to->time, &from->time);
	to->samples += from->samples;
}

void pauses_record(struct collector *collector, struct process_total *process,
		   const struct record_gc *record)
{
	struct thread_total *thread = process_total__thread(process, record->tid);
	struct pause_key key = {
		.function = collector__slot_function(collector, record->function, process),
		.generation = record->generation,
	};
	struct pause_total *pause;

	if (!thread)
		return;
	thread->pause_open = !record->over;
	thread->pause_key = key;
	if (!record->over)
		return;
	pause = pause_of(process, &key);
	if (pause)
		histogram_add(&pause->time, record->ns);
}

void pauses_sample(struct process_total *process, const struct function_total *function)
{
	struct pause_key key = {.function = function, .generation = -1};
	struct pause_total *pause =
		process->gc_method == GC_SAMPLES ? pause_of(process, &key) : NULL;

	if (pause)
		pause->samples++;
}

void pauses_move(struct process_total *total, const struct function_total *to,
		 const struct function_total *from)
{
	struct pause_total *pause, *next;

	HASH_ITER(hh, total->pauses, pause, next)
	{
		struct pause_key key = pause->key;
		struct pause_total *into;

		if (key.function != from)
			continue;
		key.function = to;
		into = pause_of(total, &key);
		if (into)
			pause_add(into, pause);
		HASH_DEL(total->pauses, pause);
		pause_total__free(pause);
	}
	for (struct thread_total *t = total->threads; t; t = t->hh.next)
		if (t->pause_key.function == from)
			t->pause_key.function = to;
}

void pauses_fold(struct process_total *to, const struct process_total *from)
{
	for (const struct pause_total *p = from->pauses; p; p = p->hh.next) {
		struct pause_key key = p->key;
		struct pause_total *into;

		key.function = key.function ? key.function->folded : NULL;
		into = pause_of(to, &key);
		if (into)
			pause_add(into, p);
	}
}

static void count_open(struct process_total *total)
{
	for (struct thread_total *t = total->threads; t; t = t->hh.next) {
		struct pause_total *pause = t->pause_open ? pause_of(total, &t->pause_key) : NULL;

		if (pause && !t->exited)
			pause->time.censored++;
		t->pause_open = false; /* the next window's end tells again */
	}
}

uint64_t pauses_count(const struct process_total *total)
{
	uint64_t count = 0;

	for (const struct pause_total *p = total->pauses; p; p = p->hh.next)
		count += p->time.count;
	return count;
}

int pauses_add_to(struct profile *profile, struct process_total *total)
{
	count_open(total);
	for (struct pause_total *p = total->pauses; p; p = p->hh.next) {
		const struct function_name *name = p->key.function ? &p->key.function->name : NULL;
		struct profile_gc *out = profile__add_gc(profile);

		if (!out)
			return -1;
		out->tgid = total->process.tgid;
		out->generation = p->key.generation;
		out->function = strdup(name ? name->function : "");
		out->file = strdup(name ? name->file : "");
		out->line = name ? name->line : 0;
		out->method = gc_method_name(total->gc_method);
		out->time = histogram_take(&p->time);
		out->estimated = p->samples;
		out->time.sum_ns += process_total__sampled_ns(total, p->samples);
	}
	return 0;
}
