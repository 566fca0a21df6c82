/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Greenlets: whose stack of calls it is, and where calls have gone that end unseen. */
#include "small_python.h"

/* Two that take turns, both in the middle of calls; the first event at home is that it returns. */
static void greenlets_take_turns(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, outer, inner, a, b, hub;

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		outer = make_code("outer");
		inner = make_code("inner");
		call(&th, make_code("module"));
		for (int i = 0; i < 30; i++) {
			hub = call(&th, home);
			greenlet_starts(&th, outer, CHUNK);
			a = greenlet_calls(&th, inner);
			greenlet_starts(&th, outer, CHUNK + 0x10000);
			b = greenlet_calls(&th, inner);
			for (int k = 0; k < 3; k++) {
				go_on_with(&th, a);
				greenlet_calls(&th, inner);
				ret(&th);
				go_on_with(&th, b);
				greenlet_calls(&th, inner);
				ret(&th);
			}
			go_on_with(&th, a);
			ret(&th);
			ret(&th);
			chunk_is_given_back(CHUNK);
			go_on_with(&th, b);
			ret(&th);
			ret(&th);
			chunk_is_given_back(CHUNK + 0x10000);
			go_on_with(&th, hub);
			ret(&th);
		}
		assert_counted(home, .calls = 30, .exits = 30);
		assert_counted(outer, .calls = 60, .exits = 60);
		assert_counted(inner, .calls = 240, .exits = 240);
		assert_int_equal(kernel__entries("parked"), 0);
		assert_int_equal(kernel__entries("parked_below"), 0);
		end_thread(&th);
		py_end();
	}
}

/*
 * An exception leaves the lowest frame of a greenlet: nothing tells that it is gone, but that its
 * memory is given back.  It goes on in the hub, or dies in C, as GreenletExit does.
 */
static void exception_leaves_a_greenlet(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, runs, leaf, hub;

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		runs = make_code("runs");
		leaf = make_code("leaf");
		call(&th, make_code("module"));
		hub = call(&th, home);
		for (int i = 0; i < 40; i++) {
			uint64_t chunk = CHUNK + (i & 1) * 0x10000;

			greenlet_starts(&th, runs, chunk);
			raise_into_c(&th);
			chunk_is_given_back(chunk);
			go_on_with(&th, hub);
			if (i & 2)
				traceback(&th);
			call(&th, leaf);
			ret(&th);
			assert_counted(runs, .calls = i + 1, .exits = i + 1, .exceptions = i + 1);
		}
		ret(&th);
		assert_counted(home, .calls = 1, .exits = 1);
		assert_counted(leaf, .calls = 40, .exits = 40);
		assert_int_equal(kernel__entries("parked"), 0);
		end_thread(&th);
		py_end();
	}
}

/* The same, but its memory is another's before we look: then another greenlet begins there. */
static void greenlet_where_one_was_left_by_an_exception(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, runs, leaf, hub;

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		runs = make_code("runs");
		leaf = make_code("leaf");
		call(&th, make_code("module"));
		hub = call(&th, home);
		for (int i = 0; i < 40; i++) {
			greenlet_starts(&th, runs, CHUNK);
			greenlet_calls(&th, leaf);
			ret(&th);
			raise_into_c(&th);
			go_on_with(&th, hub);
			call(&th, leaf);
			ret(&th);
		}
		greenlet_starts(&th, runs, CHUNK);
		ret(&th);
		go_on_with(&th, hub);
		ret(&th);
		assert_counted(home, .calls = 1, .exits = 1);
		assert_counted(runs, .calls = 41, .exits = 41, .exceptions = 40);
		assert_counted(leaf, .calls = 80, .exits = 80);
		assert_int_equal(kernel__entries("parked"), 0);
		end_thread(&th);
		py_end();
	}
}

/*
 * The same, but what has its memory is another thread's, and switches in the meantime; that thread
 * may have had one there before, which was left by an exception, too.
 */
