// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include "repeat.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "glob.h"
#include "places.h"

/* One call in which much is read is no pattern, and a few waits are none either. */
#define LEAST_CALLS 2
#define LEAST_WAITS 20
#define LEAST_PER_CALL 5.0
#define COMPREHENSIONS 4 /* one in another that are looked through */

static double per_call(uint64_t count, const struct profile_function *function)
{
	return function->calls ? (double)count / (double)function->calls : NAN;
}

double waits_per_call(const struct profile_function *function)
{
	return per_call(function->io_waits, function);
}

double repeats_per_call(const struct profile_function *function)
{
	return function->repeat.target ? per_call(function->repeat.count, function) : NAN;
}

static bool is_many(const struct profile_function *function)
{
	return function->repeat.target && function->calls >= LEAST_CALLS &&
	       function->repeat.count >= LEAST_WAITS &&
	       repeats_per_call(function) >= LEAST_PER_CALL;
}

static bool same_target(const struct profile_repeat *a, const struct profile_repeat *b)
{
	return a->wait_class == b->wait_class && !strcmp(a->target, b->target);
}

/* A function of its own in the interpreter (up to 3.11; generators still), a part of one in the
 * code. */
static bool is_comprehension(const struct profile_function *function)
{
	static const char *const names[] = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"};
	const char *name = function->function ? last_component(function->function) : "";

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* What most of its waits came through that it calls; NULL: it waits itself. */
static const struct profile_function *called(const struct profile *profile,
					     const struct profile_function *function)
{
	for (int i = 0; i < COMPREHENSIONS; i++) {
		if (function->repeat.below >= profile->function_count)
			return NULL;
		function = &profile->functions[function->repeat.below];
		if (!is_comprehension(function))
			break;
	}
	return function;
}

/* It is what makes them many: what it calls does not do so itself, or it calls that many times. */
static bool makes_many(const struct profile *profile, const struct profile_function *function)
{
	const struct profile_function *below;

	if (!is_many(function) || is_comprehension(function))
		return false;
	below = called(profile, function);
	return !below || below == function || !is_many(below) ||
	       !same_target(&below->repeat, &function->repeat) ||
	       repeats_per_call(function) >= LEAST_PER_CALL * repeats_per_call(below);
}

/* Does a function that is no library's make many waits for the same? */
static bool own_code_does(const struct profile *profile, const struct profile_function *library)
{
	for (size_t i = 0; i < profile->function_count; i++) {
		const struct profile_function *f = &profile->functions[i];

		if (f->tgid == library->tgid && !place_is_library(f->file) &&
		    makes_many(profile, f) && same_target(&f->repeat, &library->repeat))
			return true;
	}
	return false;
}

bool function_repeats(const struct profile *profile, const struct profile_function *function)
{
	return makes_many(profile, function) &&
	       !(place_is_library(function->file) && own_code_does(profile, function));
}

const char *repeat_line(const struct profile_function *function, char *line, size_t size)
{
	double repeats = repeats_per_call(function);

	snprintf(line, size, "%s() does %.*f waits on %s per call (%llu calls)", function->function,
		 repeats < 10 && repeats != floor(repeats), repeats, function->repeat.target,
		 (unsigned long long)function->calls);
	return line;
}
