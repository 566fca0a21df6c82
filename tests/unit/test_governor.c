/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Is the budget kept?  Processes that lose a part of their time while they are probed, from minute
 * to minute another one.  Links: user/attach/governor.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../user/attach/governor.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
/* A link that is closed goes on costing for so long. */
#define CLOSING_NS (8 * MS)
#define PROVE_NS (250 * MS)
#define BINS (600 * 100) /* of 10 ms */

/* Share of its time a process loses while it is probed, by when. */
typedef double (*rate_fn)(uint64_t now_ns);

struct run {
	rate_fn rate;
	struct governor governor;
	uint64_t now;
	double lost[BINS];
	double total_ns;
	uint64_t probed_ns, longest_ns;
	unsigned int windows, cut;
};

static void lose(struct run *run, uint64_t at, double ns)
{
	if (at / (10 * MS) < BINS)
		run->lost[at / (10 * MS)] += ns;
	run->total_ns += ns;
}

/* Lets a window be open until `end`, or until it has lost too much; what it lost. */
static double stay_open(struct run *run, uint64_t end, double may_lose_ns, bool *cut)
{
	double lost = 0;

	*cut = false;
	for (; run->now < end; run->now += MS) {
		double ns = run->rate(run->now) * MS;

		lose(run, run->now, ns);
		lost += ns;
		if (lost >= may_lose_ns) {
			*cut = true;
			break;
		}
	}
	return lost;
}

static double close_window(struct run *run)
{
	double lost = 0;

	for (uint64_t end = run->now + CLOSING_NS; run->now < end; run->now += MS) {
		double ns = run->rate(run->now) * MS;

		lose(run, run->now, ns);
		lost += ns;
	}
	return lost;
}

/* One window, from when it is due to when the next is planned. */
static void window(struct run *run, uint64_t end_ns)
{
	struct governor_plan plan = governor_plan(&run->governor, run->now);
	uint64_t begin = run->now, part;
	struct governor_cost cost;
	double lost = 0;
	bool cut = false;

	run->windows++;
	if (plan.length_ns != UINT64_MAX) {
		lost = stay_open(run, begin + plan.length_ns, plan.may_lose_ns, &cut);
	} else {
		while (run->governor.always && !cut && run->now < end_ns) {
			part = run->now;
			lost = stay_open(run, part + PROVE_NS, plan.may_lose_ns, &cut);
			if (cut)
				break;
			governor_account(&run->governor, run->now,
					 &(struct governor_cost){.probed_ns = run->now - part,
								 .lost_ns = lost});
			plan.may_lose_ns = governor_allowance_ns(&run->governor, run->now);
			begin = run->now;
			lost = 0;
		}
	}
	run->probed_ns += run->now - begin;
	if (run->now - begin > run->longest_ns)
		run->longest_ns = run->now - begin;
	run->cut += cut;
	cost = (struct governor_cost){.probed_ns = run->now - begin, .lost_ns = lost, .over = true};
	cost.closing_ns = close_window(run);
	governor_account(&run->governor, run->now, &cost);
}

static struct run *simulate(rate_fn rate, double budget, uint64_t seed)
{
	struct run *run = calloc(1, sizeof(*run));

	assert_non_null(run);
	run->rate = rate;
	run->now = SECOND;
	governor_init(&run->governor, budget, seed, true, run->now);
	while (run->now < 590 * SECOND) {
		uint64_t due = governor_due_ns(&run->governor);

		if (due > run->now)
			run->now = due;
		if (run->now < 590 * SECOND)
			window(run, 590 * SECOND);
	}
	return run;
}

/* The most that was lost in any ten seconds. */
static double worst_ns(const struct run *run)
{
	double sum = 0, worst = 0;

	for (int i = 0; i < BINS; i++) {
		sum += run->lost[i];
		if (i >= 1000)
			sum -= run->lost[i - 1000];
		if (sum > worst)
			worst = sum;
	}
	return worst;
}

static double spinner(uint64_t now_ns)
{
	(void)now_ns;
	return 0.95;
}

static double server(uint64_t now_ns)
{
	(void)now_ns;
	return 0.12;
}

static double quiet(uint64_t now_ns)
{
	(void)now_ns;
	return 0.008;
}

/* Quiet, and from the 300th second on a storm. */
static double storm(uint64_t now_ns)
{
	return now_ns < 300 * SECOND ? 0.002 : 0.97;
}

/* Busy for half a second in every seven. */
static double bursts(uint64_t now_ns)
{
	return now_ns % (7 * SECOND) < SECOND / 2 ? 0.9 : 0.003;
}

static void no_ten_seconds_lose_more_than_half_over_the_budget(void **state)
{
	rate_fn rates[] = {spinner, server, quiet, storm, bursts};
	double budgets[] = {0.01, 0.02, 0.05};

	(void)state;
	for (int b = 0; b < 3; b++)
		for (int i = 0; i < 5; i++)
			for (uint64_t seed = 1; seed <= 5; seed++) {
				struct run *run = simulate(rates[i], budgets[b], seed);

				/* a storm is met in a window that stays open: closing that is
				 * beyond */
				double most = 1.5 * budgets[b] * 10 * SECOND +
					      (i >= 3 ? (double)CLOSING_NS : 0);

				if (worst_ns(run) > most)
					fail_msg("rate %d, budget %.2f, seed %d: %.0f ms", i,
						 budgets[b], (int)seed, worst_ns(run) / MS);
				free(run);
			}
}

static void what_may_be_lost_is_spent(void **state)
{
	rate_fn rates[] = {spinner, server};

	(void)state;
	for (int i = 0; i < 2; i++)
		for (uint64_t seed = 1; seed <= 5; seed++) {
			struct run *run = simulate(rates[i], 0.02, seed);

			/* not more than the budget, and most of it */
			assert_true(run->total_ns < 0.021 * 590 * SECOND);
			assert_true(run->total_ns > 0.012 * 590 * SECOND);
			assert_true(run->windows > 30);
			assert_true(run->cut < run->windows / 10 + 2);
			free(run);
		}
}

static void who_costs_little_is_probed_all_the_time(void **state)
{
	struct run *run = simulate(quiet, 0.02, 3);

	(void)state;
	assert_int_equal(run->windows, 1);
	assert_int_equal(run->cut, 0);
	free(run);
}

static void a_storm_is_over_soon_and_costs_once(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct run *run = simulate(storm, 0.02, seed);
		double lost = 0;

		for (int i = 300 * 100; i < 302 * 100; i++)
			lost += run->lost[i];
		assert_true(lost <= 200.0 * MS);
		assert_int_equal(run->cut >= 1, 1);
		free(run);
	}
}

static void lengths_are_drawn_at_random(void **state)
{
	struct run *one = simulate(server, 0.02, 1), *other = simulate(server, 0.02, 2);

	(void)state;
	assert_true(one->windows != other->windows || one->probed_ns != other->probed_ns);
	/* the longest it can afford: half of what it may save up, and a bit for closing */
	assert_true(one->longest_ns > 100 * MS && one->longest_ns < 600 * MS);
	free(one);
	free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_ten_seconds_lose_more_than_half_over_the_budget),
		cmocka_unit_test(what_may_be_lost_is_spent),
		cmocka_unit_test(who_costs_little_is_probed_all_the_time),
		cmocka_unit_test(a_storm_is_over_soon_and_costs_once),
		cmocka_unit_test(lengths_are_drawn_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
