/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Waits for the GIL: which records are parts of one, and who held it meanwhile.
 * Links: user/collect.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "collector_fixture.h"

#define MS 1000000ull
#define GIL 0x1000

/* Slots of functions. */
enum { WAITER, OTHER_WAITER, FIRST, SECOND, THIRD, FOURTH, FIFTH };

static int set_up_names(void **state)
{
	static const char *const names[] = {"waiter", "other_waiter", "first", "second",
					    "third",  "fourth",       "fifth"};
	int err = set_up(state);

	for (uint32_t i = 0; !err && i < sizeof(names) / sizeof(*names); i++)
		tell_name(*state, i, names[i]);
	return err;
}

/* The thread slept so long in the GIL's futex while `holder` had it, after it ran for `oncpu_ns`.
 */
struct part {
	uint32_t holder;
	uint64_t ns;
	uint64_t oncpu_ns;
	uint32_t switches; /* that the GIL counted until then */
	uint8_t flags;     /* but for WAIT_DONE */
};

static void tell_part(struct fixture *f, uint32_t waiter, const struct part *part)
{
	struct record_wait record = {
		.kind = RECORD_WAIT,
		.tgid = TGID,
		.tid = TGID + waiter,
		.function = waiter,
		.total_ns = part->ns,
		.new_ns = part->ns,
		.oncpu_ns = part->oncpu_ns,
		.wait_class = WAIT_GIL,
		.flags = WAIT_DONE | part->flags,
		.gil_switches = part->switches,
		.holder = part->holder,
		.gil = GIL,
	};

	collector__record(f->collector, &record, sizeof(record));
}

static void tell_parts(struct fixture *f, const struct part *parts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		tell_part(f, WAITER, &parts[i]);
}

#define TELL(f, ...)                                                                               \
	do {                                                                                       \
		const struct part parts_[] = {__VA_ARGS__};                                        \
		tell_parts(f, parts_, sizeof(parts_) / sizeof(*parts_));                           \
	} while (0)

static struct profile *window_of(struct fixture *f)
{
	struct window window = {.start_ns = 1, .end_ns = 1000 * MS};
	struct profile *profile = collector__profile(f->collector, &window);

	assert_non_null(profile);
	return profile;
}

/* One kind of wait for the GIL. */
struct want {
	const char *holder, *longest;
	uint64_t count, certain, ns;
};

static void assert_gils(struct profile *profile, const struct want *want, size_t count)
{
	uint64_t waits = 0, sum_ns = 0;

	assert_int_equal(profile->gil_count, count);
	for (size_t i = 0; i < count; i++) {
		const struct profile_gil *gil = &profile->gils[i];

		assert_string_equal(gil->waiter, "waiter");
		assert_string_equal(gil->holder ?: "", want[i].holder ?: "");
		assert_string_equal(gil->longest ?: "", want[i].longest ?: "");
		assert_int_equal(gil->time.count, want[i].count);
		assert_int_equal(gil->time.sum_ns, want[i].ns);
		assert_int_equal(gil->sure, want[i].certain);
		waits += gil->time.count;
		sum_ns += gil->time.sum_ns;
	}
	/* and they are the function's waits */
	assert_int_equal(profile->wait_count, count ? 1 : 0);
	if (count) {
		assert_int_equal(profile->waits[0].time.count, waits);
		assert_int_equal(profile->waits[0].time.sum_ns, sum_ns);
	}
	profile__free(profile);
}

#define ASSERT_GILS(f, ...)                                                                        \
	do {                                                                                       \
		const struct want want_[] = {__VA_ARGS__};                                         \
		assert_gils(window_of(f), want_, sizeof(want_) / sizeof(*want_));                  \
	} while (0)

#define SURE WAIT_HOLDER_SURE
#define AGAIN WAIT_GIL_AGAIN

/* Three sleeps are one wait, of who held it first; another held it for longer. */
static void the_longest_is_another(void **state)
{
	struct fixture *f = *state;

	TELL(f, {FIRST, 5 * MS, 900, 1, SURE}, {SECOND, 5 * MS, 900, 2, SURE | AGAIN},
	     {SECOND, 4 * MS, 900, 2, SURE | AGAIN}, {FIRST, 1 * MS, 900, 3, SURE | AGAIN});
	ASSERT_GILS(f, {"first", "second", 1, 1, 15 * MS});
	/* nothing of it in the next window */
	TELL(f, {FIRST, 2 * MS, 900, 3, SURE});
	ASSERT_GILS(f, {"first", "first", 1, 1, 2 * MS});
}

/* Its turns are added up; where both held it as long, who was first. */
static void turns_are_added_up(void **state)
{
	struct fixture *f = *state;

	TELL(f, {SECOND, 3 * MS, 900, 1, SURE}, {FIRST, 5 * MS, 900, 2, AGAIN},
	     {SECOND, 3 * MS, 900, 3, AGAIN});
	ASSERT_GILS(f, {"second", "second", 1, 1, 11 * MS});
	TELL(f, {FIRST, 5 * MS, 900, 4, SURE}, {SECOND, 5 * MS, 900, 5, AGAIN});
	ASSERT_GILS(f, {"first", "first", 1, 1, 10 * MS});
}

