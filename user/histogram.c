/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "histogram.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Make it hold buckets first to end - 1, too; false without memory. */
static bool reach(struct histogram *histogram, int first, int end)
{
	int before = histogram->first, held = histogram->span;
	uint64_t *counts;

	if (held && first > before)
		first = before;
	if (held && end < before + held)
		end = before + held;
	if (held == end - first)
		return true;
	counts = calloc(end - first, sizeof(*counts));
	if (!counts)
		return false;
	if (held)
		memcpy(counts + before - first, histogram->counts, held * sizeof(*counts));
	free(histogram->counts);
	histogram->counts = counts;
	histogram->first = first;
	histogram->span = end - first;
	return true;
}

void histogram_count(struct histogram *histogram, int bucket, uint64_t count)
{
	if (!count || !reach(histogram, bucket, bucket + 1))
		return;
	histogram->counts[bucket - histogram->first] += count;
	histogram->count += count;
}

void histogram_add_unsummed(struct histogram *histogram, uint64_t ns)
{
	if (!histogram->count || ns < histogram->min_ns)
		histogram->min_ns = ns;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
	histogram_count(histogram, bucket_of(ns), 1);
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram_add_unsummed(histogram, ns);
	histogram->sum_ns += ns;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	into->censored += from->censored;
	/* Outside the test below: time may be known before any of it is in a bucket. */
	into->sum_ns += from->sum_ns;
	if (!from->count || !reach(into, from->first, from->first + from->span))
		return;
	if (!into->count || from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
	into->count += from->count;
	for (int i = 0; i < from->span; i++)
		into->counts[from->first - into->first + i] += from->counts[i];
}

struct histogram histogram_take(struct histogram *histogram)
{
	struct histogram taken = *histogram;

	memset(histogram, 0, sizeof(*histogram));
	return taken;
}

void histogram_clear(struct histogram *histogram)
{
	free(histogram->counts);
	memset(histogram, 0, sizeof(*histogram));
}

void histogram_free(struct histogram *histogram)
{
	if (histogram)
		histogram_clear(histogram);
	free(histogram);
}
