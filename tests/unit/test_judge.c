/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Quantiles, globs, sort orders, and what a process is said to be limited by (the rules one by
 * one: test_judge_files.c).
 * Links: user/profile.c, and all of user/judge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "../../user/judge/glob.h"
#include "../../user/judge/idle.h"
#include "../../user/judge/limit.h"
#include "../../user/judge/quantile.h"
#include "../../user/judge/rules.h"
#include "../../user/judge/select.h"
#include "sample_profile.h"

static int compare_ns(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void quantiles_are_within_a_bucket(void **state)
{
	static const double qs[] = {0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999};
	static uint64_t raw[20000];
	uint64_t seed = 99;

	(void)state;
	for (int round = 0; round < 40; round++) {
		size_t n = 2 + sample_random(&seed) % (sizeof(raw) / sizeof(raw[0]) - 2);
		struct histogram h = {0};

		for (size_t i = 0; i < n; i++) {
			raw[i] = 200 + (sample_random(&seed) >> (24 + sample_random(&seed) % 30));
			histogram_add(&h, raw[i]);
		}
		qsort(raw, n, sizeof(raw[0]), compare_ns);
		for (size_t k = 0; k < sizeof(qs) / sizeof(qs[0]); k++) {
			uint64_t exact = raw[(size_t)fmax(ceil(qs[k] * (double)n) - 1, 0)];
			double ns = histogram_quantile_ns(&h, qs[k]);
			uint32_t bucket = bucket_of(exact);

			assert_true(ns <= (double)bucket_upper_ns[bucket] + 1);
			assert_true(ns >= (double)bucket_upper_ns[bucket] / exp2(0.125) - 1);
		}
		assert_true(histogram_quantile_ns(&h, 1) == (double)h.max_ns);
		assert_true(histogram_quantile_ns(&h, 0) >= (double)h.min_ns);
		histogram_clear(&h);
	}
}

static void quantiles_at_the_edges(void **state)
{
	struct histogram h = {0};

	(void)state;
	assert_true(isnan(histogram_quantile_ns(&h, 0.5)));
	h.censored = 3;
	assert_true(isnan(histogram_quantile_ns(&h, 0.5)));
	histogram_add(&h, 5070123);
	assert_true(histogram_quantile_ns(&h, 0) == 5070123);
	assert_true(histogram_quantile_ns(&h, 0.5) == 5070123);
	assert_true(histogram_quantile_ns(&h, 0.99) == 5070123);
	for (int i = 0; i < 100; i++)
		histogram_add(&h, 5070123);
	assert_true(histogram_quantile_ns(&h, 0.95) == 5070123);
	assert_true(isnan(histogram_quantile_ns(&h, NAN)));

	/* Of no length at all, and then one that is not. */
	histogram_clear(&h);
	histogram_add(&h, 0);
	assert_true(histogram_quantile_ns(&h, 0) == 0);
	assert_true(histogram_quantile_ns(&h, 1) == 0);
	histogram_add(&h, 2);
	assert_true(histogram_quantile_ns(&h, 0) <= 2);
	assert_true(histogram_quantile_ns(&h, 1) == 2);

	/* The two open ends. */
	histogram_clear(&h);
	histogram_add(&h, 3);
	assert_true(histogram_quantile_ns(&h, 0.5) == 3);
	histogram_add(&h, 20000 * SECOND);
	assert_true(histogram_quantile_ns(&h, 0.99) == 20000.0 * SECOND);

	/* Without extremes, as after subtracting two readings. */
	h.min_ns = h.max_ns = 0;
	assert_true(histogram_quantile_ns(&h, 0.5) <= (double)bucket_upper_ns[0] + 1e-6);
	histogram_clear(&h);
}

static void globs_match_every_name_of_a_function(void **state)
{
	static const char file[] = "/usr/lib/x/a/b.py";
	static const char *const yes[] = {
		"C.m",
		"m",
		"C.*",
		"b.C.m",
		"a.b.C.m",
		"x.a.b.C.m",
		"usr.lib.x.a.b.C.m",
		"a.b.*",
		"b.py:C.m",
		"b.py:m",
		"b.py:12",
		"a/b.py:12",
		"/usr/lib/x/a/b.py:C.m",
		"*/b.py:*",
		"*",
		"[Cc].m",
		"b.C.?",
	};
	static const char *const no[] = {
		"C",     "n",        "b.m",   "c.C.m", "b.py", "b.py:1", "b.py:13",
		"py:12", "/b.py:12", "b:C.m", "",      ":",    "ab.C.m", "b.C",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (!glob_matches(yes[i], "C.m", file, 12))
			fail_msg("\"%s\" should match", yes[i]);
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if (glob_matches(no[i], "C.m", file, 12))
			fail_msg("\"%s\" should not match", no[i]);
	}
}

static void globs_know_odd_modules(void **state)
{
	char endless[5000];

	(void)state;
	assert_true(glob_matches("a.C.m", "C.m", "/x/a/__init__.py", 1));
	assert_true(glob_matches("x.a.C.m", "C.m", "/x/a/__init__.py", 1));
	assert_false(glob_matches("__init__.C.m", "C.m", "/x/a/__init__.py", 1));
	assert_true(glob_matches("__init__.py:m", "C.m", "/x/a/__init__.py", 1));
	assert_true(
		glob_matches("importlib._bootstrap.f", "f", "<frozen importlib._bootstrap>", 1));
	assert_true(glob_matches("app.f", "f", "app.py", 1));
	assert_true(glob_matches("app.py:3", "f", "app.py", 3));
	assert_true(glob_matches("g", "f.<locals>.g", "app.py", 3));
	assert_true(glob_matches("<string>:f", "f", "<string>", 3));
	assert_false(glob_matches("string.f", "f", "<string>", 3));
	assert_false(glob_matches("*", "", "", 0));
	assert_false(glob_matches("*", NULL, NULL, 0));
	assert_true(glob_matches("f", "f", NULL, 0));
	assert_false(glob_matches("x.f", "f", "", 0));
	assert_false(glob_matches("x.f", "f", "/", 0));
	assert_false(glob_matches("x.f", "f", ".py", 0));
	assert_true(glob_matches("*:*", HOSTILE_NAME, HOSTILE_NAME, 0));
	memset(endless, '/', sizeof(endless));
	endless[sizeof(endless) - 1] = '\0';
	assert_false(glob_matches("a.f", "f", endless, 0));
	assert_false(glob_matches("a:f", "f", endless, 0));
}

static void sort_words(void **state)
{
	struct sort_key key;

	(void)state;
	assert_int_equal(sort_key_parse(NULL, &key), 0);
	assert_int_equal(key.kind, SORT_TIME);
	assert_int_equal(sort_key_parse("p99", &key), 0);
	assert_int_equal(key.kind, SORT_P99);
	assert_int_equal(sort_key_parse("runq", &key), 0);
	assert_int_equal(key.kind, SORT_WAIT);
	assert_int_equal(key.wait_class, WAIT_RUNQ);
	assert_int_equal(sort_key_parse("", &key), -EINVAL);
	assert_int_equal(sort_key_parse("speed", &key), -EINVAL);
}

static void functions_are_sorted_by_every_key(void **state)
{
	static const struct {
		const char *word, *first;
	} cases[] = {
		{NULL, "Handler.do_GET"},  {"time", "Handler.do_GET"}, {"self", "Database.query"},
		{"calls", "Cart.total"},   {"p50", "Handler.do_GET"},  {"p95", "Handler.do_GET"},
		{"p99", "Handler.do_GET"}, {"max", "Handler.do_GET"},  {"gil", "Handler.do_GET"},
		{"net", "Database.query"},
	};
	struct profile *profile = sample_profile();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct profile_function **functions;
		struct sort_key key;
		size_t count;

		assert_int_equal(sort_key_parse(cases[i].word, &key), 0);
		assert_int_equal(select_functions(profile, NULL, &key, &functions, &count), 0);
		assert_int_equal(count, profile->function_count);
		/* tgid 900 has one function, 4711 comes next. */
		assert_int_equal(functions[0]->tgid, 900);
		assert_string_equal(functions[1]->function, cases[i].first);
		/* The one no call of which ended is last, whatever the key. */
		if (cases[i].word && cases[i].word[0] == 'p')
			assert_string_equal(functions[count - 1]->function, "serve_forever");
		free(functions);
	}
	profile__free(profile);
}

