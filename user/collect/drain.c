/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The kernel's function counters into totals. */
#include "clock.h"
#include "collector_internal.h"
#include "windowed.h"

#include <stdlib.h>
#include <string.h>

/* What a counter that only grows gained; and remember it. */
static uint64_t gained(const __u64 *now, __u64 *before)
{
	__u64 value = __atomic_load_n(now, __ATOMIC_RELAXED);
	uint64_t gain = value - *before;

	*before = value;
	return gain;
}

static void drain_histogram(struct function_stats *stats, struct function_stats *before,
			    struct function_total *function, const struct probing *probing)
{
	struct histogram *wall = &function->wall;
	struct tail_history *history = function->history;
	uint64_t min = __atomic_exchange_n(&stats->min_ns, 0, __ATOMIC_RELAXED);
	uint64_t max = __atomic_exchange_n(&stats->max_ns, 0, __ATOMIC_RELAXED);

	for (int i = 0; i < BUCKET_COUNT; i++) {
		uint32_t value = __atomic_load_n(&stats->buckets[i], __ATOMIC_RELAXED);
		uint32_t gain = value - before->buckets[i]; /* right across a wrap, too */

		before->buckets[i] = value;
		if (!gain)
			continue;
		histogram_count(wall, i, gain);
		if (probing->governed)
			windowed_count(function, probing->group, i, false, gain);
		if (!history)
			continue;
		history->newer[i] += gain;
		history->newer_calls += gain;
	}
	wall->sum_ns += gained(&stats->wall_ns, &before->wall_ns);
	if (min && (!wall->min_ns || min < wall->min_ns))
		wall->min_ns = min;
	if (max > wall->max_ns)
		wall->max_ns = max;
}

static void drain_tail(struct tail_stats *tail, struct tail_stats *before, struct tail_counts *to)
{
	to->calls += gained(&tail->calls, &before->calls);
	to->wall_ns += gained(&tail->wall_ns, &before->wall_ns);
	for (int c = 0; c < WAIT_CLASSES; c++)
		to->wait_ns[c] += gained(&tail->wait_ns[c], &before->wait_ns[c]);
}

/* So many calls ended while those that took `from_ns` were told from the others. */
static void judged(struct function_total *function, uint64_t calls, uint64_t from_ns)
{
	if (!calls || !from_ns)
		return;
	function->window.tail.of_calls += calls;
	function_total__tail_in_force(function, from_ns, from_ns);
}

/* What is known whether or not calls are probed. */
static void drain_holds(struct function_stats *stats, struct function_stats *before,
			struct function_total *function)
{
	uint64_t hold_max = __atomic_exchange_n(&stats->hold_max_ns, 0, __ATOMIC_RELAXED);

	function->window.holds += gained(&stats->holds, &before->holds);
	function->window.hold_ns += gained(&stats->hold_ns, &before->hold_ns);
	if (hold_max > function->hold_max_ns)
		function->hold_max_ns = hold_max;
}

static void drain_calls(struct function_stats *stats, struct function_stats *before,
			struct function_total *function, const struct probing *probing)
{
	struct call_counts *window = &function->window;
	uint64_t calls, exits, unseen;

	/* before all ends: so that no call looks slow before it ended */
	drain_tail(&stats->tail, &before->tail, &window->tail);
	/* ends before beginnings: so that no call looks ended before it began */
	exits = gained(&stats->exits, &before->exits);
	unseen = gained(&stats->ended_unseen, &before->ended_unseen);
	judged(function, exits, stats->tail_from_ns);
	drain_histogram(stats, before, function, probing);
	window->exceptions += gained(&stats->exceptions, &before->exceptions);
	window->began_before += gained(&stats->began_before, &before->began_before);
	window->self_ns += gained(&stats->self_ns, &before->self_ns);
	window->probe_ns += gained(&stats->probe_ns, &before->probe_ns);
	window->suspended_ns += gained(&stats->suspended_ns, &before->suspended_ns);
	for (int c = 0; c < WAIT_CLASSES; c++)
		window->wait_ns[c] += gained(&stats->wait_ns[c], &before->wait_ns[c]);
	calls = gained(&stats->calls, &before->calls);
	window->segments += gained(&stats->segments, &before->segments);
	window->calls += calls;
	window->exits += exits;
	window->ended_unseen += unseen;
	function->begun += calls;
	function->over += exits + unseen;
	if (probing->governed)
		windowed_began(function, probing->group, calls);
}

