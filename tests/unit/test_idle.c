/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which waits are for want of work, by who waits and for whom; and what a process is said to be
 * limited by where they are not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../user/judge/idle.h"
#include "../../user/judge/limit.h"
#include "sample_profile.h"

#define LIB "/usr/lib/python3.13/"
#define PACKAGES "/srv/venv/lib/python3.13/site-packages/"

static struct profile_wait *add_wait(struct profile *profile, enum wait_class wait_class,
				     const char *syscall, const char *function, const char *file,
				     const char *caller, const char *caller_file)
{
	struct profile_wait *wait =
		sample_wait(profile, 5, wait_class, syscall, function, file, 10);

	if (caller) {
		wait->caller.function = sample_text(caller);
		wait->caller.file = sample_text(caller_file);
		wait->caller.line = 20;
	}
	return wait;
}

enum told { HELD_UP, IDLE, EVENT_LOOP };

static void is_told(enum told told, enum wait_class wait_class, const char *syscall,
		    const char *function, const char *file, const char *caller,
		    const char *caller_file)
{
	struct profile *profile = sample_empty();
	struct profile_wait *wait =
		add_wait(profile, wait_class, syscall, function, file, caller, caller_file);

	if (wait_is_idle(wait) != (told != HELD_UP) ||
	    wait_is_event_loop(wait) != (told == EVENT_LOOP))
		fail_msg("%s of %s, for %s of %s", function, file, caller, caller_file);
	profile__free(profile);
}

/* In Condition.wait(), for that one: both as versions without qualified names have it and not. */
static void in_condition(enum told told, const char *caller, const char *caller_file)
{
	is_told(told, WAIT_LOCK, "futex", "Condition.wait", LIB "threading.py", caller,
		caller_file);
	is_told(told, WAIT_LOCK, "futex", "wait", "/usr/lib/python3.9/threading.py", caller,
		caller_file);
}

static void conditions_of_the_library(void **state)
{
	(void)state;
	in_condition(IDLE, "Event.wait", LIB "threading.py");
	in_condition(IDLE, "wait", "/usr/lib/python3.9/threading.py");
	in_condition(IDLE, "Queue.get", LIB "queue.py");
	in_condition(IDLE, "Queue.join", LIB "queue.py");
	in_condition(IDLE, "Future.result", LIB "concurrent/futures/_base.py");
	in_condition(IDLE, NULL, NULL);
	in_condition(HELD_UP, "Semaphore.acquire", LIB "threading.py");
	in_condition(HELD_UP, "Barrier._wait", LIB "threading.py");
	in_condition(HELD_UP, "Queue.put", LIB "queue.py");
	in_condition(HELD_UP, "put", "/usr/lib/python3.9/queue.py");
}

/* Only who ends the wait tells what it is for. */
static void conditions_of_the_program(void **state)
{
	static const char *const files[] = {"/srv/shop/pool.py",
					    PACKAGES "sqlalchemy/util/queue.py"};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct profile *profile = sample_empty();
		struct profile_wait *wait = add_wait(profile, WAIT_LOCK, "futex", "Condition.wait",
						     LIB "threading.py", "Queue.get", files[i]);

		assert_true(wait_is_idle(wait));
		wait->by_peer = true;
		assert_false(wait_is_idle(wait));
		profile__free(profile);
	}
}

/* What the library itself waits for is known, whoever ends it. */
static void peers_that_fill_each_others_queue(void **state)
{
	struct profile *profile = sample_empty();
	struct profile_wait *wait = add_wait(profile, WAIT_LOCK, "futex", "Condition.wait",
					     LIB "threading.py", "Queue.get", LIB "queue.py");

	(void)state;
	wait->by_peer = true;
	assert_true(wait_is_idle(wait));
	profile__free(profile);
}

static void locks_of_processes(void **state)
{
	const char *file = LIB "multiprocessing/synchronize.py";

	(void)state;
	is_told(IDLE, WAIT_LOCK, "futex", "SemLock.__enter__", file, "SimpleQueue.get",
		LIB "multiprocessing/queues.py");
	is_told(HELD_UP, WAIT_LOCK, "futex", "SemLock.__enter__", file, "update", "/srv/shop/x.py");
}

