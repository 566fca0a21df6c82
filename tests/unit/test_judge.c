/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Quantiles, globs, sort orders, and what a process is said to be limited by.
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

	/* The two open ends. */
	h = (struct histogram){0};
	histogram_add(&h, 3);
	assert_true(histogram_quantile_ns(&h, 0.5) == 3);
	histogram_add(&h, 20000 * SECOND);
	assert_true(histogram_quantile_ns(&h, 0.99) == 20000.0 * SECOND);

	/* Without extremes, as after subtracting two readings. */
	h.min_ns = h.max_ns = 0;
	assert_true(histogram_quantile_ns(&h, 0.5) <= (double)bucket_upper_ns[0] + 1e-6);
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
	one_class(WAIT_NET, "accept4", "accept", "socket.py", "idle", "connections");
}

static void waits_for_others_are_the_limit(void **state)
{
	(void)state;
	one_class(WAIT_LOCK, "futex", "locked", "x.py", "lock", "waiting on locks or queues 99 %");
	/* A file that only ends like the library's is not the library's. */
	one_class(WAIT_LOCK, "futex", "wait", "/srv/mythreading.py", "lock", "in wait()");
	one_class(WAIT_NET, "recvfrom", "fetch", "x.py", "net", "waiting on sockets (net) 99 %");
	one_class(WAIT_DISK, "fsync", "save", "x.py", "disk", "most of it in save()");
	one_class(WAIT_PIPE, "read", "drain", "x.py", "pipe", "pipes");
	one_class(WAIT_CHILD, "wait4", "call", "x.py", "child", "child processes");
	one_class(WAIT_FAULT, NULL, "load", "x.py", "fault", "memory");
	one_class(WAIT_RUNQ, NULL, "burn", "x.py", "runq", "short of CPU");
}

