/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which calls of a function are its slow ones: those above the p95 of what its calls took
 * lately.  The kernel side adds up what these waited for, apart from the others.
 */
#ifndef PYTRACE_COLLECT_TAIL_H
#define PYTRACE_COLLECT_TAIL_H

#include <stdint.h>

#include "buckets.h"
#include "profile.h"

#define TAIL_LEAST_CALLS 20 /* fewer have no p95 worth the name */

/*
 * What calls took lately, in two parts: the older is forgotten when the newer is long enough and
 * has calls enough.
 */
struct tail_history {
	uint32_t newer[BUCKET_COUNT], older[BUCKET_COUNT];
	uint64_t newer_calls, older_calls;
	uint64_t newer_since_ns;
};

/* A history that begins with these calls, for free(); NULL without memory. */
struct tail_history *tail_history__new(const struct histogram *calls, uint64_t now_ns);

/*
 * How long a call takes at least that is one of the slow: a nanosecond above a bound of a
 * bucket, so that the slow ones are whole buckets of the histogram.  It is the bound of the p95's
 * bucket that leaves nearer 5 % of the calls above it.  (Where many calls are in that bucket,
 * neither may be near: the lower one is taken for up to 20 %, then the upper one.)
 */
uint64_t tail_history__from_ns(const struct tail_history *history);

/* Begin a new part if the newer is old enough. */
void tail_history__turn(struct tail_history *history, uint64_t now_ns);

#endif