static void selectors(void **state)
{
	const char *file = LIB "selectors.py", *loop = LIB "asyncio/base_events.py";
	const char *own = "/srv/shop/x.py";

	(void)state;
	is_told(EVENT_LOOP, WAIT_POLL, "epoll_wait", "EpollSelector.select", file,
		"BaseEventLoop._run_once", loop);
	is_told(EVENT_LOOP, WAIT_NET, "epoll_wait", "EpollSelector.select", file,
		"BaseEventLoop._run_once", loop);
	is_told(EVENT_LOOP, WAIT_NET, "poll", "_PollLikeSelector.select", file,
		"BaseServer.serve_forever", LIB "socketserver.py");
	is_told(EVENT_LOOP, WAIT_POLL, "epoll_wait", "EpollSelector.select", file,
		"ThreadWorker.run", PACKAGES "gunicorn/workers/gthread.py");
	is_told(EVENT_LOOP, WAIT_POLL, "epoll_wait", "EpollSelector.select", file, NULL, NULL);
	is_told(IDLE, WAIT_POLL, "epoll_wait", "EpollSelector.select", file, "serve", own);
	is_told(IDLE, WAIT_NET, "poll", "_PollLikeSelector.select", file, "wait",
		LIB "multiprocessing/connection.py");
	is_told(HELD_UP, WAIT_NET, "epoll_wait", "EpollSelector.select", file, "wait_selector",
		PACKAGES "psycopg/waiting.py");
	is_told(HELD_UP, WAIT_POLL, "poll", "_PollLikeSelector.select", file, "Popen._communicate",
		LIB "subprocess.py");
	is_told(HELD_UP, WAIT_SLEEP, "clock_nanosleep", "Popen._wait", LIB "subprocess.py", NULL,
		NULL);
	is_told(EVENT_LOOP, WAIT_POLL, "epoll_wait", "run", LIB "asyncio/runners.py", NULL, NULL);
}

/* A thread that waited all of ten seconds, in one place. */
static struct profile *waited(enum wait_class wait_class, const char *syscall, const char *function,
			      const char *file, const char *caller, const char *caller_file)
{
	struct profile *profile = sample_empty();
	struct profile_wait *wait;

	sample_process(profile, 5, "python3 x.py", 1)->oncpu_ns = 100 * MS;
	sample_thread(profile, 5, 5, 100 * MS)->wait_ns[wait_class] = 9900 * MS;
	wait = add_wait(profile, wait_class, syscall, function, file, caller, caller_file);
	histogram_add(&wait->time, 9900 * MS);
	return profile;
}

/* Frames of names that are made up for it, the innermost first. */
static void add_stack(struct profile *profile, enum wait_class part, const char *const (*frames)[2],
		      size_t count)
{
	struct profile_stack *stack = profile__add_stack(profile);

	stack->tgid = 5;
	stack->part = part;
	stack->ns = 9900 * MS;
	stack->count = 1;
	stack->frames = calloc(count, sizeof(*stack->frames));
	stack->frame_count = count;
	for (size_t i = 0; i < count; i++) {
		struct profile_name *name = profile__add_name(profile);

		stack->frames[i] = profile->name_count - 1;
		name->function = sample_text(frames[i][0]);
		name->file = sample_text(frames[i][1]);
		name->line = 10 + 10 * i;
	}
}

static void judged(struct profile *profile, const char *verdict, const char *words)
{
	struct limit limit;
	char line[512];

	limit_of_process(profile, &profile->processes[0], &limit);
	limit_line(&limit, line, sizeof(line));
	assert_string_equal(limit.verdict, verdict);
	if (!strstr(line, words))
		fail_msg("\"%s\" lacks \"%s\"", line, words);
	profile__free(profile);
}

