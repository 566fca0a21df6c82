/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The shadow stack: calls, exceptions and generators as they come, in builds of every shape. */
#include "small_python.h"

/* Calls deep enough in each other, often enough for the sites to be learned. */
static void nested_calls(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t outer, middle, leaf;

		py_begin(s);
		th = make_thread();
		outer = make_code("outer");
		middle = make_code("middle");
		leaf = make_code("leaf");
		for (int i = 0; i < 200; i++) {
			call(&th, outer);
			call(&th, middle);
			for (int k = 0; k < 3; k++) {
				call(&th, leaf);
				ret(&th);
			}
			ret(&th);
			call(&th, leaf);
			ret(&th);
			ret(&th);
		}
		assert_counted(outer, .calls = 200, .exits = 200);
		assert_counted(middle, .calls = 200, .exits = 200);
		assert_counted(leaf, .calls = 800, .exits = 800);
		assert_int_equal(kernel__depth(th.task), 0);
		for (enum loss_cause cause = 0; cause < LOSS_COUNT; cause++)
			assert_loss(cause, 0);
		end_thread(&th);
		py_end();
	}
}

/* An exception raised at the bottom of a recursion and caught above it. */
static void exception_out_of_many(void **state)
{
	static const int depths[] = {1, 2, 5, 40, 60, 300};

	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t catcher, thrower, leaf;
		uint64_t thrown = 0, caught = 0;

		py_begin(s);
		th = make_thread();
		catcher = make_code("catcher");
		thrower = make_code("thrower");
		leaf = make_code("leaf");
		for (int round = 0; round < 30; round++) {
			int depth = depths[round % 6];

			call(&th, catcher);
			for (int i = 0; i < depth; i++)
				call(&th, thrower);
			raise_out_of(&th, depth);
			call(&th, leaf);
			ret(&th);
			ret(&th);
			thrown += depth;
			caught++;
		}
		assert_counted(catcher, .calls = caught, .exits = caught);
		assert_counted(thrower, .calls = thrown, .exits = thrown, .exceptions = thrown);
		assert_counted(leaf, .calls = caught, .exits = caught);
		assert_int_equal(kernel__depth(th.task), 0);
		end_thread(&th);
		py_end();
	}
}

/* C code swallows what its callee raised: the next event shows that it is gone. */
static void exception_dies_in_c(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t caller, raises, leaf;

		py_begin(s);
		th = make_thread();
		caller = make_code("caller");
		raises = make_code("raises");
		leaf = make_code("leaf");
		call(&th, caller);
		for (int i = 0; i < 100; i++) {
			call(&th, leaf);
			ret(&th);
			call(&th, raises);
			raise_into_c(&th);
		}
		ret(&th);
		call(&th, leaf);
		ret(&th);
		assert_counted(raises, .calls = 100, .exits = 100, .exceptions = 100);
		assert_counted(leaf, .calls = 101, .exits = 101);
		assert_counted(caller, .calls = 1, .exits = 1);
		end_thread(&th);
		py_end();
	}
}

static void some_calls(struct small_thread *th, uint64_t outer, uint64_t code, uint64_t leaf)
{
	uint64_t generator = make_generator();

	call(th, outer);
	generator_begins(th, code, generator);
	yields(th);
	call(th, leaf);
	ret(th);
	goes_on(th, generator, AT_ENTRY);
	call(th, leaf);
	ret(th);
	yields(th);
	goes_on(th, generator, AT_ENTRY);
	ret(th);
	ret(th);
}

/* As long as all calls are alike a register may hold the frame that later does not. */
static void register_by_chance(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		for (enum chance later = CHANCE_JUNK; later <= CHANCE_BELOW; later++) {
			struct small_thread th;
			uint64_t outer, code, leaf;

			py_begin(s);
			th = make_thread();
			outer = make_code("outer");
			code = make_code("generator");
			leaf = make_code("leaf");
			py.chance = CHANCE_FRAME;
			for (int i = 0; i < 150; i++)
				some_calls(&th, outer, code, leaf);
			py.chance = later;
			for (int i = 0; i < 150; i++)
				some_calls(&th, outer, code, leaf);
			assert_counted(outer, .calls = 300, .exits = 300);
			assert_counted(code, .calls = 300, .segments = 900, .exits = 300);
			assert_counted(leaf, .calls = 600, .exits = 600);
			assert_int_equal(kernel__depth(th.task), 0);
			for (enum loss_cause cause = 0; cause < LOSS_COUNT; cause++)
				assert_loss(cause, 0);
			end_thread(&th);
			py_end();
		}
	}
}

