/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A collector with one process, for tests of what records and counters come to. */
#ifndef PYTRACE_COLLECTOR_FIXTURE_H
#define PYTRACE_COLLECTOR_FIXTURE_H

#include <stdlib.h>

#include "collect/collector.h"

#define TGID 1000
#define SLOTS 4

struct fixture {
	struct builds *builds;
	struct function_stats *stats;
	struct collector *collector;
	unsigned int freed; /* bit per slot handed back */
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

#endif
