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

/* If more of the calls than this part took longer than any that ended, there is no mean. */
#define UNSEEN_TAIL 0.001

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
		total += histogram_bucket(histogram, i);
		if (histogram_bucket(histogram, i))
			last = i;
	}
	if (last < 0 || isnan(q))
		return NAN;
	if (!histogram->sum_ns && !histogram->max_ns)
		return 0; /* all took no time, the clock says */

	rank = fmin(fmax(q, 0.0), 1.0) * (double)total;
	for (i = 0; i < last; i++) {
		if (histogram_bucket(histogram, i) &&
		    (double)(below + histogram_bucket(histogram, i)) >= rank)
			break;
		below += histogram_bucket(histogram, i);
	}
	return inside(histogram, i,
		      fmax(rank - (double)below, 0.0) / (double)histogram_bucket(histogram, i));
}

/* Kaplan and Meier's estimate, bucket by bucket: which part of the calls took longer. */
struct survival {
	const struct histogram *ended, *open;
	double at_risk, surviving;
};

static struct survival survival(const struct histogram *ended, const struct histogram *open)
{
	struct survival s = {.ended = ended, .open = open, .surviving = 1};

	for (int i = 0; i < BUCKET_COUNT; i++)
		s.at_risk += (double)histogram_bucket(ended, i) + (double)histogram_bucket(open, i);
	return s;
}

/* The part of all calls that ended in bucket `i`: one after the other. */
static double survival_step(struct survival *s, int i)
{
	double ended = (double)histogram_bucket(s->ended, i),
	       open = (double)histogram_bucket(s->open, i);
	double before = s->surviving;

	/* those that were lost sight of in the bucket were at risk for half of it */
	if (ended > 0)
		s->surviving *= fmax(1 - ended / fmax(s->at_risk - open / 2, ended), 0);
	s->at_risk -= ended + open;
	return before - s->surviving;
}

double histogram_censored_quantile_ns(const struct histogram *histogram,
				      const struct histogram *censored, double q)
{
	struct survival s;

	if (!censored || !censored->count)
		return histogram_quantile_ns(histogram, q);
	if (isnan(q) || !histogram->count)
		return NAN;
	s = survival(histogram, censored);
	for (int i = 0; i < BUCKET_COUNT; i++) {
		double before = s.surviving, gone = survival_step(&s, i);

		if (!histogram_bucket(histogram, i) || 1 - s.surviving < q)
			continue;
		return inside(histogram, i, gone > 0 ? fmax(q - (1 - before), 0) / gone : 1);
	}
	return INFINITY;
}

double histogram_censored_mean_ns(const struct histogram *histogram,
				  const struct histogram *censored)
{
	struct survival s;
	double mean = 0;

	if (!histogram->count)
		return NAN;
	if (!censored || !censored->count)
		return (double)histogram->sum_ns / (double)histogram->count;
	s = survival(histogram, censored);
	for (int i = 0; i < BUCKET_COUNT; i++) {
		double gone = survival_step(&s, i);

		if (gone > 0)
			mean += gone * inside(histogram, i, 0.5);
	}
	return s.surviving > UNSEEN_TAIL ? NAN : mean;
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
