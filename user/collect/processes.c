/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which processes the collector has, and what is known of each beside its records. */
#include "collector_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "discover/native.h"
#include "resident.h"
#include "windowed.h"

struct process_total *collector__find(const struct collector *collector, pid_t tgid)
{
	struct process_total *total;

	HASH_FIND_INT(collector->current, &tgid, total);
	return total;
}

struct process_total *collector__find_any(const struct collector *collector, pid_t tgid)
{
	struct process_total *total = collector__find(collector, tgid);

	if (total)
		return total;
	for (total = collector->processes; total; total = total->next)
		if (total->process.tgid == tgid)
			return total;
	return NULL;
}

const struct process *collector__process(const struct collector *collector, pid_t tgid)
{
	const struct process_total *total = collector__find(collector, tgid);

	return total ? &total->process : NULL;
}

bool collector__knows(const struct collector *collector, pid_t tgid)
{
	return collector__find(collector, tgid) != NULL;
}

size_t collector__living(const struct collector *collector)
{
	return HASH_COUNT(collector->current);
}

pid_t *collector__tgids(const struct collector *collector, size_t build, size_t *count)
{
	pid_t *tgids = calloc(collector__living(collector) + 1, sizeof(*tgids));

	*count = 0;
	for (struct process_total *total = collector->processes; tgids && total;
	     total = total->next)
		if (total->current && total->probed_since_ns && total->process.build == build)
			tgids[(*count)++] = total->process.tgid;
	return tgids;
}

pid_t *collector__living_tgids(const struct collector *collector, size_t build, size_t *count)
{
	pid_t *tgids = calloc(collector__living(collector) + 1, sizeof(*tgids));

	*count = 0;
	for (struct process_total *total = collector->processes; tgids && total;
	     total = total->next)
		if (total->current && (build == ANY_BUILD || total->process.build == build))
			tgids[(*count)++] = total->process.tgid;
	return tgids;
}

int collector__add_process(struct collector *collector, const struct process *process,
			   uint64_t now_ns)
{
	struct process_total *total = collector__find(collector, process->tgid), *parent;

	if (total) {
		total->process = *process;
		total->replaced = false;
		return 0;
	}
	total = calloc(1, sizeof(*total));
	if (!total)
		return -ENOMEM;
	total->process = *process;
	parent = collector__find_any(collector, process->parent);
	if (parent)
		total->family = parent->family ?: parent->process.tgid;
	total->since_ns = total->effort.at_ns = now_ns;
	total->current = true;
	collector->throttle_cache.groups[0] = '\0'; /* that was another time */
	collector__throttle(collector, process->tgid, &total->throttle);
	resident_read(total, now_ns);
	total->next = collector->processes;
	collector->processes = total;
	HASH_ADD_INT(collector->current, process.tgid, total);
	return 0;
}

void collector__waits(struct collector *collector, uint64_t now_ns, waits_fn fn, void *arg)
{
	for (struct process_total *total = collector->processes; total; total = total->next) {
		struct effort *effort = &total->effort;
		struct waits_lately lately = {
			.ns = now_ns - effort->at_ns,
			.waits = effort->waits,
			.samples = effort->samples,
		};

		if (!total->current || now_ns <= effort->at_ns)
			continue;
		fn(arg, total->process.tgid, &lately);
		effort->cost_ns += (uint64_t)(lately.share * (double)lately.ns);
		if (lately.walk_every > effort->walk_every)
			effort->walk_every = lately.walk_every;
		effort->at_ns = now_ns;
		effort->waits = effort->samples = 0;
	}
}

void collector__memory(struct collector *collector, uint64_t now_ns)
{
	for (struct process_total *total = collector->processes; total; total = total->next)
		if (total->current)
			resident_read(total, now_ns);
}

void collector__update_process(struct collector *collector, const struct process *process)
{
	struct process_total *total = collector__find(collector, process->tgid);

	if (total)
		total->process = *process;
	native__forget(collector->native, process->tgid);
}

void collector__watched(struct collector *collector, pid_t tgid, const struct watching_note *note,
			uint64_t now_ns)
{
	struct process_total *total = collector__find(collector, tgid);
	struct function_total *watched =
		total ? process_total__function(total, note->function, note->file, note->line)
		      : NULL;

	if (watched)
		watched = process_total__watched(total, watched);
	if (!watched || note->on == (watched->watched_since_ns != 0))
		return;
	watched->suspends = note->suspends;
	if (!note->on)
		watched->watched_ns = function_total__watched_ns(watched, now_ns);
	watched->watched_since_ns = note->on ? now_ns : 0;
}

void collector__probed(struct collector *collector, pid_t tgid, bool on, uint64_t now_ns)
{
	struct process_total *total = collector__find(collector, tgid);

	if (!total || on == (total->probed_since_ns != 0))
		return;
	if (!on) {
		total->probed_ns += now_ns - total->probed_since_ns;
		windowed_add_ns(total, now_ns - total->probed_since_ns);
	}
	total->probed_since_ns = on ? now_ns : 0;
}

void collector__gc_method(struct collector *collector, pid_t tgid, enum gc_method method,
			  const char *reason)
{
	struct process_total *total = collector__find(collector, tgid);

	if (!total)
		return;
	total->gc_method = method;
	snprintf(total->gc_reason, sizeof(total->gc_reason), "%s", reason);
}

void collector__end_process(struct collector *collector, pid_t tgid, uint64_t now_ns)
{
	struct process_total *total = collector__find(collector, tgid);

	if (!total)
		return;
	collector__probed(collector, tgid, false, now_ns);
	windowed_end(total, now_ns);
	throttle_read_again(&collector->cpu_hierarchy, &total->throttle, &total->throttle_last);
	native__forget(collector->native, tgid);
	total->until_ns = now_ns;
	total->current = false;
	HASH_DEL(collector->current, total);
}

void collector__replaced(struct collector *collector, pid_t tgid)
{
	struct process_total *total = collector__find_any(collector, tgid);

	if (total)
		total->replaced = true;
}
