/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which functions are said to wait many times for one thing.
 * Links: user/profile.c, and all of user/judge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../user/judge/repeat.h"

#define OWN "/srv/shop/orders.py"
#define DRIVER "/usr/lib/python3/dist-packages/driver.py"

/* One that is called `calls` times, and waits so often for the database in all of them. */
static struct profile_function function(const char *name, const char *file, uint64_t calls,
					uint64_t waits, size_t below)
{
	struct profile_function f = {.function = (char *)name, .file = (char *)file};

	f.calls = calls;
	f.io_waits = waits;
	f.repeat = (struct profile_repeat){"db:5432", WAIT_NET, waits, below};
	return f;
}

/* The functions that are named: a bit each. */
static unsigned int named(struct profile_function *functions, size_t count)
{
	struct profile profile = {.functions = functions, .function_count = count};
	unsigned int bits = 0;

	for (size_t i = 0; i < count; i++)
		bits |= (unsigned int)function_repeats(&profile, &functions[i]) << i;
	return bits;
}

static void who_makes_the_queries_and_not_its_caller(void **state)
{
	struct profile_function functions[] = {
		function("handle", OWN, 10, 490, 1),
		function("list_orders", OWN, 10, 490, 2),
		function("order", OWN, 480, 490, 3),
		function("Connection.run", DRIVER, 490, 490, NOTHING_BELOW),
	};

	(void)state;
	assert_int_equal(named(functions, 4), 1 << 1);
}

static void who_calls_many_times_what_waits_many_times(void **state)
{
	struct profile_function functions[] = {
		function("report", OWN, 2, 480, 1),
		function("list_orders", OWN, 10, 480, 2),
		function("order", OWN, 480, 480, NOTHING_BELOW),
	};

	(void)state;
	assert_int_equal(named(functions, 3), 1 << 0 | 1 << 1);
	functions[0].calls = 5; /* twice is not many */
	assert_int_equal(named(functions, 3), 1 << 1);
}

static void comprehensions_are_looked_through(void **state)
{
	struct profile_function functions[] = {
		function("list_orders", OWN, 10, 490, 1),
		function("list_orders.<locals>.<listcomp>", OWN, 10, 480, 2),
		function("<genexpr>", OWN, 10, 480, 3),
		function("order", OWN, 480, 480, NOTHING_BELOW),
	};

	(void)state;
	assert_int_equal(named(functions, 4), 1 << 0);
	functions[2].repeat.below = 1; /* in each other: that has an end */
	assert_int_equal(named(functions, 4) & ~1u, 0);
}

/* A driver that asks five times for one query is not to be mended by who uses it. */
static void libraries_only_where_no_code_of_ones_own_is(void **state)
{
	struct profile_function functions[] = {
		function("list_orders", OWN, 10, 2400, 1),
		function("order", OWN, 480, 2400, 2),
		function("Connection.run", DRIVER, 480, 2400, NOTHING_BELOW),
	};

	(void)state;
	assert_int_equal(named(functions, 3), 1 << 0);
	functions[0].calls = 1; /* not a pattern */
	assert_int_equal(named(functions, 3), 1 << 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_makes_the_queries_and_not_its_caller),
		cmocka_unit_test(who_calls_many_times_what_waits_many_times),
		cmocka_unit_test(comprehensions_are_looked_through),
		cmocka_unit_test(libraries_only_where_no_code_of_ones_own_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
