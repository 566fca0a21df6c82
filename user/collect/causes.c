/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "causes.h"

#include <stdlib.h>
#include <string.h>

static bool is_same(const struct slow_cause *a, const struct slow_cause *b)
{
	return a->wait_class == b->wait_class && a->who == b->who && a->target == b->target;
}

/* Its entry, or that of the smallest where there is no room; NULL without memory. */
static struct cause_total *entry_of(struct function_total *function, const struct slow_cause *cause)
{
	struct cause_total *causes, *least;

	for (size_t i = 0; i < function->cause_count; i++)
		if (is_same(&function->causes[i].cause, cause))
			return &function->causes[i];
	if (function->cause_count < FUNCTION_CAUSES) {
		causes = reallocarray(function->causes, function->cause_count + 1, sizeof(*causes));
		if (!causes)
			return NULL;
		function->causes = causes;
		least = &causes[function->cause_count++];
	} else {
		least = function->causes;
		for (size_t i = 1; i < function->cause_count; i++)
			if (function->causes[i].ns < least->ns)
				least = &function->causes[i];
	}
	*least = (struct cause_total){.cause = *cause};
	return least;
}

void causes_add_many(struct function_total *function, const struct slow_cause *cause,
		     uint64_t calls, uint64_t ns)
{
	struct cause_total *total = entry_of(function, cause);

	if (!total)
		return;
	total->calls += calls;
	total->ns += ns;
}

void causes_add(struct function_total *function, const struct slow_cause *cause, uint64_t ns)
{
	causes_add_many(function, cause, 1, ns);
}

void causes_rename(struct function_total *function, const struct function_total *from,
		   const struct function_total *to)
{
	for (size_t i = 0; i < function->cause_count; i++)
		if (function->causes[i].cause.who == from)
			function->causes[i].cause.who = to;
}

void causes_forget(struct function_total *function)
{
	free(function->causes);
	function->causes = NULL;
	function->cause_count = 0;
}

void causes_move(struct function_total *to, const struct function_total *from)
{
	for (size_t i = 0; i < from->cause_count; i++)
		causes_add_many(to, &from->causes[i].cause, from->causes[i].calls,
				from->causes[i].ns);
}

static int longest_first(const void *a, const void *b)
{
	const struct profile_cause *x = a, *y = b;

	return x->ns < y->ns ? 1 : x->ns > y->ns ? -1 : 0;
}

int causes_profile(struct profile_tail *out, const struct function_total *function)
{
	if (!function->cause_count)
		return 0;
	out->causes = calloc(function->cause_count, sizeof(*out->causes));
	if (!out->causes)
		return -1;
	out->cause_count = function->cause_count;
	for (size_t i = 0; i < function->cause_count; i++) {
		const struct cause_total *total = &function->causes[i];
		struct profile_cause *cause = &out->causes[i];

		cause->wait_class = total->cause.wait_class;
		if (total->cause.who)
			cause->function = strdup(total->cause.who->name.function);
		cause->target = target_total__name(total->cause.target);
		cause->calls = total->calls;
		cause->ns = total->ns;
	}
	qsort(out->causes, out->cause_count, sizeof(*out->causes), longest_first);
	return 0;
}
