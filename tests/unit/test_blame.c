/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a verdict says that the longest waits were for.
 * Links: user/profile.c, and all of user/judge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../user/judge/limit.h"
#include "sample_profile.h"

struct asked {
	const char *target; /* NULL: not known */
	uint64_t ms;
};

/* The target that is named of a function that waited so long for each of these. */
static void named(const struct asked *asked, size_t count, const char *target)
{
	struct profile *profile = sample_empty();
	struct profile_process *process = sample_process(profile, 5, "python3 x.py", 1);
	struct profile_thread *thread = sample_thread(profile, 5, 5, 50 * MS);
	char line[512];
	struct limit limit;

	process->oncpu_ns = thread->oncpu_ns;
	for (size_t i = 0; i < count; i++) {
		struct profile_wait *wait =
			sample_wait(profile, 5, WAIT_NET, "recvfrom", "ask", "x.py", 10);

		wait->target = asked[i].target ? sample_text(asked[i].target) : NULL;
		histogram_add(&wait->time, asked[i].ms * MS);
		thread->wait_ns[WAIT_NET] += asked[i].ms * MS;
	}
	limit_of_process(profile, process, &limit);
	limit_line(&limit, line, sizeof(line));
	assert_string_equal(limit.verdict, "net");
	assert_string_equal(limit.function, "ask");
	if (target) {
		assert_non_null(limit.target);
		assert_string_equal(limit.target, target);
		assert_non_null(strstr(line, target));
	} else {
		assert_null(limit.target);
		assert_null(strstr(line, ", for "));
	}
	profile__free(profile);
}

#define NAMED(target, ...)                                                                         \
	named((struct asked[]){__VA_ARGS__},                                                       \
	      sizeof((struct asked[]){__VA_ARGS__}) / sizeof(struct asked), target)

static void a_target_has_most_of_the_waits(void **state)
{
	(void)state;
	NAMED("10.0.0.7:5432", {"10.0.0.7:5432", 9900});
	NAMED("10.0.0.7:5432", {"10.0.0.8:80", 4900}, {"10.0.0.7:5432", 5000});
	NAMED("10.0.0.7:5432", {"10.0.0.7:5432", 2600}, {NULL, 4900}, {"10.0.0.7:5432", 2400});
	NAMED(NULL, {"10.0.0.7:5432", 4950}, {"10.0.0.8:80", 4950});
	NAMED(NULL, {"10.0.0.7:5432", 4900}, {NULL, 5000});
}

static void those_without_room_are_not_one(void **state)
{
	(void)state;
	NAMED(NULL, {OTHER_TARGETS, 9900});
	NAMED(NULL, {"10.0.0.7:5432", 4900}, {OTHER_TARGETS, 5000});
	NAMED(NULL, {OTHER_TARGETS, 9000}, {NULL, 900});
	NAMED("10.0.0.7:5432", {OTHER_TARGETS, 4900}, {"10.0.0.7:5432", 5000});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_has_most_of_the_waits),
		cmocka_unit_test(those_without_room_are_not_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
