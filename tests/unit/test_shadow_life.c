/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Greenlets, threads, interpreters and calls that were open before: whose stack it is, and where
 * calls have gone that end unseen.
 */
#include "small_python.h"

/* --- greenlets: a thread that changes from one stack to another */

#define CHUNK 0x30000000ull

/* The lowest frame of a new greenlet: from 3.11 on first in a chunk of its own. */
static uint64_t greenlet_frame(uint64_t chunk)
{
	uint8_t zeros[4096] = {0};

	if (py.version != SMALL_OPCODE)
		return chunk + 0x40;
	image__write(py.image, chunk, zeros, sizeof(zeros));
	put64(chunk + 8, 0x4000);
	return chunk + 32;
}

static void chunk_is_given_back(uint64_t chunk)
{
	if (py.version == SMALL_OPCODE)
		image__forget(py.image, chunk, 4096);
}

/*
 * Start one: its lowest frame has none below it that is a call of its stack.  From 3.12 on there is
 * a frame of the C stack, and below that whoever started it.
 */
static uint64_t greenlet_starts(struct small_thread *th, uint64_t code, uint64_t chunk)
{
	uint64_t frame = greenlet_frame(chunk), below = 0;

	if (py.version == SMALL_OPCODE) {
		below = chunk - 0x1000;
		make_frame(below, code, th->frame, OWNER_ENTRY);
		stand_at(below, UNIT_CALL, 0);
	}
	return call_at(th, code, frame, below, OWNER_THREAD);
}

/* A call of its, above `below`. */
static uint64_t greenlet_calls(struct small_thread *th, uint64_t code)
{
	return call_at(th, code, th->frame + SMALL_FRAME_BYTES, th->frame, OWNER_THREAD);
}

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

/* The same, but what has its memory is another thread's, and switches in the meantime. */
static void greenlet_where_another_threads_was_left_by_an_exception(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th, other;
		uint64_t home, runs, leaf, hub, hub_there, there;

		py_begin(s);
		th = make_thread();
		other = make_thread();
		home = make_code("home");
		runs = make_code("runs");
		leaf = make_code("leaf");
		call(&th, make_code("module"));
		call(&other, make_code("thread"));
		for (int i = 0; i < 40; i++) {
			hub = call(&th, home);
			hub_there = call(&other, home);
			greenlet_starts(&th, runs, CHUNK);
			raise_into_c(&th);
			go_on_with(&th, hub);
			there = greenlet_starts(&other, runs, CHUNK);
			go_on_with(&other, hub_there);
			call(&other, leaf);
			ret(&other);
			call(&th, leaf);
			ret(&th);
			ret(&th);
			go_on_with(&other, there);
			greenlet_calls(&other, leaf);
			ret(&other);
			ret(&other);
			go_on_with(&other, hub_there);
			ret(&other);
		}
		assert_counted(home, .calls = 80, .exits = 80);
		assert_counted(runs, .calls = 80, .exits = 80, .exceptions = 40);
		assert_counted(leaf, .calls = 120, .exits = 120);
		assert_int_equal(kernel__entries("parked"), 0);
		end_thread(&th);
		end_thread(&other);
		py_end();
	}
}

/* Two threads have greenlets there by turns, and both are left by exceptions: the third is alive.
 */
static void greenlets_of_two_threads_in_one_place(void **state)
{
	(void)state;
	for_each_shape(s)
	{
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
		hub = call(&one, home);
		hub_there = call(&other, home);
		greenlet_starts(&other, runs, CHUNK);
		raise_into_c(&other);
		go_on_with(&other, hub_there);
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
		assert_counted(home, .calls = 2, .exits = 2);
		assert_counted(runs, .calls = 3, .exits = 3, .exceptions = 2);
		assert_counted(leaf, .calls = 3, .exits = 3);
		assert_int_equal(kernel__entries("parked"), 0);
		end_thread(&one);
		end_thread(&other);
		py_end();
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
		cmocka_unit_test(greenlets_take_turns),
		cmocka_unit_test(exception_leaves_a_greenlet),
		cmocka_unit_test(greenlet_where_one_was_left_by_an_exception),
		cmocka_unit_test(greenlet_where_another_threads_was_left_by_an_exception),
		cmocka_unit_test(greenlets_of_two_threads_in_one_place),
		cmocka_unit_test(greenlet_goes_on_with_an_exception),
		cmocka_unit_test(greenlet_that_has_caught),
		cmocka_unit_test(greenlets_one_after_another),
		cmocka_unit_test(generator_in_anothers_place),
		cmocka_unit_test(interpreters_in_the_interpreter),
		cmocka_unit_test(thread_that_dies_in_its_calls),
		cmocka_unit_test(open_calls),
		cmocka_unit_test(open_generator),
		cmocka_unit_test(code_where_other_code_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