static void generators_suspend_and_go_on(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t caller, code, leaf;

		py_begin(s);
		th = make_thread();
		caller = make_code("caller");
		code = make_code("generator");
		leaf = make_code("leaf");
		call(&th, caller);
		for (int i = 0; i < 50; i++) {
			uint64_t generator = make_generator();

			generator_begins(&th, code, generator);
			yields(&th);
			for (int k = 0; k < 3; k++) {
				goes_on(&th, generator, AT_ENTRY);
				call(&th, leaf);
				ret(&th);
				yields(&th);
			}
			goes_on(&th, generator, AT_ENTRY);
			ret(&th);
		}
		ret(&th);
		assert_counted(code, .calls = 50, .segments = 250, .exits = 50);
		assert_counted(leaf, .calls = 150, .exits = 150);
		assert_counted(caller, .calls = 1, .exits = 1);
		assert_true(counted(code).suspended_ns > 0);
		assert_int_equal(kernel__entries("generators"), 0);
		end_thread(&th);
		py_end();
	}
}

/* throw() into one that catches it and yields again, and then into one that does not. */
static void generators_thrown_into(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t caller, code;

		py_begin(s);
		th = make_thread();
		caller = make_code("caller");
		code = make_code("generator");
		call(&th, caller);
		for (int i = 0; i < 50; i++) {
			uint64_t generator = make_generator();

			generator_begins(&th, code, generator);
			yields(&th);
			goes_on(&th, generator, AT_THROW);
			traceback(&th);
			yields(&th);
			goes_on(&th, generator, AT_THROW);
			raise_out_of(&th, 1);
		}
		ret(&th);
		assert_counted(code, .calls = 50, .segments = 150, .exits = 50, .exceptions = 50);
		assert_counted(caller, .calls = 1, .exits = 1);
		assert_int_equal(kernel__entries("generators"), 0);
		end_thread(&th);
		py_end();
	}
}

/* Where one that was never finished had its frame, another begins: the first ended at its yield. */
static void generator_where_one_was_dropped(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t caller, code, generator;

		py_begin(s);
		th = make_thread();
		caller = make_code("caller");
		code = make_code("generator");
		generator = make_generator();
		call(&th, caller);
		for (int i = 0; i < 10; i++) {
			generator_begins(&th, code, generator);
			yields(&th);
		}
		ret(&th);
		assert_counted(code, .calls = 10, .exits = 9);
		end_thread(&th);
		py_end();
	}
}

/* Deeper than is kept: counted, and right again above. */
static void recursion_beyond_what_is_kept(void **state)
{
	const uint64_t deep = STACK_MAX + 100;

	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t down, leaf;

		py_begin(s);
		th = make_thread();
		down = make_code("down");
		leaf = make_code("leaf");
		for (int round = 0; round < 2; round++) {
			for (uint64_t i = 0; i < deep; i++)
				call(&th, down);
			assert_int_equal(kernel__depth(th.task), deep);
			for (uint64_t i = 0; i < deep; i++)
				ret(&th);
			assert_int_equal(kernel__depth(th.task), 0);
			call(&th, leaf);
			ret(&th);
		}
		assert_counted(down, .calls = 2 * deep, .exits = 2 * STACK_MAX,
			       .ended_unseen = 200);
		assert_counted(leaf, .calls = 2, .exits = 2);
		assert_loss(LOSS_DEPTH, 200);
		end_thread(&th);
		py_end();
	}
}

static void exception_from_beyond(void **state)
{
	const uint64_t deep = STACK_MAX + 100;

	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t catcher, down, leaf;

		py_begin(s);
		th = make_thread();
		catcher = make_code("catcher");
		down = make_code("down");
		leaf = make_code("leaf");
		for (int round = 0; round < 2; round++) {
			call(&th, catcher);
			for (uint64_t i = 1; i < deep; i++)
				call(&th, down);
			raise_out_of(&th, (int)deep - 1);
			call(&th, leaf);
			ret(&th);
			ret(&th);
			assert_int_equal(kernel__depth(th.task), 0);
		}
		assert_counted(catcher, .calls = 2, .exits = 2);
		assert_counted(down, .calls = 2 * (deep - 1), .exits = 2 * (STACK_MAX - 1),
			       .exceptions = 2 * (STACK_MAX - 1), .ended_unseen = 200);
		assert_counted(leaf, .calls = 2, .exits = 2);
		end_thread(&th);
		py_end();
	}
}