/* Some holders are told apart; one more is not, and is not the longest then. */
static void more_holders_than_there_is_room_for(void **state)
{
	struct fixture *f = *state;

	TELL(f, {FIRST, 1 * MS, 900, 1, SURE}, {SECOND, 3 * MS, 900, 2, AGAIN},
	     {THIRD, 2 * MS, 900, 3, AGAIN}, {FOURTH, 1 * MS, 900, 4, AGAIN},
	     {FIFTH, 9 * MS, 900, 5, AGAIN}, {SECOND, 1 * MS, 900, 6, AGAIN});
	ASSERT_GILS(f, {"first", "second", 1, 1, 17 * MS});
}

/* What counts is whether the GIL was locked when the holder was looked up first. */
static void certain_or_not(void **state)
{
	struct fixture *f = *state;

	TELL(f, {FIRST, 1 * MS, 90000, 1, SURE}, {FIRST, 2 * MS, 90000, 2, 0},
	     {FIRST, 4 * MS, 90000, 3, 0}, {FIRST, 8 * MS, 900, 3, SURE | AGAIN});
	ASSERT_GILS(f, {"first", "first", 3, 1, 15 * MS});
}

/* It waits first for another to take what it let go: whoever that is, is its holder. */
static void handed_over(void **state)
{
	struct fixture *f = *state;

	TELL(f, {NO_FUNCTION, 3 * MS, 90000, 1, 0}, {SECOND, 1 * MS, 900, 2, SURE | AGAIN});
	ASSERT_GILS(f, {"second", "second", 1, 1, 4 * MS});
	TELL(f, {NO_FUNCTION, 3 * MS, 90000, 3, 0}, {SECOND, 1 * MS, 900, 4, AGAIN});
	ASSERT_GILS(f, {"second", "second", 1, 0, 4 * MS});
	/* of one that is not known later on, nothing is told */
	TELL(f, {FIRST, 1 * MS, 90000, 5, SURE}, {NO_FUNCTION, 3 * MS, 900, 6, AGAIN});
	ASSERT_GILS(f, {"first", "first", 1, 1, 4 * MS});
	TELL(f, {NO_FUNCTION, 3 * MS, 90000, 7, 0});
	ASSERT_GILS(f, {NULL, NULL, 1, 0, 3 * MS});
}

/* Between two sleeps it runs a little, a little less if the GIL went to another: it may have had
 * it. */
static void parts_of_one_wait(void **state)
{
	struct fixture *f = *state;

	TELL(f, {FIRST, 1 * MS, 90000, 1, SURE}, {FIRST, 1 * MS, 49999, 1, SURE | AGAIN});
	ASSERT_GILS(f, {"first", "first", 1, 1, 2 * MS});
	TELL(f, {FIRST, 1 * MS, 90000, 1, SURE}, {FIRST, 1 * MS, 50000, 1, SURE | AGAIN});
	ASSERT_GILS(f, {"first", "first", 2, 2, 2 * MS});
	TELL(f, {FIRST, 1 * MS, 90000, 1, SURE}, {FIRST, 1 * MS, 19999, 2, SURE | AGAIN});
	ASSERT_GILS(f, {"first", "first", 1, 1, 2 * MS});
	TELL(f, {FIRST, 1 * MS, 90000, 1, SURE}, {FIRST, 1 * MS, 20000, 2, SURE | AGAIN});
	ASSERT_GILS(f, {"first", "first", 2, 2, 2 * MS});
	/* each from the one before it */
	TELL(f, {FIRST, 1 * MS, 90000, 1, SURE}, {FIRST, 1 * MS, 900, 2, SURE | AGAIN},
	     {FIRST, 1 * MS, 40000, 2, SURE | AGAIN});
	ASSERT_GILS(f, {"first", "first", 1, 1, 3 * MS});
}

#define TAKEN WAIT_GIL_TAKEN

