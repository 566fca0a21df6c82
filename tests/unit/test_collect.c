/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Records and counters as the kernel side leaves them, and the profiles made of them.
 * Links: user/collect.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/collector.h"

#define TGID 1000
#define SLOTS 4

struct fixture {
	struct builds *builds;
	struct function_stats *stats;
	struct collector *collector;
	unsigned int freed; /* bit per slot handed back */
};

static void hear(void *arg, const struct record_task *record)
{
	(void)arg;
	(void)record;
}

static void free_slot(void *arg, uint32_t slot)
{
	struct fixture *f = arg;

	f->freed |= 1u << slot;
	memset(&f->stats[slot], 0, sizeof(f->stats[slot]));
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct process process = {.tgid = TGID};

	f->builds = builds__new();
	f->stats = calloc(SLOTS, sizeof(*f->stats));
	f->collector = collector__new(f->builds, f->stats, SLOTS, hear, NULL);
	*state = f;
	return collector__add_process(f->collector, &process, 1);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	collector__free(f->collector);
	builds__free(f->builds);
	free(f->stats);
	free(f);
	return 0;
}

/* The kernel side counts calls that took a microsecond each. */
static void count_calls(struct fixture *f, uint32_t slot, unsigned int calls)
{
	struct function_stats *stats = &f->stats[slot];

	stats->key.code = 0x5000 + slot;
	stats->tgid = TGID;
	stats->calls += calls;
	stats->segments += calls;
	stats->exits += calls;
	stats->wall_ns += 1000 * calls;
	stats->buckets[bucket_of(1000)] += calls;
}

static void tell_name(struct fixture *f, uint32_t slot, const char *name)
{
	struct record_code record = {.kind = RECORD_CODE, .tgid = TGID, .slot = slot, .line = 7};

	record.name_kind = record.file_kind = 1;
	record.name_chars = strlen(name);
	memcpy(record.name, name, strlen(name));
	record.file_chars = 4;
	memcpy(record.file, "a.py", 4);
	collector__record(f->collector, &record, sizeof(record));
}

static struct profile *drained(struct fixture *f, enum ring_state ring)
{
	struct window window = {.start_ns = 1, .end_ns = 1000000000};

	collector__drain(f->collector, ring, free_slot, f);
	return collector__profile(f->collector, &window);
}

/* The profile has one function, this one, called so often. */
static void assert_only(struct profile *profile, const char *name, unsigned int calls)
{
	assert_non_null(profile);
	assert_int_equal(profile->function_count, 1);
	assert_string_equal(profile->functions[0].function, name);
	assert_int_equal(profile->functions[0].calls, calls);
	assert_int_equal(profile->functions[0].wall.count, calls);
	profile__free(profile);
}

static void assert_nothing(struct profile *profile)
{
	assert_non_null(profile);
	assert_int_equal(profile->function_count, 0);
	profile__free(profile);
}

static void only_what_a_window_gained(void **state)
{
	struct fixture *f = *state;

	tell_name(f, 0, "work");
	count_calls(f, 0, 3);
	assert_only(drained(f, RING_READ), "work", 3);
	assert_nothing(drained(f, RING_READ));
	count_calls(f, 0, 2);
	assert_only(drained(f, RING_READ), "work", 2);
}

/* It began between the last look into the ring and the counters': nothing of it is lost. */
static void name_comes_after_the_counts(void **state)
{
	struct fixture *f = *state;

	count_calls(f, 0, 3);
	assert_nothing(drained(f, RING_READ));
	tell_name(f, 0, "work");
	count_calls(f, 0, 2);
	assert_only(drained(f, RING_READ), "work", 5);
}

static void name_never_comes(void **state)
{
	struct fixture *f = *state;

	count_calls(f, 2, 3);
	assert_nothing(drained(f, RING_READ));
	assert_only(drained(f, RING_READ), "<name lost 2>", 3);
	tell_name(f, 2, "work"); /* it was sent again */
	count_calls(f, 2, 1);
	assert_only(drained(f, RING_READ), "work", 1);
}

static void ring_not_read_says_nothing_of_names(void **state)
{
	struct fixture *f = *state;

	count_calls(f, 0, 3);
	for (int i = 0; i < 3; i++)
		collector__drain(f->collector, RING_UNREAD, free_slot, f);
	tell_name(f, 0, "work");
	assert_only(drained(f, RING_READ), "work", 3);
}

static void no_name_by_the_end(void **state)
{
	struct fixture *f = *state;

	count_calls(f, 1, 3);
	assert_only(drained(f, RING_OVER), "<name lost 1>", 3);
}

static void no_name_by_its_process_s_end(void **state)
{
	struct fixture *f = *state;

	count_calls(f, 1, 3);
	collector__end_process(f->collector, TGID, 500);
	assert_only(drained(f, RING_READ), "<name lost 1>", 3);
	assert_int_equal(f->freed, 1u << 1);
	assert_nothing(drained(f, RING_READ));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_what_a_window_gained), TEST(name_comes_after_the_counts),
		TEST(name_never_comes),          TEST(ring_not_read_says_nothing_of_names),
		TEST(no_name_by_the_end),        TEST(no_name_by_its_process_s_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
