/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The slow calls of a function, told from the others by the kernel side, in builds of every shape.
 */
#include "small_python.h"

#define MS 1000000ull

/* The one slot of some code, which has been hit. */
static const struct function_stats *stats_of(uint64_t code, uint32_t *slot)
{
	const struct function_stats *stats;

	for (*slot = 0; (stats = kernel__stats(*slot)); (*slot)++)
		if (stats->key.code == code)
			return stats;
	fail_msg("no slot for this code");
	return NULL;
}

static struct function_stats now_of(uint64_t code)
{
	uint32_t slot;

	return *stats_of(code, &slot);
}

static void set_tail(uint64_t code, uint64_t from_ns)
{
	uint32_t slot;

	stats_of(code, &slot);
	kernel__set_tail(slot, from_ns);
}

static void call_for(struct small_thread *th, uint64_t code, uint64_t ns)
{
	call(th, code);
	kernel__pass(ns);
	ret(th);
}

/* What the counters gained, all of it by slow calls, or none. */
static void assert_gained(const struct function_stats *before, const struct function_stats *after,
			  unsigned int slow, bool all)
{
	assert_int_equal(after->tail.calls - before->tail.calls, slow);
	if (!all) {
		assert_int_equal(after->tail.wall_ns, before->tail.wall_ns);
		return;
	}
	assert_int_equal(after->exits - before->exits, slow);
	assert_int_equal(after->tail.wall_ns - before->tail.wall_ns,
			 after->wall_ns - before->wall_ns);
	for (int c = 0; c < WAIT_CLASSES; c++)
		assert_int_equal(after->tail.wait_ns[c] - before->tail.wait_ns[c],
				 after->wait_ns[c] - before->wait_ns[c]);
}

static void slow_ones_apart(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct function_stats before, fast, slow;
		struct small_thread th;
		uint64_t work;

		py_begin(s);
		th = make_thread();
		work = make_code("work");
		call(&th, make_code("module"));
		for (int i = 0; i < 20; i++)
			call_for(&th, work, 9 * MS);
		before = now_of(work);
		assert_int_equal(before.exits, 20);
		assert_int_equal(before.tail.calls, 0); /* no threshold: none is slow */
		set_tail(work, 5 * MS);
		for (int i = 0; i < 20; i++)
			call_for(&th, work, 4 * MS);
		fast = now_of(work);
		assert_gained(&before, &fast, 0, false);
		for (int i = 0; i < 7; i++)
			call_for(&th, work, 6 * MS);
		slow = now_of(work);
		assert_gained(&fast, &slow, 7, true);
		set_tail(work, 20 * MS); /* it moves: for calls that end from now on */
		call_for(&th, work, 9 * MS);
		assert_int_equal(now_of(work).tail.calls, 7);
		end_thread(&th);
		py_end();
	}
}

/* To the nanosecond. */
static void from_the_very_length(void **state)
{
	struct function_stats before;
	struct small_thread th;
	uint64_t work, wall;

	(void)state;
	py_begin(&shapes[0]);
	th = make_thread();
	work = make_code("work");
	call(&th, make_code("module"));
	for (int i = 0; i < 20; i++)
		call_for(&th, work, 3 * MS);
	before = now_of(work);
	call_for(&th, work, 3 * MS);
	wall = now_of(work).wall_ns - before.wall_ns;
	set_tail(work, wall);
	call_for(&th, work, 3 * MS);
	assert_int_equal(now_of(work).tail.calls, 1);
	assert_int_equal(now_of(work).tail.wall_ns, wall);
	set_tail(work, wall + 1);
	call_for(&th, work, 3 * MS);
	assert_int_equal(now_of(work).tail.calls, 1);
	end_thread(&th);
	py_end();
}

