/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Reports on services whose trouble is known (profiles/record), judged again.  With a file as its
 * argument this prints the report of what was read from it.
 * Links: user/profile.c, and all of user/judge and user/show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>

#include "../../user/judge/limit.h"
#include "../../user/judge/rules.h"
#include "../../user/show/json.h"
#include "profile_file.h"

/* Calls `use` with each file. */
static void each_file(void (*use)(struct profile_file *file))
{
	glob_t found;
	struct profile_file file;

	assert_int_equal(glob(PROFILE_FOLDER "*.json.gz", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		profile_file__open(&file, found.gl_pathv[i]);
		use(&file);
		profile_file__close(&file);
	}
	globfree(&found);
}

/* Function names have more in front of them in some versions, and peers an address. */
static bool ends_with(const char *name, const char *end)
{
	size_t length = name ? strlen(name) : 0, tail = strlen(end);

	return length >= tail && !strcmp(name + length - tail, end) &&
	       (length == tail || *end == ':' || *end == '/' || name[length - tail - 1] == '.');
}

/* Verdict, rule and names are those that the file expects. */
static void check_limit(const char *path, const json_t *expected, const struct limit *limit)
{
	const struct {
		const char *key, *got;
	} names[] = {
		{"function", limit->function}, {"caller", limit->caller}, {"holder", limit->holder},
		{"waker", limit->waker},       {"target", limit->target},
	};
	const char *rule = file_words(expected, "rule"), *words = file_words(expected, "words");
	char line[1024];

	limit_line(limit, line, sizeof(line));
	if (strcmp(limit->verdict, file_words(expected, "verdict")) != 0)
		fail_msg("%s: %s: %s", path, limit->verdict, line);
	if (strcmp(limit_outcome(limit), rule ?: limit->verdict) != 0)
		fail_msg("%s: decided by %s: %s", path, limit_outcome(limit), line);
	if (!strstr(line, words))
		fail_msg("%s: \"%s\" lacks \"%s\"", path, line, words);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *got = names[i].got;
		const char *wanted = json_string_value(json_object_get(expected, names[i].key));

		if (wanted && !ends_with(got, wanted))
			fail_msg("%s: its %s is %s, not %s: %s", path, names[i].key, got, wanted,
				 line);
	}
}

static void has_its_verdict(struct profile_file *file)
{
	struct limit limit;

	assert_int_equal(file->profile->process_count, 1);
	limit_of_process(file->profile, &file->profile->processes[0], &limit);
	check_limit(file->path, file_get(file->report, "expected"), &limit);
}

static void profiles_have_their_verdicts(void **state)
{
	(void)state;
	each_file(has_its_verdict);
}

#define REVERSE(array, count)                                                                      \
	do {                                                                                       \
		for (size_t _i = 0, _j = (count); _i + 1 < _j; _i++) {                             \
			typeof((array)[0]) _kept = (array)[_i];                                    \
			_j--;                                                                      \
			(array)[_i] = (array)[_j];                                                 \
			(array)[_j] = _kept;                                                       \
		}                                                                                  \
	} while (0)

static void reversed_has_its_verdict(struct profile_file *file)
{
	struct profile *p = file->profile;

	REVERSE(p->threads, p->thread_count);
	REVERSE(p->functions, p->function_count);
	REVERSE(p->waits, p->wait_count);
	REVERSE(p->stacks, p->stack_count);
	REVERSE(p->faults, p->fault_count);
	REVERSE(p->gils, p->gil_count);
	REVERSE(p->contentions, p->contention_count);
	REVERSE(p->callbacks, p->callback_count);
	REVERSE(p->gcs, p->gc_count);
	has_its_verdict(file);
}

static void order_does_not_matter(void **state)
{
	(void)state;
	each_file(reversed_has_its_verdict);
}

/* In one profile, of which each judges its own. */
static void processes_are_told_apart(void **state)
{
	struct profile *all = file_must(profile__new(), "memory");
	struct limit limit;
	json_t **reports;
	glob_t found;

	(void)state;
	assert_int_equal(glob(PROFILE_FOLDER "*.json.gz", 0, NULL, &found), 0);
	reports = file_must(calloc(found.gl_pathc, sizeof(json_t *)), "memory");
	for (size_t i = 0; i < found.gl_pathc; i++) {
		size_t before = all->process_count;

		reports[i] = profile_file__load(found.gl_pathv[i]);
		profile_file__read(all, reports[i]);
		for (size_t k = 0; k < before; k++)
			assert_int_not_equal(all->processes[k].tgid, all->processes[before].tgid);
	}
	for (size_t i = 0; i < found.gl_pathc; i++) {
		limit_of_process(all, &all->processes[i], &limit);
		check_limit(found.gl_pathv[i], file_get(reports[i], "expected"), &limit);
	}
	profile__free(all);
	for (size_t i = 0; i < found.gl_pathc; i++)
		json_decref(reports[i]);
	free(reports);
	globfree(&found);
}