/* Of a window that was cut: nothing is said of these calls but that they are over. */
static void drop_calls(struct function_stats *stats, struct function_stats *before,
		       struct function_total *function)
{
	struct function_stats kept = *before;

	memcpy(before, stats, sizeof(*before));
	before->holds = kept.holds;
	before->hold_ns = kept.hold_ns;
	stats->min_ns = stats->max_ns = 0;
	function->begun += before->calls - kept.calls;
	function->over += before->exits - kept.exits + before->ended_unseen - kept.ended_unseen;
}

void collector__drain_slot(struct collector *collector, uint32_t index)
{
	struct function_stats *stats = &collector->stats[index];
	struct slot *slot = &collector->slots[index];
	static const struct probing always;
	const struct probing *probing =
		collector__slot_watched(collector, index) ? &always : &slot->process->probing;

	if (stats->segments != slot->before->segments || stats->exits != slot->before->exits ||
	    stats->holds != slot->before->holds)
		slot->gained = collector->drains;
	drain_holds(stats, slot->before, slot->function);
	if (probing->dropped)
		drop_calls(stats, slot->before, slot->function);
	else if (!probing->apart)
		drain_calls(stats, slot->before, slot->function, probing);
}

/*
 * A slot whose name has not come.  If it cannot any more, because the ring was read after
 * the slot was first seen or its process ended, count it under a name that says so.
 */
static void adopt_slot(struct collector *collector, uint32_t index,
		       const struct function_stats *stats, enum ring_state ring)
{
	struct slot *slot = &collector->slots[index];
	struct process_total *process = collector__find_any(collector, stats->tgid & ~KEY_WATCHED);
	bool awaited = slot->awaited;

	slot->awaited = true;
	if (!process || (ring != RING_OVER && !awaited && process->current))
		return;
	slot->process = process;
	slot->number = stats->slot;
	slot->function = collector__nameless(process, slot->number);
	slot->nameless = true;
}

static void end_open_calls(struct process_total *total)
{
	for (struct function_total *f = total->functions; f; f = f->hh.next) {
		if (f->begun <= f->over)
			continue;
		f->window.ended_unseen += f->begun - f->over;
		f->over = f->begun;
	}
}

/* Can what a slot has gained be taken up?  Then it has a function. */
static bool slot_is_known(struct collector *collector, size_t index, enum ring_state ring)
{
	struct function_stats *stats = &collector->stats[index];
	struct slot *slot = &collector->slots[index];

	if (!__atomic_load_n(&stats->key.code, __ATOMIC_RELAXED))
		return false;
	if (!slot->function && ring != RING_UNREAD)
		adopt_slot(collector, index, stats, ring);
	if (slot->function && !slot->before)
		slot->before = calloc(1, sizeof(*slot->before));
	return slot->function && slot->before;
}

void collector__drain(struct collector *collector, enum ring_state ring,
		      void (*free_slot)(void *arg, uint32_t place), void *arg)
{
	uint64_t now = monotonic_ns();

	collector->drains++;
	collector->room = collector->retiring = 0;
	for (size_t i = 0; i < collector->slot_count; i++) {
		bool known = slot_is_known(collector, i, ring);

		if (known)
			collector__drain_slot(collector, i);
		if (collector__slot_over(collector, i, now)) {
			collector__slot_clear(collector, i);
			if (known)
				free_slot(arg, i);
		}
		collector->room += !collector->slots[i].function && !collector->stats[i].key.code;
		collector->retiring += collector->slots[i].retired_ns != 0;
	}
	for (struct process_total *total = collector->processes; total; total = total->next)
		if (!total->current)
			end_open_calls(total);
}

void collector__drain_process(struct collector *collector, struct process_total *total)
{
	for (size_t i = 0; i < collector->slot_count; i++)
		if (collector->slots[i].process == total &&
		    slot_is_known(collector, i, RING_UNREAD))
			collector__drain_slot(collector, i);
}
