/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How many stacks of waits are read.  Links: user/attach/thinning.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../user/attach/thinning.h"

static const struct wait_cost cost = {.walked_ns = 2000, .held_ns = 800};

static void each_is_read_where_that_costs_little(void **state)
{
	(void)state;
	assert_int_equal(thinning_every(0, &cost, 0.01, 1), 1);
	assert_int_equal(thinning_every(4900, &cost, 0.01, 1), 1);
	assert_int_equal(thinning_every(1e9, &cost, INFINITY, 1), 1);
	assert_float_equal(thinning_share(5000, &cost, 1), 0.01, 1e-9);
}

static void only_so_many_are_read_that_the_share_is_kept(void **state)
{
	(void)state;
	for (double rate = 100; rate < 12000; rate *= 1.1) {
		uint32_t every = thinning_every(rate, &cost, 0.01, 1);

		assert_true(thinning_share(rate, &cost, every) <= 0.01);
		assert_true(every == 1 || thinning_share(rate, &cost, every / 2) > 0.01);
	}
	/* no thinning helps who waits more often than that */
	assert_int_equal(thinning_every(20000, &cost, 0.01, 1), THINNING_MOST);
}

/* A rate at the edge has it read no more, or less, each time it is looked at. */
static void it_does_not_go_to_and_fro(void **state)
{
	uint32_t every = thinning_every(5100, &cost, 0.01, 1);

	(void)state;
	assert_int_equal(every, 2);
	assert_int_equal(thinning_every(4900, &cost, 0.01, every), 2);
	assert_int_equal(thinning_every(3900, &cost, 0.01, every), 1);
}

static void what_is_not_measured_yet_is_guessed(void **state)
{
	const struct wait_cost none = {0}, half = {.walked_ns = 2000}, odd = {2000, 5000};

	(void)state;
	assert_int_equal(thinning_every(1e6, &none, 0.01, 1), 1);
	assert_true(thinning_every(8000, &half, 0.01, 1) > 1);
	assert_float_equal(thinning_share(5000, &odd, 8), 0.01, 1e-9);
	assert_float_equal(thinning_share(5000, &cost, 0), 0.01, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_read_where_that_costs_little),
		cmocka_unit_test(only_so_many_are_read_that_the_share_is_kept),
		cmocka_unit_test(it_does_not_go_to_and_fro),
		cmocka_unit_test(what_is_not_measured_yet_is_guessed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
