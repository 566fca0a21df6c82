/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The JSON report: every key, figures that add up, names as they are.
 * Links: user/profile.c and all of user/judge and user/show; jansson.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sample_profile.h"
#include "show_fixture.h"

static void json_has_every_key(void **state)
{
	struct profile *profile = sample_profile();
	json_t *root = parsed(profile, &plain), *histogram;

	(void)state;
	assert_keys(root, "schema version host kernel started duration_seconds probed_seconds "
			  "probe_cost processes threads functions waits gil gc stacks losses own");
	assert_string_equal(json_string_value(json_object_get(root, "schema")), "pytrace-bpf/1");
	assert_string_equal(json_string_value(json_object_get(root, "started")),
			    "2025-06-15T15:06:40.250Z");
	assert_keys(json_object_get(root, "probe_cost"),
		    "entry_seconds exit_seconds empty_seconds switch_seconds");
	assert_keys(json_object_get(root, "own"), "cpu_seconds rss_bytes");
	assert_keys(json_array_get(json_object_get(root, "processes"), 0),
		    "tgid comm python build service container_id calls_method reason diagnosis "
		    "cpu_seconds gil memory overhead_share");
	assert_keys(
		json_object_get(json_array_get(json_object_get(root, "processes"), 0), "diagnosis"),
		"verdict function cause evidence next_step");
	assert_keys(json_array_get(json_object_get(root, "threads"), 0),
		    "tgid tid name oncpu_seconds wait_seconds");
	assert_keys(json_array_get(json_object_get(root, "functions"), 0),
		    "tgid function file line method calls ended_unseen exceptions segments "
		    "suspended_seconds wall_seconds self_seconds probe_seconds breakdown_seconds "
		    "stack_seconds tail probed_seconds");
	assert_keys(json_array_get(json_object_get(root, "waits"), 0),
		    "tgid class function target count seconds syscall file line");
	assert_keys(json_object_get(root, "asyncio"), "least_seconds callbacks");
	assert_keys(
		json_array_get(json_object_get(json_object_get(root, "asyncio"), "callbacks"), 0),
		"tgid function file line task count seconds");
	histogram = json_object_get(json_array_get(json_object_get(root, "waits"), 0), "seconds");
	assert_keys(histogram, "sum min max p50 p90 p95 p99 censored count buckets");
	assert_keys(json_object_get(histogram, "buckets"), "scale offset counts");
	for (int i = 0; i < LOSS_COUNT; i++)
		assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "losses"),
								    loss_key(i))),
				 profile->losses[i]);
	assert_int_equal(json_object_size(json_object_get(root, "losses")), LOSS_COUNT);
	json_decref(root);
	profile__free(profile);
}

static json_t *find_function(json_t *root, const char *name)
{
	json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(root, "functions"), i, entry)
	{
		if (!strcmp(json_string_value(json_object_get(entry, "function")), name))
			return entry;
	}
	fail_msg("no function %s", name);
	return NULL;
}

static void json_numbers_add_up(void **state)
{
	struct profile *profile = sample_profile();
	json_t *root = parsed(profile, &plain), *f, *wall, *counts, *value;
	const char *key;
	json_int_t offset, sum = 0;
	double parts = 0;
	size_t i;

	(void)state;
	f = find_function(root, "Handler.do_GET");
	wall = json_object_get(f, "wall_seconds");
	assert_int_equal(json_integer_value(json_object_get(f, "calls")), 1843);
	json_object_foreach(json_object_get(f, "breakdown_seconds"), key, value) parts +=
		json_number_value(value);
	assert_float_equal(parts, number(wall, "sum"), 1e-6);
	assert_int_equal(json_object_size(json_object_get(f, "breakdown_seconds")),
			 WAIT_CLASSES + 1);

	counts = json_object_get(json_object_get(wall, "buckets"), "counts");
	offset = json_integer_value(json_object_get(json_object_get(wall, "buckets"), "offset"));
	json_array_foreach(counts, i, value)
	{
		sum += json_integer_value(value);
		if (!i || i + 1 == json_array_size(counts))
			assert_true(json_integer_value(value) > 0);
	}
	assert_int_equal(sum, 1843);
	assert_true(exp2(offset / 8.0) < number(wall, "min"));
	assert_true(exp2((offset + 1) / 8.0) >= number(wall, "min"));
	assert_true(exp2((offset + json_array_size(counts)) / 8.0) >= number(wall, "max"));
	assert_true(number(wall, "p50") < number(wall, "p95"));

	/* No call of this one ended. */
	f = find_function(root, "serve_forever");
	wall = json_object_get(f, "wall_seconds");
	assert_true(json_is_null(json_object_get(wall, "p50")));
	assert_true(json_is_null(json_object_get(wall, "max")));
	assert_int_equal(json_integer_value(json_object_get(wall, "censored")), 1);
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(wall, "buckets"), "counts")), 0);
	assert_string_equal(json_string_value(json_object_get(f, "method")), "exact");
	json_decref(root);
	profile__free(profile);
}

static void json_is_narrowed(void **state)
{
	struct show_options options = {.function_glob = "Cart.*", .top = 1};
	struct profile *profile = sample_profile();
	json_t *root;

	(void)state;
	profile->functions[0].called = false;
	profile->functions[0].stack_inclusive_ns = profile->functions[0].wall.sum_ns;
	root = parsed(profile, &options);
	assert_int_equal(json_array_size(json_object_get(root, "functions")), 1);
	assert_int_equal(json_array_size(json_object_get(root, "waits")), 1);
	assert_int_equal(json_array_size(json_object_get(root, "processes")), 3);
	json_decref(root);
	options.function_glob = NULL;
	root = parsed(profile, &options);
	/* One for each process that has any. */
	assert_int_equal(json_array_size(json_object_get(root, "functions")), 2);
	assert_string_equal(
		json_string_value(json_object_get(find_function(root, "Handler.do_GET"), "method")),
		"none");
	json_decref(root);
	profile__free(profile);
}

static void json_keeps_hostile_names(void **state)
{
	struct profile *profile = sample_hostile();
	json_t *root = parsed(profile, &plain), *f;

	(void)state;
	f = json_array_get(json_object_get(root, "functions"), 0);
	assert_string_equal(json_string_value(json_object_get(f, "function")),
			    "ev\033[31mil\342\200\256\n\\xff\\xc3(\344\270\255\\xe2\\x82");
	json_decref(root);
	profile__free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_has_every_key),
		cmocka_unit_test(json_numbers_add_up),
		cmocka_unit_test(json_is_narrowed),
		cmocka_unit_test(json_keeps_hostile_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
