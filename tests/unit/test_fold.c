/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Many processes of a kind that have ended are told as one.  Links: user/collect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "collector_fixture.h"

#define MS 1000000ull
#define FIRST_CHILD 2000

/* What every child does: a wait below main(), a lock, one sample, two calls. */
static void live(struct fixture *f, uint32_t tgid)
{
	struct record_stack stack = {
		.kind = RECORD_STACK,
		.tgid = tgid,
		.id = tgid * 2 + 1,
		.frames = 2,
		.functions = {1, 0},
	};
	struct record_wait wait = {
		.kind = RECORD_WAIT,
		.tgid = tgid,
		.tid = tgid,
		.function = 1,
		.total_ns = 3 * MS,
		.new_ns = 3 * MS,
		.runq_ns = MS,
		.runq_total_ns = MS,
		.oncpu_ns = 2 * MS,
		.syscall = 230,
		.wait_class = WAIT_SLEEP,
		.flags = WAIT_DONE,
		.stack = stack.id,
		.waker = NO_FUNCTION,
		.comm = "worker",
	};
	struct record_sample sample = {
		.kind = RECORD_SAMPLE,
		.tgid = tgid,
		.tid = tgid,
		.function = 1,
		.stack = stack.id,
		.syscall = -1,
	};

	tell_name_of(f, tgid, 0, "main");
	tell_name_of(f, tgid, 1, "nap");
	collector__record(f->collector, &stack, sizeof(stack));
	collector__record(f->collector, &wait, sizeof(wait));
	wait.wait_class = WAIT_LOCK;
	wait.syscall = 202;
	wait.waker = 1;
	wait.waker_tid = tgid;
	wait.waker_stack = stack.id;
	collector__record(f->collector, &wait, sizeof(wait));
	collector__record(f->collector, &sample, sizeof(sample));
	for (uint32_t slot = 0; slot < 2; slot++) {
		struct function_stats *stats = &f->stats[slot];

		memset(stats, 0, sizeof(*stats));
		stats->key = (struct function_key){.code = 100 + slot, .tgid = tgid};
		stats->calls = stats->segments = stats->exits = 2;
		stats->wall_ns = 10 * MS;
		stats->self_ns = 5 * MS;
		stats->buckets[bucket_of(5 * MS)] = 2;
	}
}

/* `count` children one after the other, each for 10 ms. */
static void have_children(struct fixture *f, uint32_t first, uint32_t count, const char *command)
{
	for (uint32_t tgid = first; tgid < first + count; tgid++) {
		struct process child = {.tgid = (pid_t)tgid, .parent = TGID};
		uint64_t now = (tgid - FIRST_CHILD) * 10 * MS + MS;

		snprintf(child.command, sizeof(child.command), "%s", command);
		assert_int_equal(collector__add_process(f->collector, &child, now), 0);
		live(f, tgid);
		collector__end_process(f->collector, (pid_t)tgid, now + 10 * MS);
		collector__drain(f->collector, RING_READ, free_slot, f);
		collector__fold_ended(f->collector, now - 20 * MS);
	}
}

static struct profile *profile_of(struct fixture *f)
{
	struct window window = {.start_ns = 1, .end_ns = 10000 * MS};
	struct profile *profile = collector__profile(f->collector, &window);

	assert_non_null(profile);
	return profile;
}

static const struct profile_process *ended(const struct profile *profile, size_t *count)
{
	const struct profile_process *found = NULL;

	*count = 0;
	for (size_t i = 0; i < profile->process_count; i++)
		if (profile->processes[i].exited) {
			found = &profile->processes[i];
			++*count;
		}
	return found;
}

static void a_few_are_told_one_by_one(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;
	size_t count;

	have_children(f, FIRST_CHILD, 8, "serve");
	profile = profile_of(f);
	assert_int_equal(ended(profile, &count)->others, 0);
	assert_int_equal(count, 8);
	assert_int_equal(profile->function_count, 16);
	profile__free(profile);
}

