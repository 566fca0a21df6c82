/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is full, missing or unreadable: it is counted as lost, and what comes after is right. */
#include "small_python.h"

/* A call, and one in it: what works again. */
static void calls_are_right(struct small_thread *th, const char *name)
{
	uint64_t outer = make_code(name), leaf = make_code("leaf");
	uint32_t depth;

	depth = kernel__depth(th->task);
	for (int i = 0; i < 10; i++) {
		call(th, outer);
		call(th, leaf);
		ret(th);
		ret(th);
	}
	assert_counted(outer, .calls = 10, .exits = 10);
	assert_counted(leaf, .calls = 10, .exits = 10);
	assert_true(kernel__depth(th->task) <= depth);
}

/* The frame of a call cannot be read. */
static void unreadable_frame(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, frame;

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		call(&th, home);
		calls_are_right(&th, "before");
		frame = th.frame + 0x2000;
		go_on_with(&th, frame);
		hit_at(&th, AT_ENTRY, frame);
		assert_true(kernel__loss(LOSS_UNREADABLE) > 0);
		assert_loss(LOSS_NOT_AT_RESUME, 1);
		go_on_with(&th, th.next - SMALL_FRAME_BYTES);
		calls_are_right(&th, "after");
		ret(&th);
		assert_counted(home, .calls = 1, .exits = 1);
		end_thread(&th);
		py_end();
	}
}

static void unreadable_name(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t code;

		py_begin(s);
		th = make_thread();
		code = make_code("nameless");
		put64(code + CO_NAME, 8);
		put64(code + CO_QUALNAME, 8);
		call(&th, code);
		ret(&th);
		assert_counted(code, .calls = 1, .exits = 1);
		assert_true(kernel__loss(LOSS_UNREADABLE) > 0);
		end_thread(&th);
		py_end();
	}
}

/* A thread that is on no list, and comes to be on one. */
static void unknown_thread(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t code;

		py_begin(s);
		th = make_thread();
		code = make_code("early");
		put64(th.tstate + TS_ID, 1);
		call(&th, code);
		ret(&th);
		assert_counted(code, .calls = 0);
		assert_loss(LOSS_UNKNOWN_THREAD, 1);
		put64(th.tstate + TS_ID, th.ident);
		calls_are_right(&th, "late");
		end_thread(&th);
		py_end();
	}
}

static uint32_t told;

static void count_told(void *arg, const void *record, size_t size)
{
	(void)arg;
	(void)size;
	told += ((const struct record_code *)record)->kind == RECORD_CODE;
}

/* The ring buffer is full at a function's first call: it is told at a later one. */
static void ring_full(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t code;

		py_begin(s);
		th = make_thread();
		code = make_code("code");
		told = 0;
		kernel__records(count_told, NULL);
		kernel__no_ring(true);
		call(&th, code);
		ret(&th);
		kernel__no_ring(false);
		assert_true(kernel__loss(LOSS_RING_CODE) > 0);
		assert_int_equal(told, 0);
		for (int i = 0; i < 2; i++) {
			call(&th, code);
			ret(&th);
		}
		assert_int_equal(told, 1);
		assert_counted(code, .calls = 3, .exits = 3);
		end_thread(&th);
		py_end();
	}
}

static void functions_full(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t known, other;

		py_begin(s);
		th = make_thread();
		known = make_code("known");
		other = make_code("other");
		call(&th, known);
		kernel__limit("free_slots", 1); /* none is left in it */
		for (int i = 0; i < 20; i++) {
			call(&th, other);
			call(&th, known);
			ret(&th);
			ret(&th);
		}
		ret(&th);
		assert_counted(known, .calls = 21, .exits = 21);
		assert_counted(other, .calls = 0);
		assert_loss(LOSS_FUNCTIONS_FULL, 20);
		assert_int_equal(kernel__depth(th.task), 0);
		end_thread(&th);
		py_end();
	}
}

