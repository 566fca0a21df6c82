/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Recorded runs of real interpreters (tests/replay/record), replayed through the kernel side
 * compiled for the host: what it counts is what the programs' calls come to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/attach/heads.h"
#include "../replay/recording.h"

#define MAX_SLOTS 1024
#define NAME_BYTES 64
#define OWN_FILE "programs.py"

struct replay {
	struct recording recording;
	struct kernel_task *tasks[RECORDING_THREADS];
	size_t task_count;
	char names[MAX_SLOTS][NAME_BYTES]; /* of the program's own functions, by slot */
};

/* The last component of a name; those of the programs are ASCII. */
static void on_record(void *arg, const void *data, size_t size)
{
	const struct record_code *record = data;
	struct replay *replay = arg;
	size_t chars, own = strlen(OWN_FILE);
	const uint8_t *name;

	if (record->kind != RECORD_CODE || size != sizeof(*record) || record->slot >= MAX_SLOTS ||
	    record->file_chars < own ||
	    memcmp(record->file + record->file_chars - own, OWN_FILE, own) != 0)
		return;
	name = record->name;
	chars = record->name_chars;
	for (size_t i = 0; i < chars; i++)
		if (record->name[i] == '.')
			name = record->name + i + 1;
	chars -= (size_t)(name - record->name);
	if (chars < NAME_BYTES) {
		memcpy(replay->names[record->slot], name, chars);
		replay->names[record->slot][chars] = '\0';
	}
}

static void begin(struct replay *replay, const char *path)
{
	struct process_entry entry = {.build = RECORDING_BUILD,
				      .flags = PROCESS_TRACED | PROCESS_CALLS};
	struct py_layout layout;

	assert_true(recording__open(path, &replay->recording));
	layout = replay->recording.layout;
	layout_derive(&layout);
	entry.runtime = layout.runtime_vaddr + replay->recording.bias;
	kernel__reset();
	kernel__memory(image__read, replay->recording.image);
	kernel__records(on_record, replay);
	kernel__add_build(RECORDING_BUILD, &layout);
	kernel__add_process(RECORDING_TGID, &entry);
}

static void run(struct replay *replay)
{
	struct recording *r = &replay->recording;
	const struct recording_site *site;

	while (recording__next(r)) {
		switch (r->event) {
		case EVENT_END:
			return;
		case EVENT_THREAD:
			replay->tasks[r->thread] =
				kernel__task(RECORDING_TGID, RECORDING_TGID + r->thread, r->fsbase);
			replay->task_count++;
			break;
		case EVENT_HIT:
			site = &r->sites[r->site];
			kernel__pass(1000);
			kernel__hit(replay->tasks[r->thread],
				    SITE_COOKIE(RECORDING_BUILD, r->site, site->kind, site->vaddr),
				    site->vaddr + r->bias, r->registers);
			break;
		case EVENT_EXIT:
			kernel__thread_exits(replay->tasks[r->thread]);
			break;
		}
	}
	fail_msg("the recording ends too early");
}

static void end(struct replay *replay)
{
	for (size_t i = 0; i < replay->task_count; i++)
		kernel__task_free(replay->tasks[i]);
	recording__close(&replay->recording);
	kernel__free();
	free(replay);
}

static void sum_up(const struct replay *replay, const char *name, struct function_stats *sum)
{
	*sum = (struct function_stats){0};
	for (uint32_t slot = 0; slot < MAX_SLOTS; slot++) {
		const struct function_stats *stats = kernel__stats(slot);

		if (!stats || strcmp(replay->names[slot], name) != 0)
			continue;
		sum->calls += stats->calls;
		sum->segments += stats->segments;
		sum->exceptions += stats->exceptions;
		sum->ended_unseen += stats->ended_unseen;
		sum->exits += stats->exits;
	}
}

static bool compare(const char *name, const char *what, const char *wanted, uint64_t got)
{
	if (!strcmp(wanted, "-") || strtoull(wanted, NULL, 10) == got)
		return true;
	print_error("%s: %s %s, counted %llu\n", name, what, wanted, (unsigned long long)got);
	return false;
}

/* Compare with the lines "FUNCTION CALLS SEGMENTS EXCEPTIONS ENDED_UNSEEN"; "-" is any. */
static bool compare_all(const struct replay *replay, const char *path)
{
	char truth[256], name[NAME_BYTES], figures[4][16];
	struct function_stats sum;
	bool same = true;
	FILE *file;

	snprintf(truth, sizeof(truth), "%.*s.truth", (int)(strlen(path) - strlen(".gz")), path);
	file = fopen(truth, "re");
	assert_non_null(file);
	while (fscanf(file, "%63s %15s %15s %15s %15s", name, figures[0], figures[1], figures[2],
		      figures[3]) == 5) {
		sum_up(replay, name, &sum);
		same &= compare(name, "calls", figures[0], sum.calls);
		same &= compare(name, "segments", figures[1], sum.segments);
		same &= compare(name, "exceptions", figures[2], sum.exceptions);
		same &= compare(name, "ended unseen", figures[3], sum.ended_unseen);
	}
	fclose(file);
	return same;
}

/* What was recorded is all the kernel side wants to know, and nothing was in its way. */
static bool check_losses(void)
{
	static const enum loss_cause harmless[] = {LOSS_BEGAN_BEFORE, LOSS_EXIT_UNSEEN,
						   LOSS_RECONCILE, LOSS_DEPTH};
	bool none = true;

	for (enum loss_cause cause = 0; cause < LOSS_COUNT; cause++) {
		bool matters = kernel__loss(cause);

		for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
			matters &= cause != harmless[i];
		if (matters)
			print_error("loss %d: %llu\n", (int)cause,
				    (unsigned long long)kernel__loss(cause));
		none &= !matters;
	}
	return none;
}

static void replays(void **state)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	const char *path = *state;
	bool good;

	assert_non_null(replay);
	begin(replay, path);
	run(replay);
	good = compare_all(replay, path);
	good &= check_losses();
	end(replay);
	assert_true(good);
}

int main(void)
{
	struct CMUnitTest *tests = NULL;
	char(*names)[NAME_BYTES] = NULL;
	int failed = 1;
	glob_t found;

	if (glob("tests/replay/recordings/*.gz", 0, NULL, &found)) {
		fprintf(stderr, "no recordings: not run in the source tree?\n");
		return 1;
	}
	tests = calloc(found.gl_pathc, sizeof(*tests));
	names = calloc(found.gl_pathc, sizeof(*names));
	if (!tests || !names)
		goto cleanup;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *base = strrchr(found.gl_pathv[i], '/') + 1;

		snprintf(names[i], NAME_BYTES, "%.*s", (int)(strlen(base) - strlen(".gz")), base);
		tests[i] = (struct CMUnitTest){
			.name = names[i],
			.test_func = replays,
			.initial_state = found.gl_pathv[i],
		};
	}
	failed = _cmocka_run_group_tests("recordings", tests, found.gl_pathc, NULL, NULL);
cleanup:
	free(names);
	free(tests);
	globfree(&found);
	return failed;
}
