/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Garbage collections: where a tracepoint says its argument is, and pauses from record to report.
 * Links: user/discover/probe_argument.c, user/collect, user/show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <asm/ptrace.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "collector_fixture.h"
#include "discover/probe_argument.h"
#include "show/json.h"
#include "show/text.h"

#define MS 1000000ull

static void assert_argument(const char *text, struct probe_argument want)
{
	struct probe_argument got = probe_argument_first(text);

	if (memcmp(&got, &want, sizeof(got)) != 0)
		fail_msg("\"%s\": place %u, at %u, value %lld, bytes %u, signed %u", text,
			 got.place, got.at, (long long)got.value, got.bytes, got.is_signed);
}

static void test_arguments(void **state)
{
	(void)state;
	/* as they are in Debian's 3.9 to 3.15 */
	assert_argument("-4@112(%rsp)",
			(struct probe_argument){
				112, offsetof(struct pt_regs, rsp), ARGUMENT_MEMORY, 4, 1, {0}});
	assert_argument("-4@-228(%rbp)",
			(struct probe_argument){
				-228, offsetof(struct pt_regs, rbp), ARGUMENT_MEMORY, 4, 1, {0}});
	assert_argument("-8@%r12",
			(struct probe_argument){
				0, offsetof(struct pt_regs, r12), ARGUMENT_REGISTER, 8, 1, {0}});
	/* as compilers may write them elsewhere */
	assert_argument("-4@$2", (struct probe_argument){2, 0, ARGUMENT_CONSTANT, 4, 1, {0}});
	assert_argument("4@%eax 8@%rdx",
			(struct probe_argument){
				0, offsetof(struct pt_regs, rax), ARGUMENT_REGISTER, 4, 0, {0}});
	assert_argument("1@%sil",
			(struct probe_argument){
				0, offsetof(struct pt_regs, rsi), ARGUMENT_REGISTER, 1, 0, {0}});
	assert_argument("-4@%r9d",
			(struct probe_argument){
				0, offsetof(struct pt_regs, r9), ARGUMENT_REGISTER, 4, 1, {0}});
	assert_argument("-4@(%rdi)",
			(struct probe_argument){
				0, offsetof(struct pt_regs, rdi), ARGUMENT_MEMORY, 4, 1, {0}});
}

static void test_arguments_not_read(void **state)
{
	static const char *const texts[] = {
		"",
		"-4",
		"-4@",
		"@%eax",
		"3@%eax",
		"-4@%xmm0",
		"8@%rip",
		"-4@counter(%rip)",
		"-4@8(%rip)",
		"-4@(%rax,%rbx,4)",
		"-4@16(%eax)",
		"-4@16(%rax",
		"-4@16(%rax)x",
		"-4@$",
		"-4@%eaxx",
		"-9223372036854775808@%eax",
		"99999999999999999999@%eax",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (probe_argument_first(texts[i]).place != ARGUMENT_UNKNOWN)
			fail_msg("\"%s\" was read", texts[i]);
}

static void pause(struct fixture *f, uint32_t slot, int generation, uint64_t ns, bool over)
{
	struct record_gc record = {
		.kind = RECORD_GC,
		.tgid = TGID,
		.tid = TGID,
		.function = slot,
		.ns = ns,
		.generation = generation,
		.over = over,
	};

	collector__record(f->collector, &record, sizeof(record));
}

static struct profile *profile_of(struct fixture *f)
{
	struct window window = {.start_ns = 1, .end_ns = 1000 * MS, .watch_ns = 1000};
	struct profile *profile = collector__profile(f->collector, &window);

	assert_non_null(profile);
	return profile;
}

static const struct profile_gc *found(const struct profile *profile, const char *function,
				      int generation)
{
	for (size_t i = 0; i < profile->gc_count; i++)
		if (profile->gcs[i].generation == generation &&
		    !strcmp(profile->gcs[i].function, function))
			return &profile->gcs[i];
	fail_msg("nothing of %s, generation %d", function, generation);
	return NULL;
}

static void test_pauses_by_function_and_generation(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;

	collector__gc_method(f->collector, TGID, GC_WATCHPOINT, "");
	tell_name(f, 1, "make");
	pause(f, 1, 0, MS, true);
	pause(f, 1, 0, 3 * MS, true);
	pause(f, 1, 2, 5 * MS, true);
	pause(f, NO_FUNCTION, -1, 7 * MS, true);
	profile = profile_of(f);
	assert_int_equal(profile->gc_count, 3);
	assert_int_equal(found(profile, "make", 0)->time.count, 2);
	assert_int_equal(found(profile, "make", 0)->time.sum_ns, 4 * MS);
	assert_int_equal(found(profile, "make", 0)->line, 7);
	assert_int_equal(found(profile, "make", 2)->time.max_ns, 5 * MS);
	assert_int_equal(found(profile, "", -1)->time.sum_ns, 7 * MS);
	assert_string_equal(found(profile, "", -1)->method, "watchpoint");
	/* two hits each */
	assert_int_equal(profile->processes[0].probe_cost_ns, 8 * 1000);
	profile__free(profile);
	profile = profile_of(f);
	assert_int_equal(profile->gc_count, 0);
	profile__free(profile);
}

/* Its function's name may come later. */
static void test_pause_goes_on(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;

	pause(f, 1, 2, 5 * MS, false);
	pause(f, 1, 2, 6 * MS, false);
	tell_name(f, 1, "make");
	profile = profile_of(f);
	assert_int_equal(found(profile, "make", 2)->time.count, 0);
	assert_int_equal(found(profile, "make", 2)->time.censored, 1);
	profile__free(profile);
	pause(f, 1, 2, 7 * MS, false);
	pause(f, 1, 2, 9 * MS, true);
	profile = profile_of(f);
	assert_int_equal(profile->gc_count, 1);
	assert_int_equal(found(profile, "make", 2)->time.sum_ns, 9 * MS);
	assert_int_equal(found(profile, "make", 2)->time.censored, 0);
	profile__free(profile);
}

static char *shown(int (*show)(FILE *, const struct profile *, const struct show_options *),
		   const struct profile *profile)
{
	static const struct show_options options = {.utf8 = true};
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_int_equal(show(out, profile, &options), 0);
	fclose(out);
	return text;
}

static void test_shown(void **state)
{
	struct fixture *f = *state;
	struct profile *profile;
	json_t *root, *gcs;
	char *text;

	tell_name(f, 1, "ma\033[31mke");
	pause(f, 1, 1, MS, true);
	pause(f, NO_FUNCTION, -1, 2 * MS, true);
	collector__gc_method(f->collector, TGID, GC_UNKNOWN, "a \033 reason");
	profile = profile_of(f);
	text = shown(show_json, profile);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	free(text);
	gcs = json_object_get(root, "gc");
	assert_int_equal(json_array_size(gcs), 2);
	assert_true(json_is_null(json_object_get(json_array_get(gcs, 0), "generation")));
	assert_string_equal(json_string_value(json_object_get(json_array_get(gcs, 0), "function")),
			    "");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(gcs, 1), "generation")),
			 1);
	gcs = json_array_get(json_object_get(root, "processes"), 0);
	assert_string_equal(json_string_value(json_object_get(gcs, "gc_method")), "unknown");
	json_decref(root);
	text = shown(show_text, profile);
	assert_null(strchr(text, '\033'));
	assert_non_null(strstr(text, "collected garbage in"));
	assert_non_null(strstr(text, "Garbage collections are not seen: a "));
	free(text);
	profile__free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_arguments_not_read),
		cmocka_unit_test_setup_teardown(test_pauses_by_function_and_generation, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_pause_goes_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shown, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
