/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Waits that are told together: whatever comes between, each is told once, and the order of those
 * whose order matters is kept.  The kernel side is compiled for the host.
 * Links: tests/replay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "kernel.h"

#define TGID 700
#define STACKS 9
#define MS 1000000ull

/* By class and stack, as they were and as they were told. */
struct sums {
	uint64_t count, wait_ns, runq_ns, longest_ns;
};

struct told {
	struct sums sums[WAIT_CLASSES][STACKS + 1];
	uint64_t oncpu_ns;
	uint64_t records, together; /* those that told of more than one */
	struct record_wait last;    /* that was told by itself */
};

static void add(struct sums *sums, uint64_t wait_ns, uint64_t runq_ns)
{
	sums->count++;
	sums->wait_ns += wait_ns;
	sums->runq_ns += runq_ns;
	if (wait_ns > sums->longest_ns)
		sums->longest_ns = wait_ns;
}

static void hear_together(struct told *told, const struct record_waits *record, size_t size)
{
	struct sums *sums = &told->sums[record->sum.wait_class][record->sum.stack >> 8];
	uint64_t wait_ns = 0, runq_ns = 0;

	assert_in_range(record->count, 1, GATHERED_MAX);
	assert_int_equal(size, offsetof(struct record_waits, each) +
				       record->count * sizeof(record->each[0]));
	for (uint32_t i = 0; i < record->count; i++) {
		add(sums, record->each[i].total_ns, record->each[i].runq_total_ns);
		wait_ns += record->each[i].total_ns;
		runq_ns += record->each[i].runq_total_ns;
	}
	assert_int_equal(record->sum.total_ns, wait_ns);
	assert_int_equal(record->sum.new_ns, wait_ns);
	assert_int_equal(record->sum.runq_ns, runq_ns);
	assert_int_equal(record->sum.flags & (WAIT_DONE | WAIT_IN_VAIN), WAIT_DONE);
	told->oncpu_ns += record->sum.oncpu_ns;
	told->together += record->count > 1;
}

static void hear(void *arg, const void *data, size_t size)
{
	const struct record_wait *record = data;
	struct told *told = arg;

	if (record->kind != RECORD_WAIT && record->kind != RECORD_WAITS)
		return;
	assert_int_equal(record->tgid, TGID);
	told->records++;
	if (record->kind == RECORD_WAITS) {
		hear_together(told, data, size);
		return;
	}
	add(&told->sums[record->wait_class][record->stack >> 8], record->total_ns,
	    record->runq_total_ns);
	told->oncpu_ns += record->oncpu_ns;
	told->last = *record;
}

static uint64_t drawn(uint64_t *state, uint64_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % below;
}

static struct kernel_task *begin(struct told *told)
{
	struct process_entry entry = {.flags = PROCESS_TRACED};

	memset(told, 0, sizeof(*told));
	kernel__reset();
	kernel__records(hear, told);
	kernel__add_process(TGID, &entry);
	kernel__pass(1000 * MS);
	return kernel__task(TGID, TGID, 0);
}

static void end(struct kernel_task *task)
{
	kernel__task_free(task);
	kernel__free();
}

static struct kernel_wait any_wait(uint64_t *state)
{
	static const enum wait_class classes[] = {WAIT_NET, WAIT_GIL, WAIT_LOCK, WAIT_RUNQ,
						  WAIT_SLEEP};
	struct kernel_wait wait = {
		.wait_class = classes[drawn(state, 5)],
		.stack = (1 + drawn(state, STACKS)) << 8 | 1,
		.oncpu_ns = drawn(state, 50000),
		.wait_ns = drawn(state, 30) ? drawn(state, 200000) : drawn(state, 9000) * MS,
		.runq_ns = drawn(state, 3) * drawn(state, 90000),
	};

