/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the reports tell beyond figures of calls and waits: of slow calls, of errors, of what keeps
 * threads from running, and of the rules of verdicts. Links: user/show and user/judge; jansson.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>

#include "sample_profile.h"
#include "show_fixture.h"

static char *text_of(const struct profile *profile, int width)
{
	struct show_options options = {.utf8 = true, .width = width};

	return written(show_text, profile, &options);
}

/* functions[], to be freed with json_decref() of *root. */
static json_t *functions_of(const struct profile *profile, json_t **root)
{
	*root = parsed(profile, &plain);
	return json_object_get(*root, "functions");
}

/* A profile with one function of so many calls that take a millisecond or so. */
static struct profile *one_function(int calls)
{
	struct profile *profile = sample_empty();

	sample_process(profile, 7, "python3 app.py", 1);
	sample_calls(sample_function(profile, 7, "work", "/srv/app.py", 4), calls, 1e6, 0.3, 1,
		     (double[WAIT_CLASSES]){0});
	return profile;
}

static void assert_line(const struct profile *profile, const char *line, bool there)
{
	char *text = text_of(profile, 0);

	if (!!strstr(text, line) != there)
		fail_msg("\"%s\" is %s in:\n%s", line, there ? "not" : "wrongly", text);
	free(text);
}

static void slow_calls_on_a_line(void **state)
{
	struct profile *profile = one_function(1000);
	struct profile_function *f = &profile->functions[0];

	(void)state;
	assert_line(profile, "slow ", false); /* there was no threshold */
	sample_tail(f, 41, 20e6);
	f->tail.above_ns = 12048522;
	assert_line(profile,
		    "\n      slow 4.1 % (41 calls above 12.0 ms): gil 71% net 18% cpu 11%\n", true);
	f->tail.calls = 4; /* too few to say anything */
	assert_line(profile, "slow ", false);
	sample_tail(f, 50, 1e5); /* they take next to nothing of the whole */
	assert_line(profile, "slow ", false);
	profile__free(profile);
}

static void slow_calls_on_any_screen(void **state)
{
	struct profile *profile = sample_profile();

	(void)state;
	for (int width = 40; width <= 200; width += 7) {
		char *text = text_of(profile, width);

		assert_non_null(strstr(text, "slow 4.8 %"));
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
			assert_true(mbstowcs(NULL, line, 0) <= (size_t)width);
		free(text);
	}
	profile__free(profile);
}

static void slow_calls_in_json(void **state)
{
	struct profile *profile = one_function(1000);
	json_t *root, *tail, *parts, *value;
	const char *key;
	double sum = 0;

	(void)state;
	tail = json_object_get(json_array_get(functions_of(profile, &root), 0), "tail");
	assert_true(json_is_null(tail));
	json_decref(root);
	sample_tail(&profile->functions[0], 41, 20e6);
	profile->functions[0].tail.above_ns = 10 * MS;
	profile->functions[0].tail.above_most_ns = 12 * MS;
	tail = json_object_get(json_array_get(functions_of(profile, &root), 0), "tail");
	assert_true(number(tail, "above_seconds") == 0.010);
	assert_true(number(tail, "above_seconds_max") == 0.012);
	assert_true(number(tail, "calls") == 41);
	assert_true(number(tail, "of_calls") == 1000);
	assert_true(number(tail, "wall_seconds") == 0.82);
	parts = json_object_get(tail, "breakdown_seconds");
	assert_int_equal(json_object_size(parts), WAIT_CLASSES + 1);
	json_object_foreach(parts, key, value) sum += json_number_value(value);
	assert_float_equal(sum, 0.82, 1e-9);
	assert_float_equal(number(parts, "gil"), 0.82 * 0.71, 1e-9);
	json_decref(root);
	profile__free(profile);
}

