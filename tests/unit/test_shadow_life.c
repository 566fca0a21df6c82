/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Threads, interpreters and calls that were open before: whose stack it is, and where calls have
 * gone that end unseen.
 */
#include "small_python.h"

/* --- generators whose memory passes from thread to thread */

/*
 * What a generator raises dies in C, and its thread sleeps: before it is heard that the generator
 * is gone, one of another thread has its place, and maybe has ended too.
 */
static void generator_in_anothers_place(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		for (int ended = 0; ended < 2; ended++) {
			struct small_thread one, other;
			uint64_t home, first, second, leaf, generator;

			py_begin(s);
			one = make_thread();
			other = make_thread();
			home = make_code("home");
			first = make_code("first");
			second = make_code("second");
			leaf = make_code("leaf");
			generator = make_generator();
			call(&one, home);
			call(&other, home);
			generator_begins(&one, first, generator);
			yields(&one);
			goes_on(&one, generator, AT_ENTRY);
			raise_into_c(&one);
			generator_begins(&other, second, generator);
			yields(&other);
			if (ended) {
				goes_on(&other, generator, AT_ENTRY);
				ret(&other);
			}
			call(&one, leaf);
			ret(&one);
			if (!ended) {
				goes_on(&other, generator, AT_ENTRY);
				ret(&other);
			}
			ret(&one);
			ret(&other);
			assert_counted(home, .calls = 2, .exits = 2);
			assert_counted(first, .calls = 1, .segments = 2, .exits = 1,
				       .exceptions = 1);
			assert_counted(second, .calls = 1, .segments = 2, .exits = 1);
			assert_loss(LOSS_BEGAN_BEFORE, 0);
			end_thread(&one);
			end_thread(&other);
			py_end();
		}
	}
}

/* --- threads and interpreters */

/* One thread with states in three interpreters, which runs in the later ones within a call. */
static void interpreters_in_the_interpreter(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, inside, leaf, main_frame, states[3];

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		inside = make_code("inside");
		leaf = make_code("leaf");
		states[0] = th.tstate;
		states[1] = make_state(th.ident, 0);
		states[2] = make_state(th.ident, 0);
		call(&th, make_code("module"));
		main_frame = call(&th, home);
		for (int i = 0; i < 60; i++) {
			stand_at(main_frame, UNIT_CALL, 0);
			th.tstate = states[1 + i % 2];
			go_on_with(&th, 0);
			greenlet_starts(&th, inside, CHUNK + (i % 2) * 0x10000); /* chunks too */
			greenlet_calls(&th, leaf);
			ret(&th);
			ret(&th);
			th.tstate = states[0];
			go_on_with(&th, main_frame);
			call(&th, leaf);
			ret(&th);
		}
		ret(&th);
		assert_counted(home, .calls = 1, .exits = 1);
		assert_counted(inside, .calls = 60, .exits = 60);
		assert_counted(leaf, .calls = 120, .exits = 120);
		assert_loss(LOSS_NOT_AT_RESUME, 0);
		end_thread(&th);
		py_end();
	}
}

static void thread_that_dies_in_its_calls(void **state)
{
	const int open = STACK_INLINE + 3 * STACK_CHUNK;

	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t outer, leaf;

		py_begin(s);
		outer = make_code("outer");
		leaf = make_code("leaf");
		for (int i = 0; i < 10; i++) {
			th = make_thread();
			for (int k = 0; k < open; k++)
				call(&th, outer);
			assert_int_equal(kernel__entries("stack_chunks"), 2);
			call(&th, leaf);
			ret(&th);
			end_thread(&th);
		}
		assert_counted(outer, .calls = 10 * open, .ended_unseen = 10 * open);
		assert_counted(leaf, .calls = 10, .exits = 10);
		assert_loss(LOSS_EXIT_UNSEEN, 10 * open);
		assert_int_equal(kernel__entries("threads"), 0);
		assert_int_equal(kernel__entries("first_chunks"), 0);
		assert_int_equal(kernel__entries("stack_chunks"), 0);
		py_end();
	}
}

/* --- calls that are open when we come, at any depth */
static void open_calls(void **state)
{
	static const int depths[] = {1, 3, 60, 500};

	(void)state;
	for_each_shape(s)
	{
		for (int i = 0; i < 4; i++) {
			struct small_thread th;
			uint64_t open, leaf;

			py_begin(s);
			th = make_thread();
			open = make_code("open");
			leaf = make_code("leaf");
			py.unseen = true;
			for (int k = 0; k < depths[i]; k++)
				call(&th, open);
			py.unseen = false;
			call(&th, leaf);
			assert_int_equal(kernel__depth(th.task), depths[i] + 1);
			ret(&th);
			for (int k = 0; k < depths[i]; k++)
				ret(&th);
			assert_int_equal(kernel__depth(th.task), 0);
			assert_counted(open, .calls = 0);
			assert_counted(leaf, .calls = 1, .exits = 1);
			assert_loss(LOSS_BEGAN_BEFORE, depths[i]);
			end_thread(&th);
			py_end();
		}
	}
}

/* A generator that is suspended when we come. */
static void open_generator(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, code, generator;

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		code = make_code("generator");
		generator = make_generator();
		call(&th, home);
		py.unseen = true;
		generator_begins(&th, code, generator);
		yields(&th);
		py.unseen = false;
		goes_on(&th, generator, AT_ENTRY);
		yields(&th);
		goes_on(&th, generator, AT_ENTRY);
		ret(&th);
		ret(&th);
		assert_counted(code, .segments = 2);
		assert_counted(home, .calls = 1, .exits = 1);
		assert_loss(LOSS_BEGAN_BEFORE, 1);
		end_thread(&th);
		py_end();
	}
}

/* --- code objects that die, whose addresses return */
static void code_where_other_code_was(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, code;

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		code = make_code("first");
		call(&th, home);
		for (int i = 0; i < 3; i++) {
			call(&th, code);
			ret(&th);
		}
		make_code_at(code, "second");
		for (int i = 0; i < 3; i++) {
			call(&th, code);
			ret(&th);
		}
		assert_counted(code, .calls = 6, .exits = 6);
		assert_int_equal(kernel__entries("function_slots"), 3);
		end_thread(&th);
		py_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generator_in_anothers_place),
		cmocka_unit_test(interpreters_in_the_interpreter),
		cmocka_unit_test(thread_that_dies_in_its_calls),
		cmocka_unit_test(open_calls),
		cmocka_unit_test(open_generator),
		cmocka_unit_test(code_where_other_code_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