	wait.target = wait.wait_class == WAIT_NET ? drawn(state, 3) : 0;
	wait.in_vain = wait.wait_class == WAIT_NET && !drawn(state, 9);
	if (wait.wait_class == WAIT_RUNQ)
		wait.wait_ns = 0;
	return wait;
}

/* At random, with ends of windows in between and the thread's at last. */
static void all_are_told_once(void **state)
{
	struct told told, truth;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct kernel_task *task = begin(&told);
		uint64_t random = seed * 0x9e3779b97f4a7c15ull;

		memset(&truth, 0, sizeof(truth));
		for (int i = 0; i < 3000; i++) {
			struct kernel_wait wait = any_wait(&random);

			kernel__waits(task, &wait);
			add(&truth.sums[wait.wait_class][wait.stack >> 8], wait.wait_ns,
			    wait.runq_ns);
			truth.oncpu_ns += wait.oncpu_ns;
			if (!drawn(&random, 200))
				kernel__window_ends(task);
		}
		kernel__thread_exits(task);
		assert_memory_equal(told.sums, truth.sums, sizeof(truth.sums));
		assert_true(told.oncpu_ns <= truth.oncpu_ns); /* the rest is told of its end */
		assert_true(told.together);
		end(task);
	}
}

/* What is told by itself, and what its record says of the wait before. */
static void order_is_told(void **state)
{
	const uint8_t after = WAIT_AFTER_IO | WAIT_GIL_AGAIN;
	struct kernel_wait net = {.wait_class = WAIT_NET, .stack = 0x101, .wait_ns = 500};
	struct kernel_wait sleep = {.wait_class = WAIT_SLEEP, .stack = 0x201, .wait_ns = 500};
	struct kernel_wait runq = {.wait_class = WAIT_RUNQ, .stack = 0x201, .runq_ns = 500};
	struct kernel_wait gil = {.wait_class = WAIT_GIL, .stack = 0x301, .wait_ns = 500};
	struct kernel_task *task;
	struct told told;

	(void)state;
	task = begin(&told);
	kernel__waits(task, &net);
	assert_int_equal(told.records, 0);
	kernel__waits(task, &runq);
	kernel__waits(task, &gil);
	assert_int_equal(told.records, 1);
	assert_int_equal(told.last.flags & after, WAIT_AFTER_IO);
	kernel__waits(task, &gil);
	assert_int_equal(told.last.flags & after, WAIT_AFTER_IO | WAIT_GIL_AGAIN);
	kernel__waits(task, &sleep);
	kernel__waits(task, &gil);
	assert_int_equal(told.records, 3);
	assert_int_equal(told.last.flags & after, 0);
	/* one that is woken in vain, and what its thread does until it has gone on */
	net.in_vain = true;
	kernel__waits(task, &net);
	kernel__waits(task, &runq);
	net.in_vain = false;
	kernel__waits(task, &net);
	assert_int_equal(told.records, 6);
	kernel__waits(task, &net);
	assert_int_equal(told.records, 6);
	end(task);
}

/* A full ring: those told and those lost are all there were. */
static void none_is_lost_silently(void **state)
{
	struct kernel_wait wait = {
		.wait_class = WAIT_SLEEP, .stack = 0x101, .wait_ns = 500, .oncpu_ns = 3};
	struct kernel_task *task;
	struct told told;

	(void)state;
	task = begin(&told);
	for (int i = 0; i < 1000; i++) {
		kernel__no_ring(i % 100 > 50);
		kernel__waits(task, &wait);
	}
	kernel__no_ring(false);
	kernel__window_ends(task);
	assert_true(kernel__loss(LOSS_RING_WAIT) > 300);
	assert_int_equal(told.sums[WAIT_SLEEP][1].count + kernel__loss(LOSS_RING_WAIT), 1000);
	assert_int_equal(told.oncpu_ns, 3000);
	end(task);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_told_once),
		cmocka_unit_test(order_is_told),
		cmocka_unit_test(none_is_lost_silently),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
