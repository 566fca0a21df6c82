/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Records and counters as the kernel side leaves them, and the profiles made of them.
 * Links: user/collect.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector_fixture.h"

#define SECOND 1000000000ull

/* The kernel side counts calls that took so long each. */
static void count_long_calls(struct fixture *f, uint32_t slot, unsigned int calls, uint64_t ns)
{
	struct function_stats *stats = count(f, slot, calls, calls, ns);

	if (!stats->tail_from_ns || ns < stats->tail_from_ns)
		return;
	stats->tail.calls += calls;
	stats->tail.wall_ns += ns * calls;
	stats->tail.wait_ns[WAIT_NET] += ns * calls / 2;
}

static void count_calls(struct fixture *f, uint32_t slot, unsigned int calls)
{
	count_long_calls(f, slot, calls, 1000);
}

static struct profile *drained(struct fixture *f, enum ring_state ring)
{
	struct window window = {.start_ns = 1, .end_ns = 1000000000};

	collector__drain(f->collector, ring, free_slot, f);
	return collector__profile(f->collector, &window);
}

/* The profile has one function, this one, called so often. */
static void assert_only(struct profile *profile, const char *name, unsigned int calls)
{
	assert_non_null(profile);
	assert_int_equal(profile->function_count, 1);
	assert_string_equal(profile->functions[0].function, name);
	assert_int_equal(profile->functions[0].calls, calls);
	assert_int_equal(profile->functions[0].wall.count, calls);
	profile__free(profile);
}

static void assert_nothing(struct profile *profile)
{
	assert_non_null(profile);
	assert_int_equal(profile->function_count, 0);
	profile__free(profile);
}

static void only_what_a_window_gained(void **state)
{
	struct fixture *f = *state;

	tell_name(f, 0, "work");
	count_calls(f, 0, 3);
	assert_only(drained(f, RING_READ), "work", 3);
	assert_nothing(drained(f, RING_READ));
	count_calls(f, 0, 2);
	assert_only(drained(f, RING_READ), "work", 2);
}

static uint64_t probed_in(struct fixture *f, uint64_t start, uint64_t end)
{
	struct window window = {.start_ns = start, .end_ns = end};
	struct profile *profile = collector__profile(f->collector, &window);
	uint64_t probed;

	assert_non_null(profile);
	probed = profile->probed_ns;
	profile__free(profile);
	return probed;
}

static void probed_time_is_the_window_s(void **state)
{
	struct fixture *f = *state;

	count_calls(f, 0, 1);
	collector__drain(f->collector, RING_READ, free_slot, f);
	collector__probed(f->collector, TGID, true, 400);
	assert_int_equal(probed_in(f, 1, 1000), 600);
	assert_int_equal(probed_in(f, 1000, 2000), 1000);
	collector__probed(f->collector, TGID, false, 2100);
	assert_int_equal(probed_in(f, 2000, 3000), 100);
	assert_int_equal(probed_in(f, 3000, 4000), 0);
}

/* It began between the last look into the ring and the counters': nothing of it is lost. */
static void name_comes_after_the_counts(void **state)
{
	struct fixture *f = *state;

	count_calls(f, 0, 3);
	assert_nothing(drained(f, RING_READ));
	tell_name(f, 0, "work");
	count_calls(f, 0, 2);
	assert_only(drained(f, RING_READ), "work", 5);
}

static void name_never_comes(void **state)
{
	struct fixture *f = *state;

	count_calls(f, 2, 3);
	assert_nothing(drained(f, RING_READ));
	assert_only(drained(f, RING_READ), "<name lost 2>", 3);
	tell_name(f, 2, "work"); /* it was sent again */
	count_calls(f, 2, 1);
	assert_only(drained(f, RING_READ), "work", 1);
}

static void ring_not_read_says_nothing_of_names(void **state)
{
	struct fixture *f = *state;

	count_calls(f, 0, 3);
	for (int i = 0; i < 3; i++)
		collector__drain(f->collector, RING_UNREAD, free_slot, f);
	tell_name(f, 0, "work");
	assert_only(drained(f, RING_READ), "work", 3);
}

static void no_name_by_the_end(void **state)
{
	struct fixture *f = *state;

	count_calls(f, 1, 3);
	assert_only(drained(f, RING_OVER), "<name lost 1>", 3);
}