static void greenlet_where_another_threads_was_left_by_an_exception(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		for (int both = 0; both < 2; both++) {
			struct small_thread one, other;
			uint64_t home, runs, leaf, hub, hub_there, there;

			py_begin(s);
			one = make_thread();
			other = make_thread();
			home = make_code("home");
			runs = make_code("runs");
			leaf = make_code("leaf");
			call(&one, make_code("module"));
			call(&other, make_code("thread"));
			for (int i = 0; i < 40; i++) {
				hub = call(&one, home);
				hub_there = call(&other, home);
				if (both) {
					greenlet_starts(&other, runs, CHUNK);
					raise_into_c(&other);
					go_on_with(&other, hub_there);
				}
				greenlet_starts(&one, runs, CHUNK);
				raise_into_c(&one);
				go_on_with(&one, hub);
				there = greenlet_starts(&other, runs, CHUNK);
				go_on_with(&other, hub_there);
				call(&other, leaf);
				ret(&other);
				call(&one, leaf);
				ret(&one);
				ret(&one);
				go_on_with(&other, there);
				greenlet_calls(&other, leaf);
				ret(&other);
				ret(&other);
				go_on_with(&other, hub_there);
				ret(&other);
			}
			assert_counted(home, .calls = 80, .exits = 80);
			assert_counted(runs, .calls = 80 + 40 * both, .exits = 80 + 40 * both,
				       .exceptions = 40 + 40 * both);
			assert_counted(leaf, .calls = 120, .exits = 120);
			assert_int_equal(kernel__entries("parked"), 0);
			end_thread(&one);
			end_thread(&other);
			py_end();
		}
	}
}

/* What is left is too deep to be kept; what is gone on with is told of first by an exception. */
static void greenlet_goes_on_with_an_exception(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, runs, deep, leaf, hub, greenlet;

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		runs = make_code("runs");
		deep = make_code("deep");
		leaf = make_code("leaf");
		call(&th, make_code("module"));
		hub = call(&th, home);
		greenlet = greenlet_starts(&th, runs, CHUNK);
		go_on_with(&th, hub);
		call(&th, leaf);
		ret(&th);
		greenlet_starts(&th, deep, CHUNK + 0x10000);
		for (int i = 0; i < PARKED_FRAMES; i++)
			greenlet_calls(&th, deep);
		go_on_with(&th, greenlet);
		traceback(&th);
		greenlet_calls(&th, leaf);
		ret(&th);
		ret(&th);
		go_on_with(&th, hub);
		call(&th, leaf);
		ret(&th);
		ret(&th);
		assert_counted(home, .calls = 1, .exits = 1);
		assert_counted(runs, .calls = 1, .exits = 1);
		assert_counted(leaf, .calls = 3, .exits = 3);
		assert_int_equal(kernel__entries("parked"), 0);
		end_thread(&th);
		py_end();
	}
}

/* Caught in its lowest frame, which then switches: it is alive. */
static void greenlet_that_has_caught(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, runs, leaf, hub, greenlet;

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		runs = make_code("runs");
		leaf = make_code("leaf");
		call(&th, make_code("module"));
		hub = call(&th, home);
		for (int i = 0; i < 40; i++) {
			greenlet = greenlet_starts(&th, runs, CHUNK);
			traceback(&th);
			go_on_with(&th, hub);
			call(&th, leaf);
			ret(&th);
			go_on_with(&th, greenlet);
			greenlet_calls(&th, leaf);
			ret(&th);
			ret(&th);
			chunk_is_given_back(CHUNK);
			go_on_with(&th, hub);
		}
		ret(&th);
		assert_counted(home, .calls = 1, .exits = 1);
		assert_counted(runs, .calls = 40, .exits = 40);
		assert_counted(leaf, .calls = 80, .exits = 80);
		end_thread(&th);
		py_end();
	}
}

/* A greenlet begins right where another has ended: the hub, which started both, has not run. */
static void greenlets_one_after_another(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, runs, leaf, hub, second;

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		runs = make_code("runs");
		leaf = make_code("leaf");
		call(&th, make_code("module"));
		hub = call(&th, home);
		for (int i = 0; i < 20; i++) {
			greenlet_starts(&th, runs, CHUNK);
			greenlet_calls(&th, leaf);
			ret(&th);
			ret(&th);
			chunk_is_given_back(CHUNK);
			go_on_with(&th, hub);
			second = greenlet_starts(&th, runs, CHUNK + (i & 1) * 0x10000);
			go_on_with(&th, hub);
			call(&th, leaf);
			ret(&th);
			go_on_with(&th, second);
			greenlet_calls(&th, leaf);
			ret(&th);
			ret(&th);
			go_on_with(&th, hub);
		}
		call(&th, leaf);
		ret(&th);
		ret(&th);
		assert_counted(home, .calls = 1, .exits = 1);
		assert_counted(runs, .calls = 40, .exits = 40);
		assert_counted(leaf, .calls = 61, .exits = 61);
		assert_int_equal(kernel__entries("parked"), 0);
		end_thread(&th);
		py_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greenlets_take_turns),
		cmocka_unit_test(exception_leaves_a_greenlet),
		cmocka_unit_test(greenlet_where_one_was_left_by_an_exception),
		cmocka_unit_test(greenlet_where_another_threads_was_left_by_an_exception),
		cmocka_unit_test(greenlet_goes_on_with_an_exception),
		cmocka_unit_test(greenlet_that_has_caught),
		cmocka_unit_test(greenlets_one_after_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
