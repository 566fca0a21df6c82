/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Quantiles of a histogram, and of calls that were not all seen to their end. */
#ifndef PYTRACE_QUANTILE_H
#define PYTRACE_QUANTILE_H

#include "../profile.h"

/* Those that reports tell, and what they call them. */
#define TOLD_QUANTILES 4
struct told_quantile {
	double q;
	const char *name, *interval;
};
extern const struct told_quantile told_quantiles[TOLD_QUANTILES];

/*
 * The quantile `q` (0 to 1) in nanoseconds, interpolated logarithmically inside
 * its bucket and never outside [min_ns, max_ns] where these are known, so that
 * one value, or many equal ones, come back exact.  NaN when nothing is in it.
 */
double histogram_quantile_ns(const struct histogram *histogram, double q);

/*
 * The same where some calls are only known to have taken longer than what `censored` has (NULL:
 * none): Kaplan and Meier's estimate, by bucket.  INFINITY where the quantile is longer than
 * anything that was watched.
 */
double histogram_censored_quantile_ns(const struct histogram *histogram,
				      const struct histogram *censored, double q);

/* The mean of the same.  NAN where the longest of them were not seen to their end, or none was. */
double histogram_censored_mean_ns(const struct histogram *histogram,
				  const struct histogram *censored);

/* Of all calls of a function, whether or not it was watched all the time. */
double function_quantile_ns(const struct profile_function *function, double q);

/* The longest that a call of it was seen to take, to its end or not. */
double function_longest_ns(const struct profile_function *function);

#endif