static void a_semaphore_is_named(void **state)
{
	static const char *const frames[][2] = {{"Condition.wait", LIB "threading.py"},
						{"Semaphore.acquire", LIB "threading.py"},
						{"handle", "/srv/shop/x.py"}};
	struct profile *profile =
		waited(WAIT_LOCK, "futex", frames[0][0], frames[0][1], frames[1][0], frames[1][1]);

	(void)state;
	add_stack(profile, WAIT_LOCK, frames, 3);
	profile->waits[0].waker = sample_text("release_slot");
	judged(profile, "lock",
	       "99 % of active time, most of it in Semaphore.acquire(), called from handle(), "
	       "ended by release_slot()");
}

/* Of class `poll`, which is idle, or `pipe`; but it is the child's time. */
static void the_output_of_a_child(void **state)
{
	static const char *const frames[][2] = {{"_PollLikeSelector.select", LIB "selectors.py"},
						{"Popen._communicate", LIB "subprocess.py"},
						{"Popen.communicate", LIB "subprocess.py"},
						{"convert", "/srv/shop/x.py"}};
	struct profile *profile;

	(void)state;
	profile = waited(WAIT_POLL, "poll", frames[0][0], frames[0][1], frames[1][0], frames[1][1]);
	profile->waits[0].target = sample_text("2 fds");
	add_stack(profile, WAIT_POLL, frames, 4);
	judged(profile, "child",
	       "(child) 99 % of active time, most of it in Popen._communicate(), called from "
	       "convert(); on-CPU");
	profile = waited(WAIT_PIPE, "read", frames[2][0], frames[2][1], NULL, NULL);
	add_stack(profile, WAIT_PIPE, frames + 2, 2);
	judged(profile, "child", "most of it in Popen.communicate(), called from convert()");
}

/* Poll time beside it stays what it was. */
static void of_poll_time_only_that(void **state)
{
	struct profile *profile =
		waited(WAIT_POLL, "poll", "_PollLikeSelector.select", LIB "selectors.py",
		       "Popen._communicate", LIB "subprocess.py");
	struct limit limit;

	(void)state;
	sample_thread(profile, 5, 6, 0)->wait_ns[WAIT_POLL] = 10 * SECOND;
	limit_of_process(profile, &profile->processes[0], &limit);
	assert_int_equal(limit.busy_ns[WAIT_CHILD], 9900 * MS);
	assert_int_equal(limit.busy_ns[WAIT_POLL], 0);
	assert_int_equal(limit.idle_ns[WAIT_POLL], 10 * SECOND);
	assert_int_equal(limit.idle_ns[WAIT_CHILD], 0);
	profile__free(profile);
}

/*
 * Two spinners beside others on one CPU: they run a quarter of the time and want the GIL all of it.
 * Only where one sleeps with the GIL is native code to blame.
 */
static void who_keeps_the_gil_asleep(void **state)
{
	static const uint64_t held_ms[] = {0, 4900, 5100};

	(void)state;
	for (size_t i = 0; i < sizeof(held_ms) / sizeof(*held_ms); i++) {
		struct profile *profile =
			waited(WAIT_SLEEP, "clock_nanosleep", "doze", "x.py", NULL, NULL);
		struct profile_thread *thread = sample_thread(profile, 5, 6, 2500 * MS);
		struct limit limit;

		profile->processes[0].oncpu_ns = thread->oncpu_ns;
		thread->wait_ns[WAIT_GIL] = 10 * SECOND;
		thread->wait_ns[WAIT_RUNQ] = 7500 * MS;
		histogram_add(
			&add_wait(profile, WAIT_GIL, "futex", "burn", "x.py", NULL, NULL)->time,
			10 * SECOND);
		profile->waits[0].held_gil_ns = held_ms[i] * MS;
		limit_of_process(profile, &profile->processes[0], &limit);
		assert_string_equal(limit.verdict, "gil");
		assert_int_equal(!!strstr(limit.cause, "native code"), held_ms[i] > 5000);
		profile__free(profile);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_of_the_library),
		cmocka_unit_test(conditions_of_the_program),
		cmocka_unit_test(peers_that_fill_each_others_queue),
		cmocka_unit_test(locks_of_processes),
		cmocka_unit_test(selectors),
		cmocka_unit_test(a_semaphore_is_named),
		cmocka_unit_test(the_output_of_a_child),
		cmocka_unit_test(of_poll_time_only_that),
		cmocka_unit_test(who_keeps_the_gil_asleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