static void assert_sums(const struct profile *profile, uint32_t children)
{
	uint64_t calls = 0, sleeps = 0, locks = 0, runq = 0, inclusive = 0, oncpu = 0;

	for (size_t i = 0; i < profile->function_count; i++) {
		const struct profile_function *function = &profile->functions[i];

		calls += function->calls;
		assert_int_equal(function->wall.count, function->calls);
		assert_int_equal(function->wall.sum_ns, function->calls * 5 * MS);
		if (!strcmp(function->function, "main"))
			inclusive += function->stack_inclusive_ns;
	}
	assert_int_equal(calls, 4 * children);
	for (size_t i = 0; i < profile->wait_count; i++) {
		const struct profile_wait *wait = &profile->waits[i];

		assert_string_equal(wait->function, "nap");
		sleeps += wait->wait_class == WAIT_SLEEP ? wait->time.count : 0;
		locks += wait->wait_class == WAIT_LOCK ? wait->time.count : 0;
		runq += wait->wait_class == WAIT_RUNQ ? wait->time.sum_ns : 0;
		if (wait->wait_class == WAIT_LOCK)
			assert_string_equal(wait->waker, "nap");
	}
	assert_int_equal(sleeps, children);
	assert_int_equal(locks, children);
	assert_int_equal(runq, 2 * MS * children);
	for (size_t i = 0; i < profile->thread_count; i++)
		oncpu += profile->threads[i].oncpu_ns;
	assert_int_equal(oncpu, 4 * MS * children);
	/* it slept, waited for the lock, for the CPU, and ran, all below main() */
	assert_int_equal(inclusive, (3 + 3 + 2 + 4) * MS * children);
}

static void many_are_one(void **state)
{
	struct fixture *f = *state;
	const struct profile_process *process;
	struct profile *profile;
	size_t count;

	have_children(f, FIRST_CHILD, 100, "serve");
	profile = profile_of(f);
	process = ended(profile, &count);
	assert_int_equal(count, 1);
	assert_int_equal(process->others, 99);
	assert_int_equal(process->threads, 100);
	assert_int_equal(process->observed_ns, 100 * 10 * MS);
	assert_int_equal(process->samples, 100);
	assert_int_equal(profile->function_count, 2);
	assert_int_equal(profile->wait_count, 3);
	assert_int_equal(profile->thread_count, 1);
	/* the sleep, the lock, the run queue after them, and running */
	assert_int_equal(profile->stack_count, 4);
	assert_sums(profile, 100);
	profile__free(profile);
	profile = profile_of(f);
	assert_null(ended(profile, &count));
	profile__free(profile);
}

/* Of another command, or another's children, is another kind. */
static void kinds_are_told_apart(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;
	size_t count;

	have_children(f, FIRST_CHILD, 70, "serve");
	have_children(f, FIRST_CHILD + 70, 70, "mail");
	have_children(f, FIRST_CHILD + 140, 3, "once");
	profile = profile_of(f);
	ended(profile, &count);
	assert_int_equal(count, 5);
	assert_sums(profile, 143);
	profile__free(profile);
}

/* What became another program at once is counted, and nothing else. */
static void the_passing_are_only_counted(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;
	size_t count;

	for (pid_t tgid = FIRST_CHILD; tgid < FIRST_CHILD + 20; tgid++) {
		struct process child = {.tgid = tgid, .parent = TGID};

		assert_int_equal(collector__add_process(f->collector, &child, MS), 0);
		collector__end_process(f->collector, tgid, 2 * MS);
		collector__replaced(f->collector, tgid);
	}
	collector__fold_ended(f->collector, 3 * MS);
	profile = profile_of(f);
	assert_null(ended(profile, &count));
	assert_int_equal(profile->replaced_count, 20);
	profile__free(profile);
	profile = profile_of(f);
	assert_int_equal(profile->replaced_count, 0);
	profile__free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_few_are_told_one_by_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_are_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(kinds_are_told_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_passing_are_only_counted, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
