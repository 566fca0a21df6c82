/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Quantiles of base-2 exponential histograms, the way Prometheus reads its own. */
#include "quantile.h"

#include <math.h>

static double clamp(const struct histogram *h, double ns)
{
	if (h->max_ns && ns > (double)h->max_ns)
		return (double)h->max_ns;
	if (h->min_ns && ns < (double)h->min_ns)
		return (double)h->min_ns;
	return ns;
}

double histogram_quantile_ns(const struct histogram *histogram, double q)
{
	/* All buckets are this wide; the first is open below, but its upper end is where it is. */
	const double growth = exp2(1.0 / (1 << BUCKET_SCALE));
	uint64_t total = 0, below = 0;
	double rank;
	int i, last = -1;

	for (i = 0; i < BUCKET_COUNT; i++) {
		total += histogram->buckets[i];
		if (histogram->buckets[i])
			last = i;
	}
	if (last < 0 || isnan(q))
		return NAN;
	if (!histogram->sum_ns && !histogram->max_ns)
		return 0; /* all took no time, the clock says */

	rank = fmin(fmax(q, 0.0), 1.0) * (double)total;
	for (i = 0; i < last; i++) {
		if (histogram->buckets[i] && (double)(below + histogram->buckets[i]) >= rank)
			break;
		below += histogram->buckets[i];
	}
	/* What is beyond the last bound is anywhere: the largest value seen is the best to say. */
	if (i == BUCKET_COUNT - 1 && histogram->max_ns > bucket_upper_ns[i])
		return (double)histogram->max_ns;

	return clamp(histogram, (double)bucket_upper_ns[i] / growth *
					pow(growth, fmax(rank - (double)below, 0.0) /
							    (double)histogram->buckets[i]));
}