static void no_name_by_its_process_s_end(void **state)
{
	struct fixture *f = *state;

	count_calls(f, 1, 3);
	collector__end_process(f->collector, TGID, 500);
	assert_only(drained(f, RING_READ), "<name lost 1>", 3);
	assert_int_equal(f->freed, 1u << 1);
	assert_nothing(drained(f, RING_READ));
}

static void assert_tail(const struct profile_tail *tail, uint64_t calls, uint64_t of_calls,
			uint64_t ns)
{
	assert_int_equal(tail->calls, calls);
	assert_int_equal(tail->of_calls, of_calls);
	assert_int_equal(tail->wall_ns, calls * ns);
	assert_int_equal(tail->wait_ns[WAIT_NET], calls * ns / 2);
	assert_int_equal(tail->wait_ns[WAIT_GIL], 0);
}

static void renew(struct fixture *f, uint64_t now_ns)
{
	collector__drain(f->collector, RING_UNREAD, free_slot, f);
	collector__renew_tails(f->collector, now_ns);
}

/* Twenty calls and a second on it is known which are slow, in all slots of a function. */
static void slow_calls_of_a_function(void **state)
{
	struct fixture *f = *state;
	uint64_t bound = bucket_upper_ns[bucket_of(1000)];
	struct profile *profile;

	tell_name(f, 0, "work");
	tell_name(f, 1, "work");
	count_calls(f, 0, 19);
	renew(f, SECOND);
	assert_int_equal(f->stats[0].tail_from_ns, 0);
	count_calls(f, 0, 21);
	count_long_calls(f, 0, 1, 50000); /* nothing tells it from others yet */
	renew(f, 2 * SECOND);
	assert_int_equal(f->stats[0].tail_from_ns, bound + 1);
	assert_int_equal(f->stats[1].tail_from_ns, 0); /* not used yet */
	count_calls(f, 0, 100);
	count_long_calls(f, 0, 3, 50000);
	count_calls(f, 1, 10);
	renew(f, 3 * SECOND);
	assert_int_equal(f->stats[1].tail_from_ns, bound + 1);
	count_long_calls(f, 1, 2, 50000);
	profile = drained(f, RING_READ);
	assert_int_equal(profile->function_count, 1);
	assert_int_equal(profile->functions[0].calls, 41 + 103 + 12);
	assert_tail(&profile->functions[0].tail, 5, 105, 50000);
	assert_int_equal(profile->functions[0].tail.above_ns, bound);
	assert_int_equal(profile->functions[0].tail.above_most_ns, bound);
	profile__free(profile);
}

/* In another window there is nothing of the first, and the threshold is there from its start. */
static void slow_calls_of_a_window(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;

	tell_name(f, 0, "work");
	count_calls(f, 0, 100);
	renew(f, SECOND);
	count_long_calls(f, 0, 4, 50000);
	profile__free(drained(f, RING_READ));
	count_calls(f, 0, 7);
	profile = drained(f, RING_READ);
	assert_tail(&profile->functions[0].tail, 0, 7, 50000);
	assert_int_equal(profile->functions[0].tail.above_ns, bucket_upper_ns[bucket_of(1000)]);
	profile__free(profile);
	assert_nothing(drained(f, RING_READ));
}

/* Calls get slower, and the threshold follows: each window tells those that were in force in it. */
static void threshold_moves(void **state)
{
	struct fixture *f = *state;
	uint64_t low = bucket_upper_ns[bucket_of(1000)], high = bucket_upper_ns[bucket_of(70000)];
	struct profile *profile;

	tell_name(f, 0, "work");
	count_calls(f, 0, 100);
	renew(f, SECOND);
	count_long_calls(f, 0, 900, 70000);
	renew(f, 2 * SECOND); /* 900 met the old one, none the new one */
	assert_int_equal(f->stats[0].tail_from_ns, high + 1);
	profile = drained(f, RING_READ);
	assert_tail(&profile->functions[0].tail, 900, 900, 70000);
	assert_int_equal(profile->functions[0].tail.above_ns, low);
	assert_int_equal(profile->functions[0].tail.above_most_ns, low);
	profile__free(profile);
	count_calls(f, 0, 5);
	count_long_calls(f, 0, 5, 900000);
	profile = drained(f, RING_READ);
	assert_tail(&profile->functions[0].tail, 5, 10, 900000);
	assert_int_equal(profile->functions[0].tail.above_ns, high);
	assert_int_equal(profile->functions[0].tail.above_most_ns, high);
	profile__free(profile);
	/* the old times are forgotten in two steps */
	for (int i = 1; i < 4; i++) {
		count_calls(f, 0, 2000);
		renew(f, i * 10 * SECOND);
	}
	assert_int_equal(f->stats[0].tail_from_ns, low + 1);
	count_calls(f, 0, 1);
	profile = drained(f, RING_READ);
	assert_int_equal(profile->functions[0].tail.above_ns, low);
	assert_int_equal(profile->functions[0].tail.above_most_ns, high);
	profile__free(profile);
}

