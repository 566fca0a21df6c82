/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Quantiles of base-2 exponential histograms, the way Prometheus reads its own. */
#include "quantile.h"

#include <math.h>

const struct told_quantile told_quantiles[TOLD_QUANTILES] = {
	{0.50, "p50", "p50_interval"},
	{0.90, "p90", "p90_interval"},
	{0.95, "p95", "p95_interval"},
	{0.99, "p99", "p99_interval"},
};

static double clamp(const struct histogram *h, double ns)
{
	if (h->max_ns && ns > (double)h->max_ns)
		return (double)h->max_ns;
	if (h->min_ns && ns < (double)h->min_ns)
		return (double)h->min_ns;
	return ns;
}

/* All buckets are this wide; the first is open below, but its upper end is where it is. */
static double growth(void)
{
	return exp2(1.0 / (1 << BUCKET_SCALE));
}

/* The value `part` of the way (0 to 1) through a bucket. */
static double inside(const struct histogram *h, int bucket, double part)
{
	/* What is beyond the last bound is anywhere: the largest value seen is the best to say. */
	if (bucket == BUCKET_COUNT - 1 && h->max_ns > bucket_upper_ns[bucket])
		return (double)h->max_ns;
	return clamp(h, (double)bucket_upper_ns[bucket] / growth() * pow(growth(), part));
}

double histogram_quantile_ns(const struct histogram *histogram, double q)
{
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
	return inside(histogram, i,
		      fmax(rank - (double)below, 0.0) / (double)histogram->buckets[i]);
}

double histogram_censored_quantile_ns(const struct histogram *histogram,
				      const struct histogram *censored, double q)
{
	double at_risk = 0, surviving = 1;

	if (!censored || !censored->count)
		return histogram_quantile_ns(histogram, q);
	if (isnan(q) || !histogram->count)
		return NAN;
	for (int i = 0; i < BUCKET_COUNT; i++)
		at_risk += (double)histogram->buckets[i] + (double)censored->buckets[i];
	for (int i = 0; i < BUCKET_COUNT; i++) {
		double ended = (double)histogram->buckets[i], open = (double)censored->buckets[i];
		double before = surviving, gone;

		/* those that were lost sight of in the bucket were at risk for half of it */
		if (ended > 0)
			surviving *= fmax(1 - ended / fmax(at_risk - open / 2, ended), 0);
		at_risk -= ended + open;
		if (ended == 0 || 1 - surviving < q)
			continue;
		gone = before - surviving;
		return inside(histogram, i, gone > 0 ? fmax(q - (1 - before), 0) / gone : 1);
	}
	return INFINITY;
}

double function_quantile_ns(const struct profile_function *function, double q)
{
	return histogram_censored_quantile_ns(&function->wall, function->censored, q);
}

double function_longest_ns(const struct profile_function *function)
{
	double longest = (double)function->wall.max_ns;

	return function->censored ? fmax(longest, (double)function->censored->max_ns) : longest;
}