/* Left by an exception; and the wall time of a caller is its callees' too. */
static void slow_by_callees_and_by_exceptions(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct function_stats before, after;
		struct small_thread th;
		uint64_t outer, inner;

		py_begin(s);
		th = make_thread();
		outer = make_code("outer");
		inner = make_code("inner");
		call(&th, make_code("module"));
		call(&th, outer);
		call_for(&th, inner, 1);
		ret(&th);
		set_tail(outer, 5 * MS);
		set_tail(inner, 5 * MS);
		before = now_of(outer);
		for (int i = 0; i < 10; i++) {
			call(&th, outer);
			for (int k = 0; k < 4; k++)
				call_for(&th, inner, 2 * MS);
			raise_out_of(&th, 1);
		}
		after = now_of(outer);
		assert_gained(&before, &after, 10, true);
		assert_int_equal(after.exceptions, 10);
		assert_int_equal(now_of(inner).tail.calls, 0);
		end_thread(&th);
		py_end();
	}
}

/* A generator is slow by all its segments; also one that was dropped where it was suspended. */
static void slow_generators(void **state)
{
	(void)state;
	for_each_shape(s)
	{
		struct function_stats before, after;
		struct small_thread th;
		uint64_t code, generator;

		py_begin(s);
		th = make_thread();
		code = make_code("generator");
		generator = make_generator();
		call(&th, make_code("module"));
		generator_begins(&th, code, generator);
		ret(&th);
		set_tail(code, 5 * MS);
		before = now_of(code);
		for (int i = 0; i < 10; i++) {
			generator_begins(&th, code, generator);
			kernel__pass(3 * MS);
			yields(&th);
			kernel__pass(50 * MS); /* suspended: not its time */
			goes_on(&th, generator, AT_ENTRY);
			kernel__pass(3 * MS);
			ret(&th);
		}
		after = now_of(code);
		assert_gained(&before, &after, 10, true);
		before = after;
		for (int i = 0; i < 11; i++) { /* ten are dropped at their yield, one runs on */
			generator_begins(&th, code, generator);
			kernel__pass(7 * MS);
			yields(&th);
		}
		after = now_of(code);
		assert_gained(&before, &after, 10, true);
		before = after;
		goes_on(&th, generator, AT_ENTRY);
		ret(&th);
		after = now_of(code);
		assert_gained(&before, &after, 1, true);
		end_thread(&th);
		py_end();
	}
}

/* What slow calls waited for is theirs: here, that their greenlet was switched out. */
static void waits_of_the_slow(void **state)
{
	static const uint64_t away[] = {1 * MS, 20 * MS};

	(void)state;
	for_each_shape(s)
	{
		struct function_stats first, fast, slow;
		struct small_thread th;
		uint64_t work, other, hub, greenlet = 0x30000000ull;

		if (s->version == SMALL_OPCODE)
			continue; /* chunks: test_shadow_greenlets.c knows how */
		py_begin(s);
		th = make_thread();
		work = make_code("work");
		other = make_code("other");
		hub = call(&th, make_code("home"));
		call_for(&th, work, 1);
		set_tail(work, 10 * MS);
		first = now_of(work);
		for (int i = 0; i < 2; i++) {
			uint64_t inside;

			if (i)
				fast = now_of(work);
			inside = call(&th, work);
			call_at(&th, other, greenlet, 0, OWNER_THREAD);
			kernel__pass(away[i]);
			ret(&th);
			go_on_with(&th, inside);
			ret(&th);
		}
		slow = now_of(work);
		assert_gained(&first, &fast, 0, false);
		assert_gained(&fast, &slow, 1, true);
		assert_true(slow.tail.wait_ns[WAIT_OTHER] >= away[1]);
		assert_true(slow.wait_ns[WAIT_OTHER] >= away[0] + away[1]);
		go_on_with(&th, hub);
		end_thread(&th);
		py_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_ones_apart),
		cmocka_unit_test(from_the_very_length),
		cmocka_unit_test(slow_by_callees_and_by_exceptions),
		cmocka_unit_test(slow_generators),
		cmocka_unit_test(waits_of_the_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
