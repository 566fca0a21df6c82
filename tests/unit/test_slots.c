/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Room in the table of functions: who leaves it, when, and what is still known of them.  Links:
 * user/collect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "collector_fixture.h"

#define LONG_AGO 1 /* more than a second before any drain */

struct table {
	struct fixture *f;
	unsigned int retired; /* bit per place */
};

static void retire(void *arg, const uint32_t *places, size_t count)
{
	struct table *table = arg;

	for (size_t i = 0; i < count; i++)
		table->retired |= 1u << places[i];
}

static void drain(struct table *table)
{
	collector__drain(table->f->collector, RING_READ, free_slot, table->f);
}

static size_t make_room(struct table *table)
{
	table->retired = 0;
	return collector__make_room(table->f->collector, LONG_AGO, retire, table);
}

/* All eight places are taken; "f0" was called last, "f1" before it, and so on. */
static struct table full(struct fixture *f)
{
	struct table table = {f, 0};
	char name[16];

	for (uint32_t slot = SLOTS; slot-- > 0;) {
		snprintf(name, sizeof(name), "f%u", slot);
		tell_name(f, slot, name);
		count(f, slot, 1, 1, 1000);
		drain(&table);
	}
	return table;
}

static uint64_t calls_of(const struct profile *profile, const char *name)
{
	uint64_t calls = 0;

	for (size_t i = 0; i < profile->function_count; i++)
		if (!strcmp(profile->functions[i].function, name))
			calls += profile->functions[i].calls;
	return calls;
}

static void who_was_not_called_for_longest_leaves(void **state)
{
	struct table table = full(*state);
	struct fixture *f = *state;
	struct window window = {.start_ns = 1, .end_ns = 1000000000};
	struct profile *profile;

	assert_int_equal(make_room(&table),
			 6); /* as many came at once, six eighths should be free */
	assert_int_equal(table.retired, 0xfc);
	assert_int_equal(f->freed, 0);
	count(f, 7, 2, 2, 1000); /* by who had looked it up just before */
	drain(&table);
	assert_int_equal(f->freed, 0xfc);
	/* it comes again, where another was */
	tell_name(f, SLOT_AGAIN(6), "f7");
	count(f, SLOT_AGAIN(6), 4, 4, 1000);
	drain(&table);
	profile = collector__profile(f->collector, &window);
	assert_int_equal(profile->function_count, SLOTS);
	assert_int_equal(calls_of(profile, "f7"), 1 + 2 + 4);
	assert_int_equal(calls_of(profile, "f6"), 1);
	assert_int_equal(profile->functions_retired, 6);
	profile__free(profile);
}

static void while_there_is_room_nobody_leaves(void **state)
{
	struct table table = full(*state);
	struct fixture *f = *state;

	assert_int_equal(make_room(&table), 6);
	drain(&table);
	assert_int_equal(make_room(&table), 0);
	assert_false(collector__needs_room(f->collector));
	for (uint32_t slot = 2; slot < 6; slot++)
		tell_name(f, SLOT_AGAIN(slot), "new");
	assert_true(collector__needs_room(f->collector));
}

static void who_is_called_stays(void **state)
{
	struct table table = full(*state);
	struct fixture *f = *state;

	count(f, 7, 1, 0, 1000); /* goes on */
	drain(&table);
	count(f, 6, 1, 1, 1000); /* just now */
	f->stats[5].role = ROLE_GO_BETWEEN;
	drain(&table);
	assert_int_equal(make_room(&table), 5);
	assert_int_equal(table.retired, 0x1f);
}

/* A call that began before anybody was told, in a place that is to be given back. */
static void call_that_goes_on_keeps_the_place(void **state)
{
	struct table table = full(*state);
	struct fixture *f = *state;

	assert_int_equal(make_room(&table), 6);
	count(f, 7, 1, 0, 1000);
	drain(&table);
	assert_int_equal(f->freed, 0x7c);
	count(f, 7, 0, 1, 1000);
	drain(&table);
	assert_int_equal(f->freed, 0xfc);
}

/* What sleeps, and stacks that were told, name functions by numbers they had long before. */
static void number_of_old_means_who_had_it(void **state)
{
	struct table table = full(*state);
	struct fixture *f = *state;
	struct window window = {.start_ns = 1, .end_ns = 1000000000};
	struct record_wait wait = {
		.kind = RECORD_WAIT,
		.tgid = TGID,
		.tid = TGID,
		.function = 7,
		.total_ns = 3000,
		.new_ns = 3000,
		.syscall = 230,
		.wait_class = WAIT_SLEEP,
		.flags = WAIT_DONE,
		.waker = NO_FUNCTION,
	};
	struct profile *profile;

	make_room(&table);
	drain(&table);
	tell_name(f, SLOT_AGAIN(7), "other");
	count(f, SLOT_AGAIN(7), 1, 1, 1000);
	collector__record(f->collector, &wait, sizeof(wait));
	wait.function = SLOT_AGAIN(7);
	wait.total_ns = wait.new_ns = 5000;
	collector__record(f->collector, &wait, sizeof(wait));
	drain(&table);
	profile = collector__profile(f->collector, &window);
	assert_int_equal(profile->wait_count, 2);
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(profile->waits[i].function,
				    profile->waits[i].time.sum_ns == 3000 ? "f7" : "other");
	profile__free(profile);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(who_was_not_called_for_longest_leaves),
		CASE(while_there_is_room_nobody_leaves),
		CASE(who_is_called_stays),
		CASE(call_that_goes_on_keeps_the_place),
		CASE(number_of_old_means_who_had_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