/* One in a hundred of at least twenty calls is worth a look. */
static void rates_of_errors(void **state)
{
	static const struct {
		int calls, raised;
		const char *line;
	} cases[] = {
		{1000, 9, "app.py:4, 9 raised\n"},
		{1000, 10, "app.py:4, 10 raised (1.0 %)\n"},
		{1000, 347, "app.py:4, 347 raised (35 %)\n"},
		{20, 1, "app.py:4, 1 raised (5.0 %)\n"},
		{19, 19, "app.py:4, 19 raised\n"},
		{1000, 0, "app.py:4\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct profile *profile = one_function(cases[i].calls);

		profile->functions[0].exceptions = cases[i].raised;
		assert_line(profile, cases[i].line, true);
		profile__free(profile);
	}
}

static void what_the_run_queue_is_made_of(void **state)
{
	struct profile *profile = one_function(1000);
	struct profile_process *process = &profile->processes[0];
	struct profile_thread *thread = sample_thread(profile, 7, 7, 3 * SECOND);
	json_t *root, *object;

	(void)state;
	assert_line(profile, "hrottled ", false);
	assert_line(profile, "Run queue", false);
	thread->wait_ns[WAIT_RUNQ] = 6 * SECOND;
	thread->preempted_ns = process->preempted_ns = 5500 * MS;
	process->woken_late_ns = 500 * MS;
	assert_line(profile, "\n  Run queue 6.00 s: preempted 5.50 s, woken late 500 ms\n", true);
	assert_line(profile, "hrottled ", false);
	process->throttled_by = sample_text("/system.slice/app\033.service");
	process->throttled_ns = 3200 * MS;
	process->throttle_count = 32;
	assert_line(profile,
		    "\n  Throttled 3.20 s (32 times) in 10.0 s by the CPU quota of "
		    "/system.slice/app\\x1b.service\n",
		    true);
	functions_of(profile, &root);
	object = json_array_get(json_object_get(root, "processes"), 0);
	assert_true(number(json_object_get(object, "runq_seconds"), "preempted") == 5.5);
	assert_true(number(json_object_get(object, "runq_seconds"), "woken_late") == 0.5);
	assert_true(number(json_object_get(object, "throttling"), "seconds") == 3.2);
	assert_true(number(json_object_get(object, "throttling"), "count") == 32);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(object, "throttling"), "cgroup")),
		"/system.slice/app\033.service");
	object = json_array_get(json_object_get(root, "threads"), 0);
	assert_true(number(json_object_get(object, "runq_seconds"), "preempted") == 5.5);
	assert_true(number(json_object_get(object, "runq_seconds"), "woken_late") == 0.5);
	json_decref(root);
	free(process->throttled_by);
	process->throttled_by = NULL;
	functions_of(profile, &root);
	object = json_array_get(json_object_get(root, "processes"), 0);
	assert_true(json_is_null(json_object_get(object, "throttling")));
	json_decref(root);
	profile__free(profile);
}

static void how_the_gil_is_used(void **state)
{
	struct profile *profile = one_function(1000);
	struct profile_process *process = &profile->processes[0];
	struct profile_function *f = &profile->functions[0];
	struct profile_contention *contention;
	json_t *root, *gil;

	(void)state;
	process->oncpu_ns = sample_thread(profile, 7, 7, 9700 * MS)->oncpu_ns;
	assert_line(profile, "GIL wanted", false);
	f->holds = 3;
	f->hold_ns = 60 * MS;
	f->hold_max_ns = 49 * MS; /* and nobody wants it for long */
	assert_line(profile, "GIL wanted", false);
	f->hold_max_ns = 50 * MS;
	assert_line(profile, "\n  GIL wanted 0 % of the time; longest held by work(): 50.0 ms\n",
		    true);
	f->hold_max_ns = 4999 * MS / 1000; /* that is not long */
	contention = profile__add_contention(profile);
	contention->tgid = 7;
	contention->ns = 499 * MS; /* of ten seconds */
	assert_line(profile, "GIL wanted", false);
	contention->ns = 500 * MS;
	assert_line(profile, "\n  GIL wanted 5.0 % of the time\n", true);
	process->samples = 990;
	process->gil_samples = 500;
	assert_line(profile, "\n  GIL wanted 5.0 % of the time, held about 49 %\n", true);
	f->hold_max_ns = 7 * MS;
	f = sample_function(profile, 7, "re\033size", "/srv/app.py", 9);
	f->hold_max_ns = 104 * MS;
	sample_function(profile, 8, "another's", "/srv/app.py", 9)->hold_max_ns = 300 * MS;
	contention = profile__add_contention(profile); /* of another interpreter */
	contention->tgid = 7;
	contention->ns = 4300 * MS;
	assert_line(profile,
		    "\n  GIL wanted 43 % of the time, held about 49 %; longest held by "
		    "re\\x1bsize(): 104 ms\n",
		    true);
	functions_of(profile, &root);
	gil = json_object_get(json_array_get(json_object_get(root, "processes"), 0), "gil");
	assert_float_equal(number(gil, "wanted_share"), 0.43, 1e-9);
	assert_float_equal(number(gil, "held_share"), 0.97 * 500 / 990, 1e-9);
	json_decref(root);
	process->samples = 0;
	functions_of(profile, &root);
	gil = json_object_get(json_array_get(json_object_get(root, "processes"), 0), "gil");
	assert_true(json_is_null(json_object_get(gil, "held_share")));
	json_decref(root);
	profile__free(profile);
}

