/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From what calls of functions took lately to which of them are slow. */
#include "tail.h"
#include "collector_internal.h"

#include <stdlib.h>
#include <string.h>

#define SLOW_SHARE 0.05
#define SLOW_SHARE_MOST 0.20
/* A part of the history: so long at least, and so many calls, which leave ten in the tail. */
#define PART_NS 5000000000ull
#define PART_CALLS 200

struct tail_history *tail_history__new(const struct histogram *calls, uint64_t now_ns)
{
	struct tail_history *history = calloc(1, sizeof(*history));

	if (!history)
		return NULL;
	for (int i = 0; i < BUCKET_COUNT; i++)
		history->newer[i] = histogram_bucket(calls, i);
	history->newer_calls = calls->count;
	history->newer_since_ns = now_ns;
	return history;
}

uint64_t tail_history__from_ns(const struct tail_history *history)
{
	double all = history->newer_calls + history->older_calls;
	double above = all, with = all; /* calls above the bucket, and those in it too */
	int i;

	for (i = 0; i < BUCKET_COUNT - 1; i++) {
		with = above;
		above -= history->newer[i] + history->older[i];
		if (above <= all * SLOW_SHARE)
			break;
	}
	if (i && with <= all * SLOW_SHARE_MOST &&
	    with * above < all * SLOW_SHARE * all * SLOW_SHARE)
		i--;
	return bucket_upper_ns[i] + 1;
}

void tail_history__turn(struct tail_history *history, uint64_t now_ns)
{
	if (now_ns - history->newer_since_ns < PART_NS || history->newer_calls < PART_CALLS)
		return;
	memcpy(history->older, history->newer, sizeof(history->older));
	memset(history->newer, 0, sizeof(history->newer));
	history->older_calls = history->newer_calls;
	history->newer_calls = 0;
	history->newer_since_ns = now_ns;
}

static void renew(struct function_total *function, uint64_t now_ns)
{
	if (!function->history && function->wall.count >= TAIL_LEAST_CALLS)
		function->history = tail_history__new(&function->wall, now_ns);
	if (!function->history)
		return;
	function->tail_from_ns = tail_history__from_ns(function->history);
	tail_history__turn(function->history, now_ns);
}

void collector__renew_tails(struct collector *collector, uint64_t now_ns)
{
	for (struct process_total *total = collector->processes; total; total = total->next) {
		if (!total->current)
			continue;
		for (struct function_total *f = total->functions; f; f = f->hh.next)
			renew(f, now_ns);
	}
	for (size_t i = 0; i < collector->slot_count; i++) {
		struct slot *slot = &collector->slots[i];
		struct function_stats *stats = &collector->stats[i];

		if (!slot->before || slot->process->probing.apart ||
		    stats->tail_from_ns == slot->function->tail_from_ns)
			continue;
		collector__drain_slot(collector,
				      i); /* what was counted until now is the old one's */
		__atomic_store_n(&stats->tail_from_ns, slot->function->tail_from_ns,
				 __ATOMIC_RELAXED);
	}
}
