/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Probe windows as they come and go, and their calls by group of windows. */
#include "windowed.h"

#include <stdlib.h>
#include <string.h>

#include "collector_internal.h"

static struct call_group *group_of(struct function_total *function, uint32_t group)
{
	if (!function->groups)
		function->groups = calloc(WINDOW_GROUPS, sizeof(*function->groups));
	return function->groups ? &function->groups[group % WINDOW_GROUPS] : NULL;
}

void windowed_count(struct function_total *function, uint32_t index, int bucket, bool censored,
		    uint32_t count)
{
	struct call_group *group = group_of(function, index);
	struct group_count *grown;

	if (!group || !count)
		return;
	for (size_t i = 0; i < group->used; i++)
		if (group->counts[i].bucket == bucket && group->counts[i].censored == censored) {
			group->counts[i].count += count;
			return;
		}
	if (group->used == group->room) {
		grown = reallocarray(group->counts, group->room + 16, sizeof(*grown));
		if (!grown)
			return;
		group->counts = grown;
		group->room += 16;
	}
	group->counts[group->used++] = (struct group_count){
		.bucket = (uint16_t)bucket,
		.censored = censored,
		.count = count,
	};
}

void windowed_began(struct function_total *function, uint32_t index, uint64_t calls)
{
	struct call_group *group = calls ? group_of(function, index) : NULL;

	if (group)
		group->calls += calls;
}

void windowed_forget(struct function_total *function)
{
	histogram_free(function->censored);
	call_groups_free(function->groups);
	function->censored = NULL;
	function->groups = NULL;
}

void windowed_reset(struct probing *probing)
{
	probing->windows = probing->windows_cut = probing->hits = 0;
	memset(probing->group_ns, 0, sizeof(probing->group_ns));
}

static void groups_move(struct function_total *to, struct function_total *from)
{
	for (uint32_t g = 0; g < WINDOW_GROUPS; g++) {
		const struct call_group *group = &from->groups[g];

		windowed_began(to, g, group->calls);
		for (size_t i = 0; i < group->used; i++)
			windowed_count(to, g, group->counts[i].bucket, group->counts[i].censored,
				       group->counts[i].count);
	}
}

void windowed_move(struct function_total *to, struct function_total *from)
{
	if (from->groups)
		groups_move(to, from);
	if (from->censored && to->censored) {
		histogram_merge(to->censored, from->censored);
	} else if (from->censored) {
		to->censored = from->censored;
		from->censored = NULL;
	}
}

void windowed_profile(struct profile_function *out, struct function_total *function,
		      const struct process_total *total)
{
	out->wall.censored =
		function->begun > function->over ? function->begun - function->over : 0;
	if (!total->probing.governed)
		return;
	if (!total->probed_since_ns && !total->probing.apart)
		/* greenlets' calls: how long they took is not known */
		function->over = function->begun;
	if (function->censored)
		out->wall.censored += function->censored->count;
	out->censored = function->censored;
	out->groups = function->groups;
	function->censored = NULL;
	function->groups = NULL;
}

void windowed_add_ns(struct process_total *total, uint64_t ns)
{
	total->probing.group_ns[total->probing.group % WINDOW_GROUPS] += ns;
}

void windowed_end(struct process_total *total, uint64_t end_ns)
{
	struct probing *probing = &total->probing;
	uint64_t ns = end_ns > probing->begin_ns ? end_ns - probing->begin_ns : 0;

	if (probing->apart && !probing->dropped) {
		total->probed_ns += ns;
		windowed_add_ns(total, ns);
	}
	probing->apart = false;
}

void collector__governed(struct collector *collector, pid_t tgid, bool yes)
{
	struct process_total *total = collector__find(collector, tgid);

	if (total)
		total->probing.governed = yes;
}

void collector__window_opened(struct collector *collector, pid_t tgid, uint64_t begin_ns)
{
	struct process_total *total = collector__find(collector, tgid);

	if (!total)
		return;
	total->probing.apart = true;
	total->probing.dropped = false;
	total->probing.begin_ns = begin_ns;
	total->probing.group++;
}

void collector__window_proved(struct collector *collector, pid_t tgid)
{
	struct process_total *total = collector__find(collector, tgid);

	if (!total || !total->probing.apart)
		return;
	total->probing.apart = false;
	collector__probed(collector, tgid, true, total->probing.begin_ns);
}

void collector__window_ended(struct collector *collector, pid_t tgid, bool cut)
{
	struct process_total *total = collector__find(collector, tgid);

	if (total) /* what has been taken up already stays */
		total->probing.dropped = cut && total->probing.apart;
}

void collector__window_settled(struct collector *collector, pid_t tgid, uint64_t end_ns,
			       uint64_t hits)
{
	struct process_total *total = collector__find(collector, tgid);
	struct probing *probing;

	if (!total)
		return;
	probing = &total->probing;
	if (probing->apart) { /* it has not stayed open, and was proved */
		probing->windows++;
		probing->hits += hits;
	}
	collector__probed(collector, tgid, false, end_ns);
	windowed_end(total, end_ns);
	collector__drain_process(collector, total);
	probing->windows_cut += probing->dropped;
	probing->dropped = false;
}

void collector__censored(void *arg, pid_t tgid, uint32_t slot, uint64_t ns)
{
	struct collector *collector = arg;
	struct process_total *total = collector__find(collector, tgid);
	struct function_total *function;

	if (!total)
		return;
	function = collector__slot_function(collector, slot, total);
	if (!function)
		return;
	function->over++; /* as far as we see */
	if (total->probing.dropped)
		return;
	if (!function->censored)
		function->censored = calloc(1, sizeof(*function->censored));
	if (function->censored)
		histogram_add(function->censored, ns);
	windowed_count(function, total->probing.group, (int)bucket_of(ns), true, 1);
}