/* While userspace changes from one set of links to another every hit comes twice. */
static void hits_that_come_twice(void **state)
{
	const uint64_t deep = STACK_MAX + 20;

	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t outer, down;

		py_begin(s);
		th = make_thread();
		outer = make_code("outer");
		down = make_code("down");
		call(&th, outer);
		for (int i = 0; i < 80; i++) { /* the sites are to be known */
			call(&th, down);
			ret(&th);
		}
		for (uint64_t i = 1; i < deep - 1; i++)
			call(&th, down);
		py.twice = true;
		call(&th, down);
		assert_int_equal(kernel__depth(th.task), deep);
		ret(&th);
		assert_int_equal(kernel__depth(th.task), deep - 1);
		py.twice = false;
		for (uint64_t i = 1; i < deep - 1; i++)
			ret(&th);
		ret(&th);
		assert_counted(outer, .calls = 1, .exits = 1);
		assert_counted(down, .calls = 80 + deep - 1, .exits = 80 + STACK_MAX - 1,
			       .ended_unseen = 20);
		assert_int_equal(kernel__depth(th.task), 0);
		end_thread(&th);
		py_end();
	}
}

/*
 * One of the first exits is lost, and all calls come in pairs from then on: the exits of both must
 * not tell that the site is another kind than it is.
 */
static void lost_exit_among_the_first(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		for (int seen = 0; seen < 3; seen++) {
			struct small_thread th;
			uint64_t home, outer, leaf;

			py_begin(s);
			th = make_thread();
			home = make_code("home");
			outer = make_code("outer");
			leaf = make_code("leaf");
			call(&th, make_code("module"));
			call(&th, home);
			for (int i = 0; i < seen; i++) {
				call(&th, leaf);
				ret(&th);
			}
			for (int i = 0; i < 100; i++) {
				call(&th, outer);
				call(&th, leaf);
				py.unseen = i == 0;
				ret(&th);
				py.unseen = false;
				ret(&th);
			}
			ret(&th);
			/* that it was lost looks like an exception */
			assert_counted(leaf, .calls = 100 + seen, .exits = 100 + seen,
				       .exceptions = 1);
			assert_int_equal(counted(outer).calls, 100);
			assert_int_equal(counted(outer).exits, 100);
			/* how the one below it ended is not known either where no register is */
			assert_true(counted(outer).exceptions <= 1);
			assert_counted(home, .calls = 1, .exits = 1);
			assert_int_equal(kernel__depth(th.task), 1);
			end_thread(&th);
			py_end();
		}
	}
}

/* Turning on sys.monitoring has RESUME run a second time: that is no call. */
static void entries_that_come_twice(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t outer, leaf;

		py_begin(s);
		th = make_thread();
		outer = make_code("outer");
		leaf = make_code("leaf");
		call(&th, outer);
		for (int i = 0; i < 100; i++) {
			py.twice = true;
			call(&th, leaf);
			py.twice = false;
			ret(&th);
		}
		ret(&th);
		assert_counted(leaf, .calls = 100, .exits = 100);
		assert_counted(outer, .calls = 1, .exits = 1);
		end_thread(&th);
		py_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nested_calls),
		cmocka_unit_test(exception_out_of_many),
		cmocka_unit_test(exception_dies_in_c),
		cmocka_unit_test(register_by_chance),
		cmocka_unit_test(generators_suspend_and_go_on),
		cmocka_unit_test(generators_thrown_into),
		cmocka_unit_test(generator_where_one_was_dropped),
		cmocka_unit_test(recursion_beyond_what_is_kept),
		cmocka_unit_test(exception_from_beyond),
		cmocka_unit_test(hits_that_come_twice),
		cmocka_unit_test(lost_exit_among_the_first),
		cmocka_unit_test(entries_that_come_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
