/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The budget of one process, and its probe windows. */
#include "governor.h"

#include <math.h>

/* What opening and closing a window cost a process, beside its hits. */
#define WINDOW_NS 500000.0
/* The first window, of which nothing is known, may lose what one of this length would at the worst.
 */
#define FIRST_NS 20e6
#define SHORTEST_NS 2e6
/* Less than this no window may lose, or none would ever come to anything. */
#define LEAST_NS 1e6
/* How long probes are hit after a window's end, until that was measured. */
#define CLOSING_NS 10e6
/* What is new counts for so much of an estimate. */
#define SMOOTH 0.3
/* Loses it less than this part of what it may, it can be probed all the time. */
#define ALWAYS_BELOW 0.7

/*
 * Most windows are short, for they see many calls from both ends; a few are long, for they see long
 * calls end.  With these the quantiles of calls of up to seconds come out
 * (tests/unit/test_censored.c).
 */
static const struct {
	double share, ns;
} lengths[] = {{0.80, 50e6}, {0.15, 300e6}, {0.05, 2e9}};

/* xorshift64*, in (0, 1). */
static double draw(struct governor *governor)
{
	uint64_t x = governor->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	governor->random = x;
	return ((double)(x * 0x2545f4914f6cdd1dull >> 11) + 0.5) / 9007199254740992.0;
}

/* What it may save up. */
static double most_saved(const struct governor *governor)
{
	return governor->budget * GOVERNOR_BURST_SECONDS * 1e9;
}

static void save(struct governor *governor, uint64_t now_ns)
{
	double gained;

	if (now_ns <= governor->saved_at)
		return;
	gained = (double)(now_ns - governor->saved_at) * governor->budget;
	governor->saved_ns = fmin(governor->saved_ns + gained, most_saved(governor));
	governor->saved_at = now_ns;
}

static double expected_ns(const struct governor *governor, double length_ns)
{
	return fmax(governor->rate, 0) * (length_ns + governor->closing_ns) + WINDOW_NS;
}

/* No window may be expected to cost more than half of what can be saved up. */
static double affordable_ns(const struct governor *governor)
{
	double most = most_saved(governor) / 2 - WINDOW_NS;

	return governor->rate > 0 ? most / governor->rate - governor->closing_ns : INFINITY;
}

static double draw_length(struct governor *governor)
{
	double u = draw(governor), length = lengths[2].ns;

	if (governor->rate < 0)
		return FIRST_NS;
	for (int i = 0; i < 3; i++) {
		if (u < lengths[i].share) {
			length = lengths[i].ns;
			break;
		}
		u -= lengths[i].share;
	}
	return fmax(fmin(length, affordable_ns(governor)), SHORTEST_NS);
}

/*
 * Have the next window drawn, and opened when what it may cost has been saved: what is expected,
 * and if a thread should run through all of it.  For what is cut for its many hits counts for
 * nothing, and that must be a rare thing: or all that counts would be of quiet times.
 */
static void plan_next(struct governor *governor, uint64_t now_ns)
{
	double expected, needed, missing, wait;

	governor->length_ns = draw_length(governor);
	expected = expected_ns(governor, governor->length_ns);
	needed = fmin(governor->length_ns + governor->closing_ns, 0.9 * most_saved(governor));
	missing = fmax(expected, needed) - governor->saved_ns;
	wait = missing > 0 ? missing / governor->budget : 0;
	/* at random: what a program does at regular intervals must be met as often as all else */
	wait += -log(draw(governor)) * 0.2 * expected / governor->budget;
	governor->next_ns = now_ns + (uint64_t)wait;
}

void governor_init(struct governor *governor, double budget, uint64_t seed, bool soon,
		   uint64_t now_ns)
{
	*governor = (struct governor){
		.budget = budget,
		.rate = -1,
		.closing_ns = CLOSING_NS,
		.saved_at = now_ns,
		.next_ns = now_ns,
		.length_ns = FIRST_NS,
		.random = seed,
	};
	if (soon)
		governor->saved_ns = most_saved(governor) / 2;
	else
		governor->next_ns += (uint64_t)((FIRST_NS + WINDOW_NS) / budget);
}

void governor_set_budget(struct governor *governor, uint64_t now_ns, double budget)
{
	save(governor, now_ns);
	governor->budget = budget;
	governor->saved_ns = fmin(governor->saved_ns, most_saved(governor));
}

uint64_t governor_due_ns(const struct governor *governor)
{
	return governor->next_ns;
}

struct governor_plan governor_plan(struct governor *governor, uint64_t now_ns)
{
	struct governor_plan plan = {.length_ns = UINT64_MAX};

	/* of the first one nothing is known: if it turns out to cost little it just stays open */
	governor->always = governor->rate < ALWAYS_BELOW * governor->budget;
	plan.may_lose_ns = governor_allowance_ns(governor, now_ns);
	if (!governor->always)
		plan.length_ns = (uint64_t)governor->length_ns;
	return plan;
}

double governor_allowance_ns(struct governor *governor, uint64_t now_ns)
{
	save(governor, now_ns);
	return fmax(governor->saved_ns, LEAST_NS);
}

void governor_account(struct governor *governor, uint64_t now_ns, const struct governor_cost *cost)
{
	double rate = cost->probed_ns ? cost->lost_ns / (double)cost->probed_ns : 1;

	save(governor, now_ns);
	governor->saved_ns -= cost->lost_ns + cost->closing_ns + (cost->over ? WINDOW_NS : 0);
	if (governor->rate < 0 || rate > governor->rate)
		governor->rate = rate; /* it may have become busier: at once */
	else
		governor->rate += SMOOTH * (rate - governor->rate);
	if (cost->over && cost->lost_ns > 0 && rate > 0)
		governor->closing_ns += SMOOTH * (cost->closing_ns / rate - governor->closing_ns);
	governor->always = governor->always && !cost->over && governor->rate < governor->budget;
	if (!governor->always)
		plan_next(governor, now_ns);
}