static void a_little_work_is_mostly_idle(void **state)
{
	struct profile *profile = sample_empty();
	struct profile_process *process = sample_process(profile, 5, "python3 x.py", 1);
	struct profile_thread *thread = sample_thread(profile, 5, 5, 1000 * MS);

	(void)state;
	process->oncpu_ns = thread->oncpu_ns;
	thread->wait_ns[WAIT_POLL] = 9000 * MS;
	judge(profile, "ok", NULL, "10 %");
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

/* Ready to run for 6 s and running for 3, with these causes; the line must say so. */
static void run_queue(uint64_t throttled_ms, uint64_t preempted_ms, uint64_t woken_late_ms,
		      const char *words, const char *next_step)
{
	struct profile *profile = sample_empty();
	struct profile_process *process = sample_process(profile, 5, "python3 x.py", 1);
	struct profile_thread *thread = sample_thread(profile, 5, 5, 3 * SECOND);
	struct limit limit;

	process->oncpu_ns = thread->oncpu_ns;
	thread->wait_ns[WAIT_RUNQ] = 6 * SECOND;
	process->throttled_by = sample_text("/app.slice");
	process->throttled_ns = throttled_ms * MS;
	process->preempted_ns = preempted_ms * MS;
	process->woken_late_ns = woken_late_ms * MS;
	histogram_add(&sample_wait(profile, 5, WAIT_RUNQ, NULL, "burn", "x.py", 10)->time,
		      6 * SECOND);
	judge(profile, "runq", "burn", words);
	judge(profile, "runq", "burn", "most of it in burn()");
	limit_of_process(profile, process, &limit);
	if (!strstr(limit.next_step, next_step))
		fail_msg("\"%s\" lacks \"%s\"", limit.next_step, next_step);
	profile__free(profile);
}

static void what_keeps_threads_from_running(void **state)
{
	(void)state;
	run_queue(0, 5500, 500, "short of CPU: preempted, runnable", "host's load");
	run_queue(0, 500, 5500, "short of CPU: woken late, runnable", "priorities");
	run_queue(1990, 5500, 500, "short of CPU: preempted, runnable", "host's load");
	run_queue(2010, 5500, 500, "throttled by a CPU quota: ", "raise the quota");
	run_queue(2010, 500, 5500, "throttled by a CPU quota: ", "raise the quota");
	run_queue(19000, 5500, 500, "throttled by a CPU quota: ", "raise the quota");
	run_queue(0, 0, 0, "short of CPU: runnable", "CPU quota");
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

/* A thread that ran all of ten seconds, but for what another one took. */
static struct profile *computing(uint64_t oncpu_ms)
{
	struct profile *profile = sample_empty();
	struct profile_process *process = sample_process(profile, 5, "python3 x.py", 1);

	process->oncpu_ns = sample_thread(profile, 5, 5, oncpu_ms * MS)->oncpu_ns;
	return profile;
}

static void gil_contended(struct profile *profile, uint64_t ms, const char *holder)
{
	struct profile_contention *contention = profile__add_contention(profile);
	struct profile_gil *gil = profile__add_gil(profile);

	contention->tgid = gil->tgid = 5;
	contention->ns = ms * MS;
	gil->waiter = sample_text("handle");
	gil->holder = sample_text(holder);
	histogram_add(&gil->time, ms * MS);
	sample_thread(profile, 5, 6, 1 * MS)->wait_ns[WAIT_GIL] = ms * MS;
	histogram_add(&sample_wait(profile, 5, WAIT_GIL, "futex", "handle", "x.py", 9)->time,
		      ms * MS);
}

/* From a fifth of elapsed time on, and before the CPU that its holder needs. */
static void gil_outranks_the_cpu(void **state)
{
	struct profile *profile = computing(9900);

	(void)state;
	gil_contended(profile, 1950, "resize");
	judge(profile, "cpu", NULL, "CPU-bound");
	assert_int_equal(state_of(profile, "gil"), LIMIT_NEAR);
	profile__free(profile);
	profile = computing(9900);
	gil_contended(profile, 2050, "resize");
	judge(profile, "gil", "handle", "held by resize() in 100 % of that");
	assert_int_equal(state_of(profile, "gil"), LIMIT_HOLDS);
	assert_int_equal(state_of(profile, "cpu"), LIMIT_HOLDS);
	profile->processes[0].gil_after_io = 19;
	profile->processes[0].gil_after_io_ns = 2000 * MS;
	judge(profile, "gil", "handle", "GIL-bound: ");
	profile->processes[0].gil_after_io = 20;
	judge(profile, "gil", "handle", "a convoy");
	profile__free(profile);
}

static void collections(struct profile *profile, uint64_t ms)
{
	struct profile_gc *gc = profile__add_gc(profile);

	gc->tgid = 5;
	gc->generation = 2;
	gc->function = sample_text("storm");
	gc->file = sample_text("x.py");
	gc->method = "usdt";
	histogram_add(&gc->time, ms * MS);
}

static void much_garbage(void **state)
{
	struct profile *profile = computing(9000);

	(void)state;
	collections(profile, 2600);
	judge(profile, "cpu", NULL, "CPU-bound");
	collections(profile, 200);
	judge(profile, "gc", "storm", "garbage collection: 31 %");
	profile__free(profile);
	/* most of what ran, but that was little */
	profile = computing(1000);
	collections(profile, 400);
	assert_int_equal(state_of(profile, "gc"), LIMIT_HELD_BACK);
	profile__free(profile);
	/* nobody could see them */
	profile = computing(9000);
	assert_int_equal(state_of(profile, "gc"), LIMIT_UNKNOWN);
	profile__free(profile);
}

static void growing_memory(void **state)
{
	struct profile *profile = computing(1000);
	struct profile_process *process = &profile->processes[0];

	(void)state;
	process->rss_begin_bytes = 100 << 20;
	process->rss_bytes = 130 << 20;
	process->rss_growth = 3 << 20;
	process->rss_readings = 10;
	process->rss_grown = 9;
	judge(profile, "memory", NULL, "memory growth: 3.1 MB a second, from 105 to 136 MB");
	process->rss_grown = 6; /* up and down is no growth */
	assert_int_equal(state_of(profile, "memory"), LIMIT_HELD_BACK);
	process->rss_readings = 1;
	assert_int_equal(state_of(profile, "memory"), LIMIT_UNKNOWN);
	profile__free(profile);
}

static void held_up_event_loop(void **state)
{
	struct profile *profile = computing(3000);

	(void)state;
	sample_callback(profile, 5, "refresh", NULL, 20, 190 * MS);
	judge(profile, "ok", NULL, "");
	assert_int_equal(state_of(profile, "loop"), LIMIT_NEAR);
	sample_callback(profile, 5, "expire", NULL, 2, 250 * MS);
	judge(profile, "loop", "refresh", "event loop held up 22 % of the time");
	profile__free(profile);
}

static void too_little_was_seen(void **state)
{
	struct profile *profile = computing(90);

	(void)state;
	profile->processes[0].observed_ns = 99 * MS;
	judge(profile, "unknown", NULL, "not enough data");
	profile->processes[0].observed_ns = 101 * MS;
	judge(profile, "cpu", NULL, "CPU-bound");
	profile__free(profile);
}

/* A quota that hardly matters changes no verdict. */
static void throttled_and_bound_by_something_else(void **state)
{
	struct profile *profile = sample_empty();

	(void)state;
	sample_batch(profile);
	profile->processes[0].throttled_by = sample_text("/");
	profile->processes[0].throttled_ns = 300 * MS;
	profile->processes[0].preempted_ns = 300 * MS;
	judge(profile, "cpu", "burn", "CPU-bound: on-CPU 97 % of a core");
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
		cmocka_unit_test(waits_for_others_are_the_limit),
		cmocka_unit_test(a_little_work_is_mostly_idle),
		cmocka_unit_test(nothing_stands_out),
		cmocka_unit_test(what_keeps_threads_from_running),
		cmocka_unit_test(throttled_and_bound_by_something_else),
		cmocka_unit_test(gil_outranks_the_cpu),
		cmocka_unit_test(much_garbage),
		cmocka_unit_test(growing_memory),
		cmocka_unit_test(held_up_event_loop),
		cmocka_unit_test(too_little_was_seen),
		cmocka_unit_test(evidence_of_the_run_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
