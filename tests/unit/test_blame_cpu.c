/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a verdict says about a process that computes: the function, and its native code.
 * Links: user/profile.c, and all of user/judge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../user/judge/limit.h"
#include "sample_profile.h"

struct sampled {
	const char *function; /* NULL: no frame is known */
	const char *native;   /* NULL: the interpreter's loop */
	uint64_t ms;
};

static void add_samples(struct profile *profile, const struct sampled *sampled)
{
	struct profile_stack *stack = profile__add_stack(profile);
	struct profile_name *name;

	if (!stack)
		abort();
	stack->tgid = 5;
	stack->part = STACK_ONCPU;
	stack->ns = sampled->ms * MS;
	stack->native = sampled->native ? sample_text(sampled->native) : NULL;
	if (!sampled->function)
		return;
	stack->frames = calloc(1, sizeof(*stack->frames));
	name = profile__add_name(profile);
	if (!stack->frames || !name)
		abort();
	name->function = sample_text(sampled->function);
	name->file = sample_text("x.py");
	*stack->frames = (uint32_t)(profile->name_count - 1);
	stack->frame_count = 1;
}

/* How the sentence on a process that computes all the time ends, and the native code it names. */
static void judged(const struct sampled *sampled, size_t count, const char *end, const char *native)
{
	static const char begin[] = "CPU-bound: on-CPU 100 % of a core";
	struct profile *profile = sample_empty();
	struct profile_process *process = sample_process(profile, 5, "python3 x.py", 1);
	char line[512];
	struct limit limit;

	process->oncpu_ns = sample_thread(profile, 5, 5, 10 * SECOND)->oncpu_ns;
	process->samples = 990;
	for (size_t i = 0; i < count; i++)
		add_samples(profile, &sampled[i]);
	limit_of_process(profile, process, &limit);
	limit_line(&limit, line, sizeof(line));
	assert_int_equal(strncmp(line, begin, strlen(begin)), 0);
	assert_string_equal(line + strlen(begin), end);
	if (native)
		assert_string_equal(limit.native, native);
	else
		assert_null(limit.native);
	profile__free(profile);
}

#define JUDGED(end, native, ...)                                                                   \
	judged((struct sampled[]){__VA_ARGS__},                                                    \
	       sizeof((struct sampled[]){__VA_ARGS__}) / sizeof(struct sampled), end, native)

static void native_code_has_most_of_the_samples(void **state)
{
	static const char zlib[] = "libz.so.1.3.1: deflate";

	(void)state;
	JUDGED(", most of it in pack() (libz.so.1.3.1: deflate)", zlib, {"pack", zlib, 10000});
	JUDGED(", most of it in pack() (libz.so.1.3.1: deflate)", zlib, {"pack", zlib, 3000},
	       {"pack", "libc.so.6: memcpy", 3900}, {"pack", zlib, 3100});
	JUDGED(", most of it in pack() (libcrypto.so.3)", "libcrypto.so.3",
	       {"pack", "libcrypto.so.3", 10000});
	/* as much was the interpreter's own */
	JUDGED(", most of it in pack()", NULL, {"pack", zlib, 5000}, {"pack", NULL, 5000});
	JUDGED(", most of it in pack()", NULL, {"pack", zlib, 4900},
	       {"pack", "libc.so.6: memcpy", 4900}, {"pack", NULL, 200});
	JUDGED(", most of it in pack()", NULL, {"pack", NULL, 10000});
}

static void only_samples_of_that_function_count(void **state)
{
	static const char zlib[] = "libz.so.1.3.1: deflate";

	(void)state;
	JUDGED(", the largest part in loop()", NULL, {"loop", NULL, 4500}, {"pack", zlib, 4000},
	       {"unpack", zlib, 1500});
	JUDGED(", the largest part in pack() (libz.so.1.3.1: deflate)", zlib, {"loop", NULL, 3500},
	       {"pack", zlib, 4500}, {NULL, "libc.so.6: memcpy", 2000});
	JUDGED("", NULL, {NULL, zlib, 10000});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(native_code_has_most_of_the_samples),
		cmocka_unit_test(only_samples_of_that_function_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
