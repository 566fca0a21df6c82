/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Quantiles of a histogram. */
#ifndef PYTRACE_QUANTILE_H
#define PYTRACE_QUANTILE_H

#include "../profile.h"

/*
 * The quantile `q` (0 to 1) in nanoseconds, interpolated logarithmically inside
 * its bucket and never outside [min_ns, max_ns] where these are known, so that
 * one value, or many equal ones, come back exact.  NaN when nothing is in it.
 */
double histogram_quantile_ns(const struct histogram *histogram, double q);

#endif
