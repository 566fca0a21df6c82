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

static void assert_keys(json_t *object, const char *keys, const char *path)
{
	char *list = sample_text(keys);

	for (char *key = strtok(list, " "); key; key = strtok(NULL, " ")) {
		if (!json_object_get(object, key))
			fail_msg("%s has no key \"%s\"", path, key);
	}
	free(list);
}

static void add_frames(struct profile *profile, uint32_t **frames, size_t *count)
{
	struct profile_name *name = profile__add_name(profile);

	*frames = calloc(1, sizeof(**frames));
	if (!name || !*frames)
		abort();
	name->function = sample_text("work");
	name->file = sample_text("/srv/app.py");
	**frames = (uint32_t)(profile->name_count - 1);
	*count = 1;
}

static void add_function_with_everything(struct profile *profile)
{
	struct profile_function *f = sample_function(profile, 7, "work", "/srv/app.py", 4);
	struct profile_cause *cause = calloc(1, sizeof(*cause));

	if (!cause)
		abort();
	sample_calls(f, 100, 1e6, 0.3, 1, (double[WAIT_CLASSES]){0});
	sample_tail(f, 10, 5e6);
	cause->function = sample_text("resize");
	cause->calls = 7;
	f->tail.causes = cause;
	f->tail.cause_count = 1;
	f->repeat.target = sample_text("10.0.3.7:5432");
	f->repeat.count = 1200;
	f->repeat.below = NOTHING_BELOW;
}

/* Every array has one entry, and every object of it is there. */
static struct profile *one_of_each(void)
{
	struct profile *profile = sample_empty();
	struct profile_stack *stack;
	struct profile_fault *fault;
	struct profile_gil *gil;
	struct profile_gc *gc;

	sample_process(profile, 7, "python3 app.py", 1)->throttled_by = sample_text("/app.slice");
	sample_thread(profile, 7, 7, SECOND);
	add_function_with_everything(profile);
	sample_wait(profile, 7, WAIT_NET, "recvfrom", "work", "/srv/app.py", 4);
	sample_callback(profile, 7, "step", "janitor", 1, 20 * MS);
	profile__add_contention(profile)->tgid = 7;
	gil = profile__add_gil(profile);
	gil->tgid = 7;
	gc = profile__add_gc(profile);
	gc->tgid = 7;
	stack = profile__add_stack(profile);
	stack->tgid = 7;
	stack->part = WAIT_LOCK;
	add_frames(profile, &stack->frames, &stack->frame_count);
	add_frames(profile, &stack->waker_frames, &stack->waker_count);
	fault = profile__add_fault(profile);
	fault->tgid = 7;
	add_frames(profile, &fault->frames, &fault->frame_count);
	return profile;
}

/* "functions/0/tail": keys, and places in arrays, from the root on. */
static json_t *at_path(json_t *value, const char *path)
{
	char *list = sample_text(path);

	for (char *key = strtok(list, "/"); key; key = strtok(NULL, "/"))
		value = json_is_array(value) ? json_array_get(value, (size_t)atoi(key))
					     : json_object_get(value, key);
	if (!json_is_object(value))
		fail_msg("no object %s", path);
	free(list);
	return value;
}

