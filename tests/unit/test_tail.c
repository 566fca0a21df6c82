/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which calls are slow, by what calls took lately.
 * Links: user/collect/tail.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../user/collect/tail.h"
#include "sample_profile.h"

static uint64_t from_of(const struct histogram *calls)
{
	struct tail_history *history = tail_history__new(calls, 0);
	uint64_t from;

	assert_non_null(history);
	from = tail_history__from_ns(history);
	free(history);
	return from;
}

/* The share of the calls that took `from` or more: whole buckets, or it is no bound of one. */
static double share_from(const struct histogram *calls, uint64_t from)
{
	uint64_t slow = 0;

	assert_int_equal(bucket_of(from), bucket_of(from - 1) + 1);
	for (uint32_t i = bucket_of(from); i < BUCKET_COUNT; i++)
		slow += histogram_bucket(calls, i);
	return (double)slow / (double)calls->count;
}

static void add(struct histogram *histogram, int count, uint64_t ns)
{
	for (int i = 0; i < count; i++)
		histogram_add(histogram, ns);
}

/* Near 5 %, however wide. */
static void near_five_percent(void **state)
{
	static const double sigmas[] = {0.2, 0.5, 1, 2};

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct histogram calls = {0};
		double share;

		sample_fill(&calls, i + 1, 20000, 3e6, sigmas[i]);
		share = share_from(&calls, from_of(&calls));
		histogram_clear(&calls);
		if (share < 0.03 || share > 0.075)
			fail_msg("sigma %g: %g of the calls are slow", sigmas[i], share);
	}
}

/* A part of the calls is slow, and all alike: these, and no others, as long as they are few. */
static void slow_ones_all_alike(void **state)
{
	static const int slow[] = {10, 40, 60, 120, 190};

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct histogram calls = {0};

		add(&calls, 1000 - slow[i], 50000);
		add(&calls, slow[i], 20 * MS);
		assert_true(share_from(&calls, from_of(&calls)) == slow[i] / 1000.0);
		histogram_clear(&calls);
	}
}

/* Neither all nor most calls are ever slow: then none is. */
static void all_alike(void **state)
{
	struct histogram calls = {0}, half = {0};

	(void)state;
	add(&calls, 1000, 5 * MS);
	assert_true(share_from(&calls, from_of(&calls)) == 0);
	add(&half, 500, 1 * MS);
	add(&half, 500, 5 * MS);
	assert_true(share_from(&half, from_of(&half)) == 0);
	histogram_clear(&calls);
	histogram_clear(&half);
}

/* Ends of the scale. */
static void shortest_and_longest(void **state)
{
	struct histogram calls = {0};

	(void)state;
	add(&calls, 100, 1);
	assert_int_equal(from_of(&calls), bucket_upper_ns[0] + 1);
	add(&calls, 900, UINT64_MAX >> 2);
	assert_true(from_of(&calls) > bucket_upper_ns[BUCKET_COUNT - 2]);
	histogram_clear(&calls);
}

/* It follows: what was long ago is forgotten, but not where calls are few. */
static void old_calls_are_forgotten(void **state)
{
	struct histogram calls = {0};
	struct tail_history *history;

	(void)state;
	add(&calls, 300, 20 * MS);
	history = tail_history__new(&calls, SECOND);
	assert_non_null(history);
	tail_history__turn(history, 3 * SECOND); /* too soon */
	assert_int_equal(history->older_calls, 0);
	tail_history__turn(history, 7 * SECOND);
	assert_int_equal(history->newer_calls, 0);
	assert_int_equal(tail_history__from_ns(history), bucket_upper_ns[bucket_of(20 * MS)] + 1);
	history->newer[bucket_of(1 * MS)] = history->newer_calls = 199;
	tail_history__turn(history, 60 * SECOND); /* too few */
	assert_int_equal(history->older_calls, 300);
	history->newer[bucket_of(1 * MS)] = history->newer_calls = 250;
	tail_history__turn(history, 61 * SECOND);
	assert_int_equal(history->older_calls, 250);
	assert_int_equal(tail_history__from_ns(history), bucket_upper_ns[bucket_of(1 * MS)] + 1);
	free(history);
	histogram_clear(&calls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(near_five_percent),
		cmocka_unit_test(slow_ones_all_alike),
		cmocka_unit_test(all_alike),
		cmocka_unit_test(shortest_and_longest),
		cmocka_unit_test(old_calls_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
