/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the rules about a process are measured by. */
#ifndef PYTRACE_MEASURE_H
#define PYTRACE_MEASURE_H

#include "limit.h"
#include "tally.h"

/* Callbacks of event loops that took less hold nobody up. */
#define LOOP_LONG_NS 10000000ull

struct facts {
	const struct profile *profile;
	const struct profile_process *process;
	uint64_t observed_ns, active_ns;
	const uint64_t *busy_ns; /* the limit's own, LIMIT_PARTS of them */

	bool gil_known;
	uint64_t gil_ns;      /* in which one thread or more waited for the GIL */
	uint64_t gil_held_ns; /* of waits of threads that had it meanwhile */

	bool gc_known;
	uint64_t gc_ns;              /* in collections */
	const struct profile_gc *gc; /* where most of it was; or NULL */

	uint64_t loop_ns; /* in which callbacks held up an event loop */
	uint64_t loop_longest_ns;
	const struct profile_callback *callback; /* that did so most; or NULL */
	struct tally loop_waits;                 /* functions that waited inside callbacks */

	/* waits on a queue.Queue for what one function puts in */
	uint64_t queue_ns;
	uint64_t queue_count;
	const struct profile_name *consumer, *producer;
	int producer_part; /* what the producer does most, of LIMIT_PARTS */
};

/*
 * Adds up where the time of the process's threads went, into the limit, and everything else that
 * rules ask for, into the facts.
 */
void measure(const struct profile *profile, const struct profile_process *process,
	     struct limit *limit, struct facts *facts);

/* `part` of `whole`, 0 of nothing. */
double share_of(uint64_t part, uint64_t whole);

#endif