static void selections_are_narrowed(void **state)
{
	struct profile *profile = sample_profile();
	const struct profile_function **functions;
	const struct profile_wait **waits;
	struct sort_key key = {.kind = SORT_TIME};
	size_t count;

	(void)state;
	assert_int_equal(select_functions(profile, "cart.*", &key, &functions, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(functions[0]->function, "Cart.total");
	free(functions);
	assert_int_equal(select_functions(profile, "nothing", &key, &functions, &count), 0);
	assert_int_equal(count, 0);
	free(functions);
	assert_int_equal(select_waits(profile, "Cart.total", &waits, &count), 0);
	assert_int_equal(count, 1);
	free(waits);
	assert_int_equal(select_waits(profile, NULL, &waits, &count), 0);
	assert_int_equal(count, profile->wait_count);
	for (size_t i = 1; i < count; i++) {
		if (waits[i - 1]->tgid != waits[i]->tgid)
			continue;
		assert_true(wait_is_idle(waits[i - 1]) <= wait_is_idle(waits[i]));
		if (wait_is_idle(waits[i - 1]) == wait_is_idle(waits[i]))
			assert_true(waits[i - 1]->time.sum_ns >= waits[i]->time.sum_ns);
	}
	free(waits);
	profile__free(profile);
}

static void judge(struct profile *profile, const char *verdict, const char *function,
		  const char *words)
{
	char line[512];
	struct limit limit;

	limit_of_process(profile, &profile->processes[0], &limit);
	limit_line(&limit, line, sizeof(line));
	assert_string_equal(limit.verdict, verdict);
	if (function) {
		assert_non_null(limit.function);
		assert_string_equal(limit.function, function);
	}
	if (!strstr(line, words))
		fail_msg("\"%s\" lacks \"%s\"", line, words);
	assert_true(*limit.cause && *limit.next_step);
}

static void judge_samples(void **state)
{
	struct profile *profile = sample_empty();

	(void)state;
	sample_web(profile);
	judge(profile, "gil", "Cart.total",
	      "GIL-bound: threads waited for the GIL 100 % of the time");
	profile__free(profile);

	profile = sample_empty();
	sample_batch(profile);
	judge(profile, "cpu", "burn", "CPU-bound: on-CPU 97 % of a core, most of it in burn()");
	profile__free(profile);

	profile = sample_empty();
	sample_idle(profile);
	judge(profile, "idle", "_worker", "idle: active 0.2 % of the time");
	profile__free(profile);

	profile = sample_empty();
	sample_process(profile, 1, "python3", 1);
	judge(profile, "unknown", NULL, "not enough data: no thread of it ran");
	profile__free(profile);

	/* Nobody knows how long it was watched: no division by zero. */
	profile = sample_empty();
	profile->duration_ns = 0;
	sample_process(profile, 1, "python3", 1)->oncpu_ns = 5;
	judge(profile, "unknown", NULL, "not enough data");
	profile__free(profile);
}

static void two_spinning_threads_are_gil_bound(void **state)
{
	struct profile *profile = sample_empty();
	struct profile_process *process = sample_process(profile, 5, "python3 spin.py", 2);

	(void)state;
	for (uint32_t tid = 5; tid < 7; tid++)
		sample_thread(profile, 5, tid, 5 * SECOND)->wait_ns[WAIT_GIL] = 5 * SECOND;
	process->oncpu_ns = 10 * SECOND;
	histogram_add(&sample_wait(profile, 5, WAIT_GIL, "futex", "burn", "spin.py", 3)->time,
		      10 * SECOND);
	judge(profile, "gil", "burn",
	      "100 % of the time, held by whom is not known; most waited in burn()");
	profile__free(profile);
}

static void one_class(enum wait_class wait_class, const char *syscall, const char *function,
		      const char *file, const char *verdict, const char *words)
{
	struct profile *profile = sample_empty();
	struct profile_process *process = sample_process(profile, 5, "python3 x.py", 1);
	struct profile_thread *thread = sample_thread(profile, 5, 5, 50 * MS);

	process->oncpu_ns = thread->oncpu_ns;
	thread->wait_ns[wait_class] = 9900 * MS;
	histogram_add(&sample_wait(profile, 5, wait_class, syscall, function, file, 10)->time,
		      9900 * MS);
	judge(profile, verdict, function, words);
	profile__free(profile);
}

static void waits_for_work_are_no_limit(void **state)
{
	(void)state;
	one_class(WAIT_LOCK, "futex", "_worker", "/usr/lib/python3.9/concurrent/futures/thread.py",
		  "idle", "waiting for work (lock), most of it in _worker()");
	one_class(WAIT_LOCK, "futex", "Condition.wait", "/usr/lib/python3.13/threading.py", "idle",
		  "lock");
	one_class(WAIT_LOCK, "futex", "wait", "/usr/lib/python3.9/threading.py", "idle", "lock");
	one_class(WAIT_SLEEP, "clock_nanosleep", "main", "x.py", "idle", "asleep (sleep)");
	one_class(WAIT_POLL, "epoll_wait", "EpollSelector.select", "selectors.py", "idle", "poll");
	one_class(WAIT_LOCK, "futex", "SimpleQueue.get", "/usr/lib/python3.13/queue.py", "idle",
		  "lock");
	one_class(WAIT_POLL, "poll", "watch", "x.py", "idle", "waiting for events (poll)");
	one_class(WAIT_NET, "accept4", "accept", "socket.py", "idle", "connections");
}

/* A server's thread, and a client's: the target tells them apart. */
static void a_client_is_waited_for_idly(void **state)
{
	static const struct {
		const char *target, *syscall, *verdict;
	} all[] = {
		{"client 10.0.0.7 of port 8000", "recvfrom", "idle"},
		{"client 10.0.0.7 of port 8000", "sendto", "net"},
		{"10.0.0.7:5432", "recvfrom", "net"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct profile *profile = sample_empty();
		struct profile_process *process = sample_process(profile, 5, "python3 x.py", 1);
		struct profile_thread *thread = sample_thread(profile, 5, 5, 50 * MS);
		struct profile_wait *wait;

		process->oncpu_ns = thread->oncpu_ns;
		thread->wait_ns[WAIT_NET] = 9900 * MS;
		wait = sample_wait(profile, 5, WAIT_NET, all[i].syscall, "handle", "x.py", 10);
		wait->target = strdup(all[i].target);
		histogram_add(&wait->time, 9900 * MS);
		judge(profile, all[i].verdict, "handle", "net");
		profile__free(profile);
	}
}

static void waits_for_others_are_the_limit(void **state)
{
	(void)state;
	/* A file that only ends like the library's is not the library's. */
	one_class(WAIT_LOCK, "futex", "wait", "/srv/mythreading.py", "lock", "in wait()");
}

/* However long they had nothing to do. */
static void idle_workers_are_not_named(void **state)
{
	static const char pool[] = "/usr/lib/python3.13/concurrent/futures/thread.py";
	struct profile *profile = sample_empty();

	(void)state;
	sample_process(profile, 5, "python3 x.py", 2);
	sample_thread(profile, 5, 5, 50 * MS)->wait_ns[WAIT_LOCK] = 7 * SECOND;
	sample_thread(profile, 5, 6, 0)->wait_ns[WAIT_LOCK] = 10 * SECOND;
	histogram_add(&sample_wait(profile, 5, WAIT_LOCK, "futex", "take", "x.py", 1)->time,
		      7 * SECOND);
	histogram_add(&sample_wait(profile, 5, WAIT_LOCK, "futex", "_worker", pool, 69)->time,
		      10 * SECOND);
	judge(profile, "lock", "take", "most of it in take()");
	profile__free(profile);
}

static void nothing_stands_out(void **state)
{
	struct profile *profile = sample_empty();
	struct profile_process *process = sample_process(profile, 5, "python3 x.py", 1);
	struct profile_thread *thread = sample_thread(profile, 5, 5, 3000 * MS);

	(void)state;
	process->oncpu_ns = thread->oncpu_ns;
	thread->wait_ns[WAIT_NET] = 3500 * MS;
	thread->wait_ns[WAIT_DISK] = 3500 * MS;
	judge(profile, "mixed", NULL, "no single limit: net 35 %, disk 35 %, cpu 30 %");
	profile__free(profile);
}

/* What became of a rule. */
static enum limit_state state_of(struct profile *profile, const char *rule)
{
	struct limit limit;

	limit_of_process(profile, &profile->processes[0], &limit);
	for (int i = 0; i < LIMIT_RULES; i++)
		if (!strcmp(limit.checks[i].rule->name, rule))
			return limit.checks[i].state;
	fail_msg("there is no rule %s", rule);
	return LIMIT_UNKNOWN;
}

static void what_nobody_could_see(void **state)
{
	struct profile *profile = sample_empty();

	(void)state;
	sample_batch(profile);
	assert_int_equal(state_of(profile, "gc"), LIMIT_UNKNOWN);
	profile->processes[0].gc_method = "usdt";
	assert_int_equal(state_of(profile, "gc"), LIMIT_NO);
	profile->processes[0].rss_readings = 1;
	assert_int_equal(state_of(profile, "memory"), LIMIT_UNKNOWN);
	profile->processes[0].rss_readings = 2;
	assert_int_equal(state_of(profile, "memory"), LIMIT_NO);
	profile__free(profile);
}

static void evidence_of_the_run_queue(void **state)
{
	struct profile *profile = sample_empty();
	struct profile_process *process;
	struct limit limit;
	int n = 0;

	(void)state;
	sample_web(profile);
	process = &profile->processes[0];
	process->throttled_by = sample_text("/");
	process->throttled_ns = 100 * MS;
	process->throttle_count = 7;
	process->preempted_ns = 600 * MS;
	process->woken_late_ns = 240 * MS;
	limit_of_process(profile, process, &limit);
	while (n < LIMIT_EVIDENCE && *limit.evidence[n])
		n++;
	assert_true(n > 1);
	assert_string_equal(limit.evidence[n - 1],
			    "CPU quota: throttled 0.100 s in 10.000 s, 7 times");
	for (size_t i = 0; i < profile->thread_count; i++)
		profile->threads[i].wait_ns[WAIT_RUNQ] = SECOND;
	limit_of_process(profile, process, &limit);
	for (n = 0; n < LIMIT_EVIDENCE && *limit.evidence[n];)
		n++;
	assert_string_equal(limit.evidence[n - 2],
			    "run queue: 0.600 s preempted, 0.240 s woken late");
	profile__free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_within_a_bucket),
		cmocka_unit_test(quantiles_at_the_edges),
		cmocka_unit_test(globs_match_every_name_of_a_function),
		cmocka_unit_test(globs_know_odd_modules),
		cmocka_unit_test(sort_words),
		cmocka_unit_test(functions_are_sorted_by_every_key),
		cmocka_unit_test(selections_are_narrowed),
		cmocka_unit_test(judge_samples),
		cmocka_unit_test(two_spinning_threads_are_gil_bound),
		cmocka_unit_test(waits_for_work_are_no_limit),
		cmocka_unit_test(a_client_is_waited_for_idly),
		cmocka_unit_test(waits_for_others_are_the_limit),
		cmocka_unit_test(idle_workers_are_not_named),
		cmocka_unit_test(nothing_stands_out),
		cmocka_unit_test(what_nobody_could_see),
		cmocka_unit_test(evidence_of_the_run_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