/* However long it runs in between: to have had the GIL it must have changed hands twice. */
static void never_had_it_in_between(void **state)
{
	struct fixture *f = *state;

	TELL(f, {FIRST, 1 * MS, 90000, 1, SURE | TAKEN},
	     {FIRST, 1 * MS, 9 * MS, 1, SURE | AGAIN | TAKEN},
	     {SECOND, 1 * MS, 9 * MS, 2, SURE | AGAIN | TAKEN},
	     {FIRST, 2 * MS, 9 * MS, 3, SURE | AGAIN | TAKEN});
	ASSERT_GILS(f, {"first", "first", 1, 1, 5 * MS});
	/* twice: it may have, unless there was no time for that */
	TELL(f, {FIRST, 1 * MS, 90000, 4, SURE | TAKEN},
	     {FIRST, 1 * MS, 20000, 6, SURE | AGAIN | TAKEN});
	ASSERT_GILS(f, {"first", "first", 2, 2, 2 * MS});
	TELL(f, {FIRST, 1 * MS, 90000, 6, SURE | TAKEN},
	     {FIRST, 1 * MS, 19999, 8, SURE | AGAIN | TAKEN});
	ASSERT_GILS(f, {"first", "first", 1, 1, 2 * MS});
	/* the count is half of what the interpreter has */
	TELL(f, {FIRST, 1 * MS, 90000, UINT32_MAX, SURE | TAKEN},
	     {FIRST, 1 * MS, 9 * MS, 0, SURE | AGAIN | TAKEN});
	ASSERT_GILS(f, {"first", "first", 1, 1, 2 * MS});
}

/* Where it waits for who lets the GIL go to be done with that, say, the count does not tell. */
static void waits_of_which_the_count_does_not_tell(void **state)
{
	struct fixture *f = *state;

	TELL(f, {FIRST, 1 * MS, 90000, 1, SURE}, {FIRST, 1 * MS, 50000, 1, SURE | AGAIN | TAKEN});
	ASSERT_GILS(f, {"first", "first", 2, 2, 2 * MS});
	TELL(f, {FIRST, 1 * MS, 90000, 1, SURE | TAKEN}, {FIRST, 1 * MS, 50000, 1, SURE | AGAIN});
	ASSERT_GILS(f, {"first", "first", 2, 2, 2 * MS});
	/* it waited for something else in between */
	TELL(f, {FIRST, 1 * MS, 90000, 1, SURE | TAKEN}, {FIRST, 1 * MS, 900, 1, SURE | TAKEN});
	ASSERT_GILS(f, {"first", "first", 2, 2, 2 * MS});
}

static void tell_sleep(struct fixture *f, uint32_t waiter)
{
	struct record_wait record = {
		.kind = RECORD_WAIT,
		.tgid = TGID,
		.tid = TGID + waiter,
		.function = NO_FUNCTION,
		.wait_class = WAIT_SLEEP,
		.flags = WAIT_DONE,
		.total_ns = 1,
		.new_ns = 1,
	};

	collector__record(f->collector, &record, sizeof(record));
}

/* Whether its last wait was for a GIL is told: those put aside come later than they were. */
static void what_was_in_between(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;

	TELL(f, {FIRST, 1 * MS, 900, 1, SURE}, {FIRST, 1 * MS, 900, 1, SURE});
	ASSERT_GILS(f, {"first", "first", 2, 2, 2 * MS});
	TELL(f, {FIRST, 1 * MS, 900, 1, SURE});
	tell_sleep(f, WAITER);
	TELL(f, {SECOND, 1 * MS, 900, 1, SURE | AGAIN});
	profile = window_of(f);
	assert_int_equal(profile->gil_count, 2);
	profile__free(profile);
}

/* Threads wait side by side, each its own wait. */
static void threads_apart(void **state)
{
	const struct part parts[] = {{FIRST, 2 * MS, 900, 1, SURE},
				     {SECOND, 3 * MS, 900, 2, SURE | AGAIN}};
	struct fixture *f = *state;
	struct profile *profile;

	for (int i = 0; i < 2; i++) {
		tell_part(f, WAITER, &parts[i]);
		tell_part(f, OTHER_WAITER, &parts[i]);
	}
	profile = window_of(f);
	assert_int_equal(profile->gil_count, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct profile_gil *gil = &profile->gils[i];

		assert_string_equal(gil->waiter, i ? "other_waiter" : "waiter");
		assert_string_equal(gil->holder, "first");
		assert_string_equal(gil->longest, "second");
		assert_int_equal(gil->time.count, 1);
		assert_int_equal(gil->time.sum_ns, 5 * MS);
	}
	profile__free(profile);
}

/* Those right after I/O: whole waits, and their whole time. */
static void after_io(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;

	TELL(f, {FIRST, 2 * MS, 90000, 1, SURE | WAIT_AFTER_IO},
	     {FIRST, 3 * MS, 900, 1, SURE | AGAIN | WAIT_AFTER_IO},
	     {FIRST, 7 * MS, 90000, 2, SURE});
	profile = window_of(f);
	assert_int_equal(profile->processes[0].gil_after_io, 1);
	assert_int_equal(profile->processes[0].gil_after_io_ns, 5 * MS);
	profile__free(profile);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_names, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_longest_is_another),
		TEST(turns_are_added_up),
		TEST(more_holders_than_there_is_room_for),
		TEST(certain_or_not),
		TEST(handed_over),
		TEST(parts_of_one_wait),
		TEST(never_had_it_in_between),
		TEST(waits_of_which_the_count_does_not_tell),
		TEST(what_was_in_between),
		TEST(threads_apart),
		TEST(after_io),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