static void memory_that_changes(void **state)
{
	struct profile *profile = one_function(1000);
	struct profile_process *process = &profile->processes[0];

	(void)state;
	process->rss_begin_bytes = 100 << 20;
	process->rss_bytes = (108 << 20) - 1;
	process->rss_growth = 838861;
	process->rss_readings = 2;
	assert_line(profile, "Memory ", false);
	process->rss_bytes = 108 << 20;
	assert_line(profile, "\n  Memory 113 MB, +839 kB/s\n", true);
	process->rss_readings = 1;
	assert_line(profile, "Memory ", false);
	process->rss_readings = 11;
	process->rss_bytes = 40 << 20;
	process->rss_growth = -6.29e6;
	assert_line(profile, "\n  Memory 41.9 MB, -6.29 MB/s\n", true);
	/* what a verdict says is not said again */
	process->rss_bytes = 200 << 20;
	process->rss_growth = 10.5e6;
	process->rss_grown = 10;
	sample_thread(profile, 7, 7, SECOND);
	assert_line(profile, "\n  memory growth: 10.5 MB a second, from 105 to 210 MB", true);
	assert_line(profile, "Memory ", false);
	profile__free(profile);
}

/* The row of a rule in what follows `from`, without the blanks between its columns. */
static void rule_row(const char *from, const char *rule, char *out)
{
	char start[32];
	const char *at;
	size_t n = 0;

	snprintf(start, sizeof(start), "\n  %s ", rule);
	at = strstr(from, start);
	if (!at)
		fail_msg("no rule %s in:\n%s", rule, from);
	for (at += 3; *at && *at != '\n'; at++)
		if (*at != ' ' || out[n - 1] != ' ')
			out[n++] = *at;
	out[n] = '\0';
}

/* Each verdict with its own process, whatever order they are in. */
static void rules_are_explained(void **state)
{
	static const struct {
		const char *process, *line, *rule, *row;
	} told[] = {
		{"tgid 4711 ", "GIL-bound: threads waited for the GIL 100 % of the time", "gil",
		 "gil 100 % 20 % yes: the verdict the time"},
		{"tgid 4711 ", "Meaning: threads that want to run Python code wait", "net",
		 "net 34 % 40 % nearly active time and threads active half of the time"},
		{"tgid 900 ", "CPU-bound: on-CPU 97 % of a core", "cpu",
		 "cpu 97 % 70 % yes: the verdict a core and on-CPU 40 % of active time"},
		{"tgid 900 ", "Evidence: cpu: 97 % of a core, 70 % is enough", "computing",
		 "computing 97 % 40 % yes, after that active time and threads active half of the "
		 "time"},
		{"tgid 12345 ", "idle: active 0.2 % of the time", "computing",
		 "computing 100 % 40 % held back active time and threads active half of the time"},
		{"tgid 12345 ", "Next: nothing to speed up here", "memory",
		 "memory - 1.05 MB not known (a second) and 8 MiB more, in three of four "
		 "readings"},
	};
	struct show_options options = {.utf8 = true, .explain = true};
	struct profile *profile = sample_profile();
	char *text = written(show_text, profile, &options), row[256];

	(void)state;
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		char *from = strstr(text, told[i].process), *line, *next;

		assert_non_null(from);
		line = strstr(from, told[i].line);
		next = strstr(from, "\ntgid ");
		if (!line || (next && line > next))
			fail_msg("%shas no \"%s\" in:\n%s", told[i].process, told[i].line, text);
		rule_row(from, told[i].rule, row);
		assert_string_equal(row, told[i].row);
	}
	free(text);
	assert_line(profile, "Evidence:", false);
	assert_line(profile, "\n  rule ", false);
	profile__free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_calls_on_a_line),
		cmocka_unit_test(slow_calls_on_any_screen),
		cmocka_unit_test(slow_calls_in_json),
		cmocka_unit_test(rates_of_errors),
		cmocka_unit_test(what_the_run_queue_is_made_of),
		cmocka_unit_test(how_the_gil_is_used),
		cmocka_unit_test(memory_that_changes),
		cmocka_unit_test(rules_are_explained),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
