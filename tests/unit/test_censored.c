/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Do estimates from probe windows hold?  Programs that make one call after the other, of lengths
 * whose distribution is known, watched in the windows a governor plans. Links:
 * user/attach/governor.c, user/collect/windowed.c, user/judge/{quantile,interval}.c.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../user/attach/governor.h"
#include "../../user/collect/windowed.h"
#include "../../user/judge/interval.h"
#include "../../user/judge/quantile.h"
#include "../../user/judge/whole.h"

#define SECOND 1e9
#define RUNS 100
#define WATCHED (600 * SECOND)

struct source {
	uint64_t state;
};

static double uniform(struct source *s)
{
	s->state ^= s->state >> 12;
	s->state ^= s->state << 25;
	s->state ^= s->state >> 27;
	return ((double)(s->state * 0x2545f4914f6cdd1dull >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(struct source *s)
{
	return sqrt(-2 * log(uniform(s))) * cos(2 * M_PI * uniform(s));
}

/* Lengths of calls in ns. */
typedef double (*length_fn)(struct source *s);

static double some_20_ms(struct source *s)
{
	return 20e6 * exp(normal(s));
}

static double some_200_ms(struct source *s)
{
	return 200e6 * exp(0.8 * normal(s));
}

/* Nine in ten are answered from a cache. */
static double cached_or_not(struct source *s)
{
	return uniform(s) < 0.9 ? 1.5e6 * exp(0.3 * normal(s)) : 300e6 * exp(0.5 * normal(s));
}

static double some_1_ms(struct source *s)
{
	return 1e6 * exp(0.5 * normal(s));
}

/* The true quantiles, from a million calls. */
static void truth(length_fn length, double out[TOLD_QUANTILES])
{
	enum { MANY = 400000 };
	struct histogram h = {.count = 0};
	struct source s = {12345};

	for (int i = 0; i < MANY; i++)
		histogram_add(&h, (uint64_t)length(&s));
	for (int k = 0; k < TOLD_QUANTILES; k++)
		out[k] = histogram_quantile_ns(&h, told_quantiles[k].q);
	histogram_clear(&h);
}

struct watched {
	struct function_total function;
	struct process_total process;
	double begin, end; /* of the window */
	uint64_t next_group;
	double probed;
	uint64_t calls;
};

/* The next window, planned for a process that loses `rate` of its time while it is probed. */
static void next_window(struct watched *w, struct governor *governor, double rate)
{
	struct governor_plan plan;

	if (w->end > 0)
		governor_account(governor, (uint64_t)w->end,
				 &(struct governor_cost){
					 .probed_ns = (uint64_t)(w->end - w->begin),
					 .lost_ns = rate * (w->end - w->begin),
					 .closing_ns = rate * 8e6,
					 .over = true,
				 });
	w->begin = (double)governor_due_ns(governor);
	plan = governor_plan(governor, (uint64_t)w->begin);
	/* the first stays open until it has proved too dear */
	w->end = w->begin + (plan.length_ns == UINT64_MAX ? 250e6 : (double)plan.length_ns);
	governor->always = false;
	w->process.probing.group = (uint32_t)w->next_group++;
	if (w->end < WATCHED)
		windowed_add_ns(&w->process, (uint64_t)(w->end - w->begin));
}

/* As collector__censored() and the drain do it. */
static void count(struct watched *w, double ns, bool censored)
{
	struct function_total *f = &w->function;

	windowed_count(f, w->process.probing.group, (int)bucket_of((uint64_t)ns), censored, 1);
	if (!censored) {
		histogram_add(&f->wall, (uint64_t)ns);
		return;
	}
	if (!f->censored)
		f->censored = calloc(1, sizeof(*f->censored));
	assert_non_null(f->censored);
	histogram_add(f->censored, (uint64_t)ns);
}

static void watch(length_fn length, double rate, uint64_t seed, struct profile_function *out,
		  struct profile_process *process, uint64_t *calls)
{
	struct watched w = {.process.probing.governed = true};
	struct source s = {seed * 7919};
	struct governor governor;
	double now = 0;

	*calls = 0;
	governor_init(&governor, 0.02, seed, true, 0);
	next_window(&w, &governor, rate);
	while (now < WATCHED) {
		double ns = length(&s);

		++*calls;
		now += -log(uniform(&s)) * 3e6;
		while (w.end <= now)
			next_window(&w, &governor, rate);
		if (now >= w.begin && w.end < WATCHED) {
			windowed_began(&w.function, w.process.probing.group, 1);
			if (now + ns < w.end)
				count(&w, ns, false);
			else
				count(&w, w.end - now, true);
		}
		now += ns;
	}
	*out = (struct profile_function){.wall = w.function.wall, .windowed = true};
	windowed_profile(out, &w.function, &w.process);
	*process = (struct profile_process){.windowed = true};
	for (int g = 0; g < WINDOW_GROUPS; g++)
		process->group_ns[g] = w.process.probing.group_ns[g];
}

static bool holds(struct interval interval, double value)
{
	return interval.low <= value && value <= interval.high;
}

/* In how many of the runs an interval held the truth, and how many told one that ends. */
static void intervals_hold(const char *name, length_fn length, double rate, int least_told)
{
	double true_ns[TOLD_QUANTILES];
	int held[TOLD_QUANTILES + 1] = {0}, told[TOLD_QUANTILES + 1] = {0};

	truth(length, true_ns);
	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		struct profile_function f;
		struct profile_process process;
		struct intervals intervals;
		uint64_t calls;

		watch(length, rate, seed, &f, &process, &calls);
		if (function_intervals(&f, &process, &intervals)) {
			for (int k = 0; k < TOLD_QUANTILES; k++) {
				told[k] += isfinite(intervals.quantiles[k].high);
				held[k] += holds(intervals.quantiles[k], true_ns[k]);
			}
			told[TOLD_QUANTILES]++;
			held[TOLD_QUANTILES] += holds(intervals.calls_per_second,
						      (double)calls / (WATCHED / SECOND));
		}
		histogram_clear(&f.wall);
		histogram_free(f.censored);
		call_groups_free(f.groups);
	}
	printf("%-14s p50 %d/%d p90 %d/%d p95 %d/%d p99 %d/%d rate %d/%d\n", name, held[0], told[0],
	       held[1], told[1], held[2], told[2], held[3], told[3], held[4], told[4]);
	for (int k = 0; k <= TOLD_QUANTILES; k++)
		if (held[k] < 90)
			fail_msg("%s: %d of %d held, at %d", name, held[k], RUNS, k);
	assert_true(told[0] >= least_told);
}

static void ninety_of_a_hundred_intervals_hold_the_truth(void **state)
{
	(void)state;
	intervals_hold("20 ms", some_20_ms, 0.15, 95);
	intervals_hold("1 ms", some_1_ms, 0.5, 95);
	intervals_hold("cached or not", cached_or_not, 0.15, 95);
	intervals_hold("200 ms", some_200_ms, 0.05, 50);
}

/* Without what was not seen to end, long calls would look short. */
static void calls_not_seen_to_end_are_long(void **state)
{
	struct histogram ended = {.count = 0}, open = {.count = 0};
	double p95;

	(void)state;
	for (int i = 1; i <= 1000; i++) { /* 1 to 1000 ms, watched for 1 to 500 ms in turn */
		double ms = i, limit = (i * 7) % 500 + 1;

		if (ms <= limit)
			histogram_add(&ended, (uint64_t)(ms * 1e6));
		else
			histogram_add(&open, (uint64_t)(limit * 1e6));
	}
	p95 = histogram_quantile_ns(&ended, 0.25);
	assert_true(p95 < 200e6);
	p95 = histogram_censored_quantile_ns(&ended, &open, 0.25);
	assert_true(p95 > 225e6 && p95 < 275e6);
	assert_true(isinf(histogram_censored_quantile_ns(&ended, &open, 0.95)));
	assert_true(isnan(histogram_censored_quantile_ns(&(struct histogram){0}, &open, 0.5)));
	histogram_clear(&ended);
	histogram_clear(&open);
}

/* With all seen to their end it is the plain quantile. */
static void with_all_seen_nothing_changes(void **state)
{
	struct histogram h = {.count = 0}, none = {.count = 0};

	(void)state;
	for (int i = 1; i <= 1000; i++)
		histogram_add(&h, (uint64_t)i * 1000000);
	for (double q = 0.01; q < 1; q += 0.01) {
		double plain = histogram_quantile_ns(&h, q), ns;

		assert_true(histogram_censored_quantile_ns(&h, NULL, q) == plain);
		assert_true(histogram_censored_quantile_ns(&h, &none, q) == plain);
		histogram_count(&none, 0, 1); /* one that had hardly begun */
		ns = histogram_censored_quantile_ns(&h, &none, q);
		assert_true(fabs(ns / plain - 1) < 0.01);
		histogram_clear(&none);
	}
	histogram_clear(&h);
}

static void too_few_windows_tell_no_interval(void **state)
{
	struct function_total f = {.begun = 0};
	struct profile_process process = {.windowed = true};
	struct profile_function out = {.windowed = true};
	struct process_total total = {.probing.governed = true};
	struct intervals intervals;

	(void)state;
	assert_false(function_intervals(&out, &process, &intervals)); /* there are none */
	for (uint32_t g = 0; g < 4; g++) {
		windowed_count(&f, g, 100, false, 5);
		process.group_ns[g] = 1;
	}
	windowed_profile(&out, &f, &total);
	assert_false(function_intervals(&out, &process, &intervals));
	call_groups_free(out.groups);
}

/* Watched for ten seconds, in windows for one of them. */
static struct profile_function seen_for_a_tenth(double lost)
{
	struct profile_function f = {
		.windowed = true,
		.called = true,
		.calls = 300,
		.probed_ns = SECOND,
		.observed_ns = 10 * SECOND,
		.counted_cost_ns = (uint64_t)(lost * SECOND),
		.sample_ns = 10000000,
		.stack_inclusive_ns = 6 * SECOND,
		.stack_exclusive_ns = 20000000,
	};

	histogram_add(&f.wall, 1000);
	f.stack_ns[STACK_ONCPU] = f.stack_inclusive_ns;
	return f;
}

static void all_calls_from_those_that_were_seen(void **state)
{
	struct profile_function f = seen_for_a_tenth(0.25);
	struct whole whole;

	(void)state;
	function_whole(&f, &whole);
	assert_int_equal(whole.quality, WHOLE_ESTIMATED);
	assert_true(fabs(whole.calls - 4000) < 1e-6); /* in three quarters of a second */
	assert_true(whole.wall_ns == 6e9);
	assert_true(isnan(whole.self_ns)); /* two samples */
	/* where probes took most of the windows they may have taken what was idle, or all else */
	histogram_clear(&f.wall);
	f = seen_for_a_tenth(0.6);
	function_whole(&f, &whole);
	assert_int_equal(whole.quality, WHOLE_AT_LEAST);
	assert_true(fabs(whole.calls - 3000) < 1e-6);
	assert_true(isnan(function_calls_per_second(&f)));
	/* without samples nothing is known of what ran */
	f.sample_ns = 0;
	function_whole(&f, &whole);
	assert_true(isnan(whole.wall_ns));
	f.windowed = false;
	function_whole(&f, &whole);
	assert_int_equal(whole.quality, WHOLE_EXACT);
	assert_true(whole.calls == 300 && whole.wall_ns == 1000);
	histogram_clear(&f.wall);
}

/* Windows and stacks agree, or they do not. */
static void littles_law_is_a_check(void **state)
{
	struct profile_function f = seen_for_a_tenth(0.25);
	struct histogram censored = {.count = 0};

	(void)state;
	assert_true(isnan(function_littles_law(&f))); /* one call has no mean */
	histogram_clear(&f.wall);
	for (int i = 0; i < 300; i++)
		histogram_add(&f.wall, 1500000);
	/* 400 calls a second of 1.5 ms, and six tenths of the time in them */
	assert_true(fabs(function_littles_law(&f) - 1) < 1e-6);
	assert_false(littles_law_is_broken(function_littles_law(&f)));
	f.stack_inclusive_ns = f.stack_ns[STACK_ONCPU] = 2 * SECOND;
	assert_true(fabs(function_littles_law(&f) - 3) < 1e-6);
	assert_true(littles_law_is_broken(function_littles_law(&f)));
	f.stack_inclusive_ns = f.stack_ns[STACK_ONCPU] = 6 * SECOND;
	/* half of the calls were cut after a quarter of their time: the mean is what it was */
	for (int i = 0; i < 300; i++)
		histogram_add(&censored, 400000);
	f.censored = &censored;
	assert_true(fabs(function_littles_law(&f) - 1) < 0.1);
	/* but not if some were open for longer than any that ended */
	for (int i = 0; i < 30; i++)
		histogram_add(&censored, 50000000);
	assert_true(isnan(function_littles_law(&f)));
	assert_false(littles_law_is_broken(NAN));
	f.censored = NULL;
	f.windowed = false;
	assert_true(isnan(function_littles_law(&f)));
	histogram_clear(&censored);
	histogram_clear(&f.wall);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_not_seen_to_end_are_long),
		cmocka_unit_test(with_all_seen_nothing_changes),
		cmocka_unit_test(too_few_windows_tell_no_interval),
		cmocka_unit_test(all_calls_from_those_that_were_seen),
		cmocka_unit_test(littles_law_is_a_check),
		cmocka_unit_test(ninety_of_a_hundred_intervals_hold_the_truth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