/* What was counted without a name, slow calls included, is the function's when it comes. */
static void slow_calls_under_a_late_name(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;

	count_calls(f, 0, 100);
	collector__drain(f->collector, RING_READ, free_slot, f);
	collector__drain(f->collector, RING_READ, free_slot, f);
	renew(f, SECOND);
	count_long_calls(f, 0, 3, 50000);
	renew(f, 2 * SECOND);
	tell_name(f, 0, "work");
	profile = drained(f, RING_READ);
	assert_int_equal(profile->function_count, 1);
	assert_tail(&profile->functions[0].tail, 3, 3, 50000);
	profile__free(profile);
}

/* A call of slot 0 waited mostly for this. */
static void tell_slow(struct fixture *f, enum wait_class wait_class, uint32_t what, uint64_t ns)
{
	struct record_slow record = {
		.kind = RECORD_SLOW,
		.tgid = TGID,
		.wait_class = wait_class,
		.what = what,
		.ns = ns,
	};

	collector__record(f->collector, &record, sizeof(record));
}

static void tell_target(struct fixture *f, uint32_t id, const char *name)
{
	struct record_target record = {
		.kind = RECORD_TARGET,
		.id = id,
		.key = {.kind = TARGET_UNIX, .id = {id, strlen(name)}},
	};

	memcpy(record.name, name, strlen(name));
	collector__record(f->collector, &record, sizeof(record));
}

struct want_cause {
	enum wait_class wait_class;
	const char *function, *target;
	uint64_t calls, ns;
};

static void assert_causes(struct profile *profile, const struct want_cause *want, size_t count)
{
	const struct profile_tail *tail = &profile->functions[0].tail;

	assert_string_equal(profile->functions[0].function, "work");
	assert_int_equal(tail->cause_count, count);
	for (size_t i = 0; i < count; i++) {
		const struct profile_cause *cause = &tail->causes[i];

		assert_int_equal(cause->wait_class, want[i].wait_class);
		assert_string_equal(cause->function ?: "", want[i].function ?: "");
		assert_string_equal(cause->target ?: "", want[i].target ?: "");
		assert_int_equal(cause->calls, want[i].calls);
		assert_int_equal(cause->ns, want[i].ns);
	}
	profile__free(profile);
}

/* A number is a function's slot where another thread is the cause, else that of a target. */
static void causes_of_slow_calls(void **state)
{
	static const struct want_cause want[] = {
		{WAIT_NET, NULL, "unix:/run/db", 2, 900}, {WAIT_LOCK, "holds", NULL, 1, 80},
		{WAIT_GIL, "holds", NULL, 3, 60},         {WAIT_NET, NULL, "unix:/run/mq", 1, 50},
		{WAIT_DISK, NULL, "unix:/run/db", 1, 40}, {WAIT_NET, NULL, NULL, 2, 30},
		{WAIT_SLEEP, NULL, NULL, 1, 20},          {WAIT_LOCK, NULL, NULL, 1, 10},
	};
	static const struct want_cause later[] = {{WAIT_NET, NULL, "unix:/run/db", 1, 5}};
	struct fixture *f = *state;

	tell_name(f, 0, "work");
	tell_name(f, 1, "holds");
	tell_target(f, 1, "/run/db");
	tell_target(f, 2, "/run/mq");
	count_calls(f, 0, 100);
	renew(f, SECOND);
	count_long_calls(f, 0, 12, 50000);
	tell_slow(f, WAIT_NET, 1, 400);
	tell_slow(f, WAIT_NET, 2, 50);
	tell_slow(f, WAIT_NET, 1, 500);
	tell_slow(f, WAIT_DISK, 1, 40);
	tell_slow(f, WAIT_LOCK, 1, 80);
	for (int i = 0; i < 3; i++)
		tell_slow(f, WAIT_GIL, 1, 20);
	tell_slow(f, WAIT_NET, 0, 10); /* not known, and never told: no target either way */
	tell_slow(f, WAIT_NET, 3, 20);
	tell_slow(f, WAIT_SLEEP, 0, 20);
	tell_slow(f, WAIT_LOCK, NO_FUNCTION, 10);
	tell_slow(f, WAIT_CLASSES, 1, 1000); /* nonsense */
	assert_causes(drained(f, RING_READ), want, sizeof(want) / sizeof(*want));
	/* another window has its own */
	count_long_calls(f, 0, 1, 50000);
	tell_slow(f, WAIT_NET, 1, 5);
	assert_causes(drained(f, RING_READ), later, 1);
}