/* More suspended generators than are remembered: the oldest are forgotten. */
static void generators_full(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, code, generators[10];

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		code = make_code("code");
		kernel__limit("generators", 6);
		call(&th, home);
		for (int i = 0; i < 10; i++) {
			generators[i] = make_generator();
			generator_begins(&th, code, generators[i]);
			yields(&th);
		}
		for (int i = 0; i < 10; i++) {
			goes_on(&th, generators[i], AT_ENTRY);
			ret(&th);
		}
		ret(&th);
		assert_counted(code, .calls = 10, .segments = 20, .exits = 6);
		assert_counted(home, .calls = 1, .exits = 1);
		assert_loss(LOSS_BEGAN_BEFORE, 4);
		end_thread(&th);
		py_end();
	}
}

/* No memory for a thread, then none for the deeper parts of its stack. */
static void storage_full(void **state)
{
	const uint64_t deep = STACK_INLINE + 20;

	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, down;

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		down = make_code("down");
		kernel__no_storage(true);
		call(&th, home);
		ret(&th);
		assert_loss(LOSS_STORAGE, 1);
		assert_counted(home, .calls = 0);
		kernel__no_storage(false);
		call(&th, home);
		kernel__no_storage(true);
		for (uint64_t i = 0; i < deep; i++)
			call(&th, down);
		assert_loss(LOSS_DEPTH, deep + 1 - STACK_INLINE);
		kernel__no_storage(false);
		for (uint64_t i = 0; i < deep; i++)
			ret(&th);
		ret(&th);
		assert_int_equal(counted(down).calls, deep);
		assert_int_equal(counted(down).exits + counted(down).ended_unseen, deep);
		calls_are_right(&th, "after");
		end_thread(&th);
		py_end();
	}
}

/* Many threads are deep: what does not fit is counted, not timed. */
static void chunks_full(void **state)
{
	const uint64_t kept = STACK_INLINE + 2 * STACK_CHUNK, deep = kept + 30;

	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t down;

		py_begin(s);
		th = make_thread();
		down = make_code("down");
		kernel__limit("stack_chunks", 1);
		for (int round = 0; round < 2; round++) {
			for (uint64_t i = 0; i < deep; i++)
				call(&th, down);
			for (uint64_t i = 0; i < deep; i++)
				ret(&th);
		}
		assert_loss(LOSS_DEPTH, 2 * (deep - kept));
		assert_int_equal(counted(down).calls, 2 * deep);
		assert_int_equal(counted(down).exits + counted(down).ended_unseen, 2 * deep);
		calls_are_right(&th, "after");
		end_thread(&th);
		py_end();
	}
}

/* Greenlets beyond what can be kept aside, in number and in depth. */
static void greenlets_full(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct small_thread th;
		uint64_t home, runs, hub;

		py_begin(s);
		th = make_thread();
		home = make_code("home");
		runs = make_code("runs");
		kernel__limit("parked", 1);
		call(&th, home);
		hub = call(&th, home);
		for (int i = 0; i < 3; i++) { /* none of them runs to its end */
			uint64_t chunk = 0x30000000ull + i * 0x10000, zeros[512] = {0, 0x4000};

			image__write(py.image, chunk, zeros, sizeof(zeros));
			call_at(&th, runs, chunk + 32, 0, OWNER_THREAD);
		}
		assert_loss(LOSS_PARKED, 2);
		go_on_with(&th, hub);
		calls_are_right(&th, "after");
		ret(&th);
		ret(&th);
		assert_counted(home, .calls = 2, .exits = 2);
		end_thread(&th);
		py_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unreadable_frame), cmocka_unit_test(unreadable_name),
		cmocka_unit_test(unknown_thread),   cmocka_unit_test(ring_full),
		cmocka_unit_test(functions_full),   cmocka_unit_test(generators_full),
		cmocka_unit_test(storage_full),     cmocka_unit_test(chunks_full),
		cmocka_unit_test(greenlets_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