static void print_report(FILE *out, const struct profile *profile)
{
	const struct show_options options = {.top = 0};

	assert_int_equal(show_json(out, profile, &options), 0);
}

static json_t *report_of(const struct profile *profile)
{
	FILE *out = file_must(tmpfile(), "a temporary file");
	json_t *report;

	print_report(out, profile);
	rewind(out);
	report = file_must(json_loadf(out, 0, NULL), "a report");
	fclose(out);
	return report;
}

/* What is written now is what was read, whenever the file was recorded. */
static void survives_being_written(struct profile_file *file)
{
	json_t *first = report_of(file->profile), *second;
	struct profile *again = file_must(profile__new(), "memory");

	profile_file__read(again, first);
	second = report_of(again);
	if (!json_equal(first, second))
		fail_msg("%s: its report is read as another", file->path);
	profile__free(again);
	json_decref(first);
	json_decref(second);
}

static void reports_are_read_as_they_are_written(void **state)
{
	(void)state;
	each_file(survives_being_written);
}

static void asleep_is_idle(struct profile_file *file)
{
	struct profile *p = file->profile;
	struct limit limit;

	p->processes[0].oncpu_ns = 0;
	p->processes[0].rss_growth = 0;
	p->processes[0].throttled_ns = 0;
	for (size_t i = 0; i < p->thread_count; i++) {
		struct profile_thread *thread = &p->threads[i];
		uint64_t ns = thread->oncpu_ns;

		for (int c = 0; c < WAIT_CLASSES; c++)
			ns += thread->wait_ns[c];
		*thread = (struct profile_thread){.tgid = thread->tgid};
		thread->wait_ns[WAIT_SLEEP] = ns;
	}
	for (size_t i = 0; i < p->wait_count; i++)
		p->waits[i].wait_class = WAIT_SLEEP;
	for (size_t i = 0; i < p->stack_count; i++)
		p->stacks[i].ns = 0;
	for (size_t i = 0; i < p->contention_count; i++)
		p->contentions[i].ns = 0;
	for (size_t i = 0; i < p->callback_count; i++)
		p->callbacks[i].max_ns = p->callbacks[i].sum_ns = 0;
	for (size_t i = 0; i < p->gc_count; i++)
		p->gcs[i].time.sum_ns = 0;
	limit_of_process(p, &p->processes[0], &limit);
	/* (who sleeps in subprocess.py waits for a child) */
	if (strcmp(limit.verdict, "idle") != 0 && strcmp(limit.verdict, "child") != 0)
		fail_msg("%s: asleep all the time it is %s", file->path, limit.verdict);
}

static void who_only_sleeps_is_idle(void **state)
{
	(void)state;
	each_file(asleep_is_idle);
}

/* Outcomes that files have. */
static char seen[64][16];

static void note_outcome(struct profile_file *file)
{
	const json_t *expected = file_get(file->report, "expected");
	size_t i = 0;

	while (*seen[i])
		i++;
	assert_true(i + 1 < sizeof(seen) / sizeof(seen[0]));
	snprintf(seen[i], sizeof(seen[i]), "%s",
		 file_words(expected, "rule") ?: file_words(expected, "verdict"));
}

static bool is_seen(const char *name)
{
	for (size_t i = 0; *seen[i]; i++)
		if (!strcmp(seen[i], name))
			return true;
	return false;
}

static void every_outcome_has_a_profile(void **state)
{
	static const char *const without_a_rule[] = {"mixed", "ok", "idle"};

	(void)state;
	memset(seen, 0, sizeof(seen));
	each_file(note_outcome);
	for (int i = 0; i < LIMIT_RULES; i++)
		if (!is_seen(limit_rules[i].name))
			fail_msg("no profile for the rule %s", limit_rules[i].name);
	for (size_t i = 0; i < sizeof(without_a_rule) / sizeof(without_a_rule[0]); i++)
		assert_true(is_seen(without_a_rule[i]));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profiles_have_their_verdicts),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(processes_are_told_apart),
		cmocka_unit_test(reports_are_read_as_they_are_written),
		cmocka_unit_test(who_only_sleeps_is_idle),
		cmocka_unit_test(every_outcome_has_a_profile),
	};
	struct profile_file file;

	if (argc < 2)
		return cmocka_run_group_tests(tests, NULL, NULL);
	profile_file__open(&file, argv[1]);
	print_report(stdout, file.profile);
	profile_file__close(&file);
	return 0;
}
