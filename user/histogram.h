/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How many of which length, by the buckets of buckets.h: to be added up, and merged. */
#ifndef PYTRACE_HISTOGRAM_H
#define PYTRACE_HISTOGRAM_H

#include <stdint.h>

#include "buckets.h"

/*
 * Zeroed it is empty.  What it holds is let go by histogram_clear().  Of most functions few buckets
 * are used, one beside the other: only what is between the first and the last is held.
 */
struct histogram {
	uint64_t count; /* sum of buckets */
	uint64_t sum_ns;
	uint64_t min_ns; /* 0 when empty */
	uint64_t max_ns;
	uint64_t censored; /* begun and not over at the end of the window: not in buckets */
	uint64_t *counts;  /* of `span` buckets from `first` on */
	uint16_t first, span;
};

static inline uint64_t histogram_bucket(const struct histogram *histogram, int bucket)
{
	unsigned int at = (unsigned int)bucket - histogram->first;

	return at < histogram->span ? histogram->counts[at] : 0;
}

/* Adds so many of one bucket, but nothing to the times.  Without memory nothing is added. */
void histogram_count(struct histogram *histogram, int bucket, uint64_t count);
/* Adds one that took `ns`. */
void histogram_add(struct histogram *histogram, uint64_t ns);
/* The same where the sum is added up apart. */
void histogram_add_unsummed(struct histogram *histogram, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* What it held is the caller's, and it is empty. */
struct histogram histogram_take(struct histogram *histogram);
/* It is empty afterwards. */
void histogram_clear(struct histogram *histogram);
/* Of one that was allocated; NULL is fine. */
void histogram_free(struct histogram *histogram);

#endif
