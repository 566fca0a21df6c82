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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greenlets_take_turns),
		cmocka_unit_test(exception_leaves_a_greenlet),
		cmocka_unit_test(greenlet_where_one_was_left_by_an_exception),
		cmocka_unit_test(greenlet_that_has_caught),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