static void tell_record(struct fixture *f, struct record_wait record)
{
	record.kind = RECORD_WAIT;
	record.tgid = record.tid = TGID;
	record.function = NO_FUNCTION;
	collector__record(f->collector, &record, sizeof(record));
}

static void tell_wait(struct fixture *f, enum wait_class wait_class, uint64_t wait_ns,
		      uint64_t runq_ns)
{
	tell_record(f, (struct record_wait){.total_ns = wait_ns,
					    .new_ns = wait_ns,
					    .runq_ns = runq_ns,
					    .wait_class = wait_class,
					    .flags = WAIT_DONE,
					    .runq_total_ns = runq_ns});
}

static void tell_vain(struct fixture *f, uint8_t flags, uint64_t wait_ns, uint64_t oncpu_ns)
{
	tell_record(f, (struct record_wait){.total_ns = wait_ns,
					    .new_ns = wait_ns,
					    .oncpu_ns = oncpu_ns,
					    .wait_class = WAIT_NET,
					    .flags = flags});
}

static void assert_waits(struct fixture *f, uint64_t count, uint64_t sum_ns, uint64_t max_ns)
{
	struct profile *profile = drained(f, RING_READ);
	const struct profile_wait *found = NULL;

	for (size_t i = 0; i < profile->wait_count; i++)
		if (profile->waits[i].wait_class == WAIT_NET)
			found = &profile->waits[i];
	assert_non_null(found);
	assert_int_equal(found->time.count, count);
	assert_int_equal(found->time.sum_ns, sum_ns);
	assert_int_equal(histogram_bucket(&found->time, bucket_of(max_ns)), 1);
	profile__free(profile);
}

/* Woken in vain it sleeps on: one wait.  One that ran for long had what it waited for. */
static void waits_that_are_woken_in_vain(void **state)
{
	struct fixture *f = *state;

	tell_vain(f, WAIT_IN_VAIN, 100000, 400000);
	tell_wait(f, WAIT_RUNQ, 0, 70);
	tell_vain(f, WAIT_IN_VAIN, 200000, 5000);
	tell_vain(f, WAIT_DONE, 300000, 5000);
	assert_waits(f, 1, 600000, 600000);
	tell_vain(f, WAIT_IN_VAIN, 100000, 400000);
	tell_vain(f, WAIT_DONE, 300000, 400000);
	assert_waits(f, 2, 400000, 300000);
	tell_vain(f, WAIT_IN_VAIN, 100000, 400000);
	tell_wait(f, WAIT_SLEEP, 1000, 0);
	tell_vain(f, WAIT_DONE, 300000, 1000);
	assert_waits(f, 2, 400000, 300000);
}