static void json_has_every_key(void **state)
{
	static const char histogram[] = "sum min max p50 p90 p95 p99 censored count buckets";
	static const char frame[] = "function file line";
	static const char parts[] =
		"oncpu gil lock sleep poll net disk pipe child fault runq other";
	const struct {
		const char *path, *keys;
	} objects[] = {
		{"",
		 "schema version host kernel started duration_seconds probed_seconds "
		 "probe_cost samples_hz samples_event own processes threads functions waits asyncio gil "
		 "stacks page_faults gc losses"},
		{"probe_cost",
		 "entry_seconds exit_seconds empty_seconds switch_seconds sample_seconds"},
		{"own", "cpu_seconds window_cpu_seconds rss_bytes"},
		{"processes/0",
		 "tgid comm command python build build_id service container_id calls_method "
		 "reason gc_method gc_reason diagnosis threads exited observed_seconds "
		 "probed_seconds cpu_seconds runq_seconds throttling gil memory samples "
		 "probe_hits overhead_share"},
		{"processes/0/diagnosis",
		 "verdict function native caller target holder waker cause "
		 "evidence next_step summary rules"},
		{"processes/0/diagnosis/rules/0",
		 "rule verdict value least of takes state decided"},
		{"processes/0/runq_seconds", "preempted woken_late"},
		{"processes/0/throttling", "seconds count cgroup"},
		{"processes/0/gil", "held_share held_share_is wanted_share interpreters after_io"},
		{"processes/0/gil/interpreters/0", "interpreter wanted_seconds"},
		{"processes/0/gil/after_io", "count seconds"},
		{"processes/0/memory",
		 "rss_bytes growth_bytes_per_second begin_bytes readings grown"},
		{"threads/0", "tgid tid name oncpu_seconds wait_seconds runq_seconds"},
		{"threads/0/wait_seconds", strchr(parts, ' ') + 1},
		{"threads/0/runq_seconds", "preempted woken_late"},
		{"functions/0",
		 "tgid function file line method calls ended_unseen began_before exceptions "
		 "segments suspended_seconds wall_seconds self_seconds probe_seconds probe_hits "
		 "breakdown_seconds stack_seconds page_faults gil_holds tail waits_per_call "
		 "repeated_target probed_seconds"},
		{"functions/0/wall_seconds", histogram},
		{"functions/0/wall_seconds/buckets", "scale offset counts"},
		{"functions/0/breakdown_seconds", parts},
		{"functions/0/stack_seconds", "inclusive exclusive"},
		{"functions/0/stack_seconds", parts},
		{"functions/0/page_faults", "inclusive exclusive"},
		{"functions/0/gil_holds", "count seconds"},
		{"functions/0/gil_holds/seconds", "sum max"},
		{"functions/0/tail", "above_seconds above_seconds_max calls of_calls wall_seconds "
				     "breakdown_seconds causes"},
		{"functions/0/tail/breakdown_seconds", parts},
		{"functions/0/tail/causes/0", "class function target calls seconds"},
		{"functions/0/repeated_target", "target class count per_call many"},
		{"waits/0", "tgid class function file line syscall target waker count block_io "
			    "idle event_loop seconds"},
		{"waits/0/seconds", histogram},
		{"asyncio", "least_seconds callbacks"},
		{"asyncio/callbacks/0", "tgid function file line task count seconds"},
		{"asyncio/callbacks/0/seconds", "sum max"},
		{"gil/0", "tgid interpreter waiter holder longest_holder count certain seconds"},
		{"gil/0/seconds", histogram},
		{"stacks/0", "tgid frames quality class count seconds native waker_frames"},
		{"stacks/0/frames/0", frame},
		{"stacks/0/waker_frames/0", frame},
		{"page_faults/0", "tgid frames quality count native"},
		{"page_faults/0/frames/0", frame},
		{"gc/0", "tgid generation function file line method count seconds"},
		{"gc/0/seconds", histogram},
	};
	struct profile *profile = one_of_each();
	json_t *root = parsed(profile, &plain);

	(void)state;
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		assert_keys(at_path(root, objects[i].path), objects[i].keys, objects[i].path);
	assert_string_equal(json_string_value(json_object_get(root, "schema")), "pytrace-bpf/1");
	assert_string_equal(json_string_value(json_object_get(root, "started")),
			    "2025-06-15T15:06:40.250Z");
	json_decref(root);
	profile__free(profile);
}

static void json_has_every_loss(void **state)
{
	struct profile *profile = sample_profile();
	json_t *root = parsed(profile, &plain), *told = json_object_get(root, "losses");

	(void)state;
	for (int i = 0; i < LOSS_COUNT; i++)
		assert_int_equal(json_integer_value(json_object_get(told, loss_key(i))),
				 profile->losses[i]);
	assert_int_equal(json_object_size(told), LOSS_COUNT);
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
		cmocka_unit_test(json_has_every_key),       cmocka_unit_test(json_has_every_loss),
		cmocka_unit_test(json_numbers_add_up),      cmocka_unit_test(json_is_narrowed),
		cmocka_unit_test(json_keeps_hostile_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
