/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From the calls that probe windows saw, and the stacks that are always seen, to all calls. */
#include "whole.h"

#include <math.h>

#include "quantile.h"

/* What a hit of our probes costs is known to this part of it. */
#define HIT_COST_KNOWN_TO 0.2
/* What a probed process is left with at the least: more is not believed of an estimate. */
#define LEAST_LEFT 0.02
/* If it may have been left with less than this, how often it is called otherwise is not known. */
#define LEFT_TO_TELL 0.5
/* Samples that are further off than this part (one standard deviation) tell no time. */
#define SAMPLES_OFF 0.3

/* Fewer calls tell no mean. */
#define MEAN_CALLS 30
/* Little's law: more than this is not chance. */
#define LITTLE_OFF 2

/* If a hit costs `factor` times what was measured. */
static double left_share(const struct profile_function *function, double factor)
{
	double lost;

	if (!function->probed_ns || function->watched_ns)
		return 1;
	lost = factor * (double)function->counted_cost_ns / (double)function->probed_ns;
	return fmax(1 - lost, LEAST_LEFT);
}

double function_least_left(const struct profile_function *function)
{
	return left_share(function, 1 + HIT_COST_KNOWN_TO);
}

static double probed_calls_per_second(const struct profile_function *f)
{
	uint64_t seen_ns = f->watched_ns ?: f->probed_ns;

	return seen_ns ? (double)f->calls / ((double)seen_ns / 1e9) : 0;
}

/* Watched for less than this part of the time, others had their turn. */
#define WATCHED_WHOLE 0.95

bool function_watched_in_turns(const struct profile_function *f)
{
	return f->watched_ns && (double)f->watched_ns < WATCHED_WHOLE * (double)f->observed_ns;
}

/* Is it known how often it is called when it is not probed? */
static bool calls_known(const struct profile_function *f)
{
	return !f->windowed || function_least_left(f) >= LEFT_TO_TELL;
}

double function_calls_per_second(const struct profile_function *f)
{
	return calls_known(f) ? probed_calls_per_second(f) / left_share(f, 1) : NAN;
}

/* Of what stacks tell, waits are exact and running is sampled.  Are there enough samples in it? */
static bool stacks_tell(const struct profile_function *f, double ns, double oncpu_ns)
{
	return ns > 0 && f->sample_ns && sqrt(oncpu_ns * (double)f->sample_ns) <= SAMPLES_OFF * ns;
}

void function_whole(const struct profile_function *f, struct whole *out)
{
	bool ended = f->wall.count || f->wall.sum_ns || f->self_ns;
	double inclusive = (double)f->stack_inclusive_ns, exclusive = (double)f->stack_exclusive_ns;
	double seconds = (double)f->observed_ns / 1e9;

	*out = (struct whole){
		.calls = (double)f->calls,
		.wall_ns = ended ? (double)f->wall.sum_ns : NAN,
		.self_ns = ended && !f->watched_ns ? (double)f->self_ns : NAN,
	};
	if (function_watched_in_turns(f)) {
		out->quality = WHOLE_ESTIMATED;
		out->calls *= (double)f->observed_ns / (double)f->watched_ns;
		out->wall_ns *= (double)f->observed_ns / (double)f->watched_ns;
	}
	if (!f->windowed)
		return;
	out->quality = calls_known(f) ? WHOLE_ESTIMATED : WHOLE_AT_LEAST;
	out->calls = probed_calls_per_second(f) * seconds;
	if (out->quality == WHOLE_ESTIMATED)
		out->calls = function_calls_per_second(f) * seconds;
	/* (which part of `exclusive` is running is not known: as if all were) */
	out->wall_ns =
		stacks_tell(f, inclusive, (double)f->stack_ns[STACK_ONCPU]) ? inclusive : NAN;
	out->self_ns = stacks_tell(f, exclusive, exclusive) ? exclusive : NAN;
}

double function_littles_law(const struct profile_function *f)
{
	double inclusive = (double)f->stack_inclusive_ns;
	double per_second = function_calls_per_second(f);

	if (!f->windowed || isnan(per_second) || f->wall.count < MEAN_CALLS ||
	    !stacks_tell(f, inclusive, (double)f->stack_ns[STACK_ONCPU]))
		return NAN;
	return per_second * histogram_censored_mean_ns(&f->wall, f->censored) / 1e9 *
	       (double)f->observed_ns / inclusive;
}

bool littles_law_is_broken(double ratio)
{
	return ratio > LITTLE_OFF || ratio < 1.0 / LITTLE_OFF;
}
