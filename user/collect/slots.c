/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The kernel's table of functions as we know it, and room in it for those that come. */
#include "collector_internal.h"
#include "hash.h"

#include <stdlib.h>
#include <string.h>

#define GRACE_NS 1000000000ull /* after which nobody uses what is not to be found any more */
#define MAX_GONE 65536         /* numbers of one process's functions that are remembered */

static struct function_total *function_gone(struct process_total *process, uint32_t number)
{
	struct gone_slot *gone;

	HASH_FIND(hh, process->gone, &number, sizeof(number), gone);
	if (!gone)
		return NULL;
	/* the one that was not asked for longest is the first */
	HASH_DEL(process->gone, gone);
	HASH_ADD(hh, process->gone, number, sizeof(number), gone);
	return gone->function;
}

struct function_total *collector__slot_function(struct collector *collector, uint32_t number,
						struct process_total *process)
{
	uint32_t place = SLOT_PLACE(number);
	struct function_total *function;
	struct slot *slot;

	if (place >= collector->slot_count)
		return NULL;
	slot = &collector->slots[place];
	if (slot->process == process && slot->number == number)
		return slot->function;
	function = function_gone(process, number);
	if (function)
		return function;
	function = collector__nameless(process, number);
	if (slot->process == process) /* the slot is another's by now */
		return function;
	slot->process = process;
	slot->number = number;
	slot->function = function;
	slot->nameless = true;
	return function;
}

bool collector__slot_watched(const struct collector *collector, size_t place)
{
	return collector->stats[place].key.tgid & KEY_WATCHED;
}

/* Do none of its calls go on?  Those that were open when a probe window closed have no end. */
static bool nothing_open(const struct collector *collector, size_t place)
{
	const struct slot *slot = &collector->slots[place];
	const struct function_stats *before = slot->before;

	if (!before || (slot->process->probing.apart && !collector__slot_watched(collector, place)))
		return false;
	return (slot->process->probing.governed && !collector__slot_watched(collector, place)) ||
	       before->calls == before->exits + before->ended_unseen;
}

/* May another function have its place?  Not of one with a part in what others do. */
static bool may_go(const struct collector *collector, size_t place)
{
	const struct slot *slot = &collector->slots[place];

	return slot->process && slot->process->current && !slot->nameless && !slot->retired_ns &&
	       collector->stats[place].role <= ROLE_PLAIN && nothing_open(collector, place);
}

struct candidate {
	uint32_t place;
	uint64_t gained;
};

static int longest_idle_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->gained > y->gained) - (x->gained < y->gained);
}

/* The places of up to `most` functions that were not heard of for longest; how many there are. */
static size_t coldest(const struct collector *collector, uint32_t *places, size_t most)
{
	struct candidate *all = calloc(collector->slot_count + 1, sizeof(*all));
	size_t count = 0;

	for (size_t i = 0; all && i < collector->slot_count; i++)
		if (may_go(collector, i) && collector->slots[i].gained < collector->drains)
			all[count++] = (struct candidate){i, collector->slots[i].gained};
	if (count)
		qsort(all, count, sizeof(*all), longest_idle_first);
	if (count > most)
		count = most;
	for (size_t i = 0; i < count; i++)
		places[i] = all[i].place;
	free(all);
	return count;
}

/* So many should be free in any case. */
static size_t least_room(const struct collector *collector)
{
	return collector->slot_count / 8;
}

/*
 * So many slots should be free: for those that come until more can be, as fast as they came since
 * room was last made; but a quarter stays.
 */
static size_t wanted(struct collector *collector, uint64_t now_ns)
{
	double seconds = (double)(now_ns - collector->room_ns) / 1e9;
	double coming = seconds > 0 ? 3 * (double)collector->arrived / seconds : 0;
	double least = (double)least_room(collector), most = 6 * least;

	collector->room_ns = now_ns;
	collector->arrived = 0;
	return coming > most ? most : coming > least ? coming : least;
}

bool collector__needs_room(const struct collector *collector)
{
	return collector->arrived > collector->room / 2;
}

bool collector__has_little_room(const struct collector *collector)
{
	return collector->room < collector->arrived + least_room(collector);
}

size_t collector__make_room(struct collector *collector, uint64_t now_ns,
			    void (*retire)(void *arg, const uint32_t *places, size_t count),
			    void *arg)
{
	size_t want = wanted(collector, now_ns), count = 0;
	size_t soon = collector->room + collector->retiring;
	uint32_t *places;

	if (soon >= want)
		return 0;
	places = calloc(want, sizeof(*places));
	if (places)
		count = coldest(collector, places, want - soon);
	for (size_t i = 0; i < count; i++)
		collector->slots[places[i]].retired_ns = now_ns;
	if (count)
		retire(arg, places, count);
	free(places);
	collector->retired += count;
	return count;
}

bool collector__slot_over(struct collector *collector, size_t place, uint64_t now_ns)
{
	const struct slot *slot = &collector->slots[place];

	if (!slot->process)
		return false;
	if (!slot->process->current)
		return true;
	return slot->retired_ns && now_ns >= slot->retired_ns + GRACE_NS &&
	       nothing_open(collector, place);
}

/* What the slot's number meant; at the most MAX_GONE are known, those asked for last. */
static void remember_number(struct process_total *process, const struct slot *slot)
{
	struct gone_slot *gone = process->gone;

	if (HASH_COUNT(process->gone) >= MAX_GONE)
		HASH_DEL(process->gone, gone);
	else
		gone = calloc(1, sizeof(*gone));
	if (!gone)
		return;
	gone->number = slot->number;
	gone->function = slot->function;
	HASH_ADD(hh, process->gone, number, sizeof(gone->number), gone);
}

void collector__slot_clear(struct collector *collector, size_t place)
{
	struct slot *slot = &collector->slots[place];

	if (slot->process->current && slot->function)
		remember_number(slot->process, slot);
	free(slot->before);
	memset(slot, 0, sizeof(*slot));
}
