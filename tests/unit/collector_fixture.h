/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A collector with one process, for tests of what records and counters come to. */
#ifndef PYTRACE_COLLECTOR_FIXTURE_H
#define PYTRACE_COLLECTOR_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "collect/collector.h"

#define TGID 1000
#define SLOTS 8

struct fixture {
	struct builds *builds;
	struct function_stats *stats;
	struct collector *collector;
	unsigned int freed; /* bit per place handed back */
};

static void hear(void *arg, const struct record_task *record)
{
	(void)arg;
	(void)record;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct process process = {.tgid = TGID};

	f->builds = builds__new();
	f->stats = calloc(SLOTS, sizeof(*f->stats));
	f->collector = collector__new(f->builds, f->stats, SLOTS, hear, NULL);
	*state = f;
	return collector__add_process(f->collector, &process, 1);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	collector__free(f->collector);
	builds__free(f->builds);
	free(f->stats);
	free(f);
	return 0;
}

static inline void free_slot(void *arg, uint32_t place)
{
	struct fixture *f = arg;

	f->freed |= 1u << place;
	memset(&f->stats[place], 0, sizeof(f->stats[place]));
}

/* `begun` calls begin in the slot with that number, and `ended` end that took `ns` each. */
static inline struct function_stats *count(struct fixture *f, uint32_t slot, unsigned int begun,
					   unsigned int ended, uint64_t ns)
{
	struct function_stats *stats = &f->stats[SLOT_PLACE(slot)];

	stats->slot = slot;
	stats->key.code = 0x5000 + slot;
	stats->tgid = TGID;
	stats->calls += begun;
	stats->segments += begun;
	stats->exits += ended;
	stats->wall_ns += ns * ended;
	stats->buckets[bucket_of(ns)] += ended;
	return stats;
}

/* A function of a process begins to be seen: that of `slot`, in "a.py". */
static inline void tell_name_of(struct fixture *f, uint32_t tgid, uint32_t slot, const char *name)
{
	struct record_code record = {
		.kind = RECORD_CODE,
		.tgid = tgid,
		.slot = slot,
		.line = 7,
		.name_chars = strlen(name),
		.file_chars = 4,
		.name_kind = 1,
		.file_kind = 1,
		.name_ascii = 1,
		.file_ascii = 1,
	};

	memcpy(record.name, name, strlen(name));
	memcpy(record.file, "a.py", 4);
	collector__record(f->collector, &record, sizeof(record));
}

static inline void tell_name(struct fixture *f, uint32_t slot, const char *name)
{
	tell_name_of(f, TGID, slot, name);
}

#endif