/* Waits told together are as many told one by one. */
static void waits_told_together(void **state)
{
	struct record_waits many = {
		.sum = {.kind = RECORD_WAITS,
			.tgid = TGID,
			.tid = TGID,
			.function = NO_FUNCTION,
			.wait_class = WAIT_NET,
			.flags = WAIT_DONE | WAIT_BLOCK_IO,
			.total_ns = 1003000,
			.new_ns = 1003000,
			.runq_ns = 70,
			.runq_total_ns = 70,
			.oncpu_ns = 40},
		.count = 4,
		.each = {{1000, 30}, {1000, 0}, {1000000, 40}, {1000, 0}},
	};
	struct fixture *f = *state;
	struct profile *profile;
	size_t told = offsetof(struct record_waits, each) + 4 * sizeof(many.each[0]);

	collector__record(f->collector, &many, told - 1); /* one is cut off: it is no record */
	collector__record(f->collector, &many, told);
	profile = drained(f, RING_READ);
	assert_int_equal(profile->wait_count, 2);
	for (size_t i = 0; i < profile->wait_count; i++) {
		const struct profile_wait *wait = &profile->waits[i];
		bool is_net = wait->wait_class == WAIT_NET;

		assert_int_equal(wait->time.count, is_net ? 4 : 2);
		assert_int_equal(wait->time.sum_ns, is_net ? 1003000 : 70);
		assert_int_equal(histogram_bucket(&wait->time, bucket_of(1000)), is_net ? 3 : 0);
		assert_int_equal(wait->time.max_ns, is_net ? 1000000 : 40);
		assert_int_equal(wait->block_io, is_net ? 4 : 0);
	}
	assert_int_equal(profile->threads[0].oncpu_ns, 40);
	profile__free(profile);
}

/* Ready to run after a wait, or because others took the CPU. */
static void run_queue_after_waits_and_after_running(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;

	tell_wait(f, WAIT_RUNQ, 0, 70);
	tell_wait(f, WAIT_SLEEP, 1000, 5);
	tell_wait(f, WAIT_GIL, 1000, 0);
	tell_wait(f, WAIT_NET, 1000, 7);
	tell_wait(f, WAIT_RUNQ, 0, 30);
	profile = drained(f, RING_READ);
	assert_int_equal(profile->thread_count, 1);
	assert_int_equal(profile->threads[0].wait_ns[WAIT_RUNQ], 112);
	assert_int_equal(profile->threads[0].preempted_ns, 100);
	assert_int_equal(profile->processes[0].preempted_ns, 100);
	assert_int_equal(profile->processes[0].woken_late_ns, 12);
	profile__free(profile);
	tell_wait(f, WAIT_SLEEP, 1000, 5);
	profile = drained(f, RING_READ);
	assert_int_equal(profile->processes[0].preempted_ns, 0);
	assert_int_equal(profile->processes[0].woken_late_ns, 5);
	profile__free(profile);
}

/* It is forgotten, but that calls which go on have begun. */
static void what_comes_before_the_first_window(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;

	tell_name(f, 0, "work");
	collector__probed(f->collector, TGID, true, 100);
	count_calls(f, 0, 3);
	f->stats[0].calls++; /* this one goes on */
	tell_wait(f, WAIT_SLEEP, 1000, 5);
	tell_wait(f, WAIT_GIL, 1000, 0);
	collector__drain(f->collector, RING_READ, free_slot, f);
	collector__begin(f->collector, 600);
	count_calls(f, 0, 2);
	f->stats[0].exits++;
	tell_wait(f, WAIT_NET, 70, 0);
	profile = drained(f, RING_READ);
	assert_int_equal(profile->function_count, 1);
	assert_int_equal(profile->functions[0].calls, 2);
	assert_int_equal(profile->functions[0].wall.censored, 0);
	assert_int_equal(profile->wait_count, 1);
	assert_int_equal(profile->waits[0].time.sum_ns, 70);
	assert_int_equal(profile->gil_count, 0);
	assert_int_equal(profile->threads[0].wait_ns[WAIT_SLEEP], 0);
	assert_int_equal(profile->threads[0].wait_ns[WAIT_RUNQ], 0);
	assert_int_equal(profile->threads[0].wait_ns[WAIT_NET], 70);
	assert_int_equal(profile->probed_ns, SECOND - 600);
	profile__free(profile);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_what_a_window_gained),
		TEST(probed_time_is_the_window_s),
		TEST(name_comes_after_the_counts),
		TEST(name_never_comes),
		TEST(ring_not_read_says_nothing_of_names),
		TEST(no_name_by_the_end),
		TEST(no_name_by_its_process_s_end),
		TEST(slow_calls_of_a_function),
		TEST(slow_calls_of_a_window),
		TEST(threshold_moves),
		TEST(slow_calls_under_a_late_name),
		TEST(causes_of_slow_calls),
		TEST(waits_that_are_woken_in_vain),
		TEST(waits_told_together),
		TEST(run_queue_after_waits_and_after_running),
		TEST(what_comes_before_the_first_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
