/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Buckets, histograms and the life of a profile.
 * Links: user/profile.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sample_profile.h"

/* The definition, straight from the table. */
static uint32_t slow_bucket_of(uint64_t ns)
{
	for (uint32_t i = 0; i < BUCKET_COUNT; i++) {
		if (ns <= bucket_upper_ns[i])
			return i;
	}
	return BUCKET_COUNT - 1;
}

static void bucket_bounds_are_powers_of_two(void **state)
{
	(void)state;
	for (int i = 0; i < BUCKET_COUNT; i++) {
		long double exact = exp2l((BUCKET_FIRST + i + 1) / 8.0L) * 1e9L;

		assert_int_equal(bucket_upper_ns[i], (uint64_t)(exact + 1e-6L));
	}
}

static void bucket_of_every_bound(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < BUCKET_COUNT; i++) {
		uint32_t next = i + 1 < BUCKET_COUNT ? i + 1 : i;

		assert_int_equal(bucket_of(bucket_upper_ns[i]), i);
		assert_int_equal(bucket_of(bucket_upper_ns[i] + 1), next);
		assert_int_equal(bucket_of(bucket_upper_ns[i] - 1),
				 slow_bucket_of(bucket_upper_ns[i] - 1));
	}
}

static void bucket_of_anything(void **state)
{
	uint64_t seed = 42;

	(void)state;
	assert_int_equal(bucket_of(0), 0);
	assert_int_equal(bucket_of(1), 0);
	assert_int_equal(bucket_of(UINT64_MAX), BUCKET_COUNT - 1);
	for (int bit = 0; bit < 64; bit++) {
		assert_int_equal(bucket_of(1ull << bit), slow_bucket_of(1ull << bit));
		assert_int_equal(bucket_of((1ull << bit) - 1), slow_bucket_of((1ull << bit) - 1));
	}
	for (int i = 0; i < 200000; i++) {
		uint64_t ns = sample_random(&seed) >> (i % 64);

		assert_int_equal(bucket_of(ns), slow_bucket_of(ns));
	}
}

static void histogram_counts_what_it_is_given(void **state)
{
	struct histogram h = {0};

	(void)state;
	histogram_add(&h, 5 * MS);
	histogram_add(&h, 3 * MS);
	histogram_add(&h, 9 * MS);
	assert_int_equal(h.count, 3);
	assert_int_equal(h.sum_ns, 17 * MS);
	assert_int_equal(h.min_ns, 3 * MS);
	assert_int_equal(h.max_ns, 9 * MS);
	assert_int_equal(histogram_bucket(&h, bucket_of(5 * MS)), 1);
	assert_int_equal(histogram_bucket(&h, bucket_of(5 * MS) - 1), 0);
	assert_int_equal(histogram_bucket(&h, 0), 0);
	assert_int_equal(histogram_bucket(&h, BUCKET_COUNT - 1), 0);
	histogram_clear(&h);
	assert_int_equal(histogram_bucket(&h, bucket_of(5 * MS)), 0);
}

static void assert_alike(const struct histogram *a, const struct histogram *b)
{
	assert_memory_equal(a, b, offsetof(struct histogram, counts));
	for (int i = 0; i < BUCKET_COUNT; i++)
		assert_int_equal(histogram_bucket(a, i), histogram_bucket(b, i));
}

/* Only the buckets in use are held: they may come in any order. */
static void buckets_come_in_any_order(void **state)
{
	static const int order[] = {100, 99, 140, 0, BUCKET_COUNT - 1, 99};
	uint64_t counts[BUCKET_COUNT] = {0};
	struct histogram h = {0}, taken;

	(void)state;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		histogram_count(&h, order[i], i + 1);
		counts[order[i]] += i + 1;
		for (int b = 0; b < BUCKET_COUNT; b++)
			assert_int_equal(histogram_bucket(&h, b), counts[b]);
	}
	assert_int_equal(h.count, 1 + 2 + 3 + 4 + 5 + 6);
	taken = histogram_take(&h);
	assert_int_equal(h.count, 0);
	assert_int_equal(histogram_bucket(&h, 100), 0);
	assert_int_equal(histogram_bucket(&taken, 100), 1);
	histogram_clear(&taken);
}

static void merged_is_the_same_as_added_together(void **state)
{
	struct histogram all = {0}, a = {0}, b = {0}, empty = {0};
	uint64_t seed = 7;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		uint64_t ns = sample_random(&seed) % (10 * SECOND);

		histogram_add(&all, ns);
		histogram_add(i % 3 ? &a : &b, ns);
	}
	a.censored = 2;
	b.censored = 3;
	all.censored = 5;
	histogram_merge(&a, &b);
	assert_alike(&a, &all);
	histogram_merge(&a, &empty);
	assert_alike(&a, &all);
	histogram_merge(&empty, &a);
	assert_alike(&empty, &all);
	histogram_clear(&all);
	histogram_clear(&a);
	histogram_clear(&b);
	histogram_clear(&empty);
}

static void names_are_complete_and_unique(void **state)
{
	(void)state;
	for (int i = 0; i < WAIT_CLASSES; i++) {
		assert_non_null(wait_class_name(i));
		assert_int_equal(wait_class_of_name(wait_class_name(i)), i);
	}
	assert_int_equal(wait_class_of_name("cpu"), WAIT_CLASSES);
	for (int i = 0; i < LOSS_COUNT; i++) {
		assert_non_null(loss_key(i));
		assert_true(strlen(loss_text(i)) > 8);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(loss_key(i), loss_key(j));
	}
}

static void entries_are_added_zeroed(void **state)
{
	static const struct profile_thread zero;
	struct profile *profile = profile__new();

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		struct profile_thread *thread = profile__add_thread(profile);

		assert_non_null(thread);
		assert_memory_equal(thread, &zero, sizeof(zero));
		thread->tid = i;
		thread->wait_ns[WAIT_GIL] = ~0ull;
	}
	assert_int_equal(profile->thread_count, 1000);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(profile->threads[i].tid, i);
	profile__free(profile);
	profile__free(NULL);
	/* Every kind of entry is freed: LeakSanitizer looks. */
	profile__free(sample_profile());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bucket_bounds_are_powers_of_two),
		cmocka_unit_test(bucket_of_every_bound),
		cmocka_unit_test(bucket_of_anything),
		cmocka_unit_test(histogram_counts_what_it_is_given),
		cmocka_unit_test(buckets_come_in_any_order),
		cmocka_unit_test(merged_is_the_same_as_added_together),
		cmocka_unit_test(names_are_complete_and_unique),
		cmocka_unit_test(entries_are_added_zeroed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
