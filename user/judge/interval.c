/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The bootstrap over groups of probe windows. */
#include "interval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quantile.h"
#include "whole.h"

#define DRAWS 200
#define TAIL 0.025
/* Fewer groups with calls in them tell nothing of how windows differ. */
#define LEAST_GROUPS 5
/* From fewer calls beyond it nothing is said of how far a quantile may be off. */
#define LEAST_CALLS 5

/* All groups, bucket by bucket. */
struct groups {
	struct histogram ended[WINDOW_GROUPS], open[WINDOW_GROUPS];
	double calls[WINDOW_GROUPS], seconds[WINDOW_GROUPS];
	int of[WINDOW_GROUPS]; /* those with windows */
	int count;
};

/*
 * What is drawn from a few groups varies less than what they are drawn from: by so much are
 * intervals wider than the draws say, as Student's t is than the normal distribution (its 97.5th
 * percentile, by an expansion that is right to 0.05 from four degrees of freedom on).
 */
static double widening(int groups)
{
	double freedom = groups - 1, t = 1.96 + 2.37 / freedom + 2.82 / (freedom * freedom);

	return sqrt(groups / freedom) * t / 1.96;
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

static int gather(const struct profile_function *function, const struct profile_process *process,
		  struct groups *groups)
{
	int with_calls = 0;

	for (int g = 0; g < WINDOW_GROUPS; g++) {
		const struct call_group *from = &function->groups[g];

		for (size_t i = 0; i < from->used; i++) {
			const struct group_count *c = &from->counts[i];
			struct histogram *to = c->censored ? &groups->open[g] : &groups->ended[g];

			histogram_count(to, c->bucket, c->count);
		}
		groups->calls[g] = (double)from->calls;
		groups->seconds[g] = (double)process->group_ns[g] / 1e9;
		if (!process->group_ns[g])
			continue;
		groups->of[groups->count++] = g;
		with_calls += groups->ended[g].count > 0;
	}
	return with_calls;
}

static void let_go(struct groups *groups)
{
	for (int g = 0; g < WINDOW_GROUPS; g++) {
		histogram_clear(&groups->ended[g]);
		histogram_clear(&groups->open[g]);
	}
}

static int ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/*
 * Of DRAWS values, around what the whole says: wider by `wider`, for the groups are few.  Values
 * beyond what was watched are at least `longest`.
 */
static struct interval interval_of(double *draws, double whole, double wider, double longest)
{
	struct interval interval;

	qsort(draws, DRAWS, sizeof(*draws), ascending);
	interval.low = fmin(draws[(int)(TAIL * DRAWS)], longest);
	interval.high = draws[(int)((1 - TAIL) * DRAWS) - 1];
	if (isfinite(whole) && whole > 0 && interval.low > 0)
		interval.low = whole * pow(interval.low / whole, wider);
	if (isfinite(whole) && whole > 0 && isfinite(interval.high))
		interval.high = whole * pow(interval.high / whole, wider);
	return interval;
}

static void draw(const struct groups *groups, uint64_t *random, double *quantiles[TOLD_QUANTILES],
		 double *rate)
{
	uint64_t counts[2][BUCKET_COUNT] = {0};
	/* (not clamped to what was seen) */
	struct histogram ended = {.sum_ns = 1, .counts = counts[0], .span = BUCKET_COUNT};
	struct histogram open = {.sum_ns = 1, .counts = counts[1], .span = BUCKET_COUNT};
	double calls = 0, seconds = 0;

	for (int i = 0; i < groups->count; i++) {
		int g = groups->of[next_random(random) % (uint64_t)groups->count];

		histogram_merge(&ended, &groups->ended[g]);
		histogram_merge(&open, &groups->open[g]);
		calls += groups->calls[g];
		seconds += groups->seconds[g];
	}
	*rate = seconds > 0 ? calls / seconds : 0;
	for (int k = 0; k < TOLD_QUANTILES; k++) {
		double ns = histogram_censored_quantile_ns(&ended, &open, told_quantiles[k].q);

		*quantiles[k] = isnan(ns) ? INFINITY : ns; /* none was seen to end */
	}
}

/* Up to which length enough calls were watched to say that one was longer. */
static double watched_ns(const struct profile_function *function)
{
	uint64_t at_risk = 0;

	for (int i = BUCKET_COUNT - 1; i > 0; i--) {
		at_risk += histogram_bucket(&function->wall, i);
		if (function->censored)
			at_risk += histogram_bucket(function->censored, i);
		if (at_risk >= LEAST_CALLS)
			return (double)bucket_upper_ns[i - 1];
	}
	return 0;
}

static void draw_all(const struct groups *groups, const struct profile_function *function,
		     struct intervals *out)
{
	double quantiles[TOLD_QUANTILES][DRAWS], rates[DRAWS];
	double wider = widening(groups->count), calls = 0, seconds = 0;
	uint64_t random = 1;

	for (int i = 0; i < DRAWS; i++) {
		double *to[TOLD_QUANTILES];

		for (int k = 0; k < TOLD_QUANTILES; k++)
			to[k] = &quantiles[k][i];
		draw(groups, &random, to, &rates[i]);
	}
	for (int i = 0; i < groups->count; i++) {
		calls += groups->calls[groups->of[i]];
		seconds += groups->seconds[groups->of[i]];
	}
	for (int k = 0; k < TOLD_QUANTILES; k++) {
		double q = told_quantiles[k].q;

		out->quantiles[k] = interval_of(quantiles[k], function_quantile_ns(function, q),
						wider, watched_ns(function));
		if ((double)function->wall.count * (1 - q) < LEAST_CALLS)
			out->quantiles[k].high = INFINITY;
	}
	out->calls_per_second =
		interval_of(rates, seconds > 0 ? calls / seconds : 0, wider, INFINITY);
	/* at the least: what the probes took was idle time */
	out->calls_per_second.high /= function_least_left(function);
}

bool function_intervals(const struct profile_function *function,
			const struct profile_process *process, struct intervals *out)
{
	struct groups *groups;
	bool enough;

	if (!function->windowed || !function->groups)
		return false;
	groups = calloc(1, sizeof(*groups));
	if (!groups)
		return false;
	enough = gather(function, process, groups) >= LEAST_GROUPS;
	if (enough)
		draw_all(groups, function, out);
	let_go(groups);
	free(groups);
	return enough;
}
