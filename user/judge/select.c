/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Sorting and narrowing what a profile holds. */
#include "select.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "glob.h"
#include "idle.h"
#include "quantile.h"
#include "whole.h"

int sort_key_parse(const char *word, struct sort_key *key)
{
	static const struct {
		const char *word;
		enum sort_kind kind;
	} words[] = {
		{"time", SORT_TIME}, {"self", SORT_SELF}, {"calls", SORT_CALLS}, {"p50", SORT_P50},
		{"p95", SORT_P95},   {"p99", SORT_P99},   {"max", SORT_MAX},
	};

	*key = (struct sort_key){.kind = SORT_TIME};
	if (!word)
		return 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(word, words[i].word)) {
			key->kind = words[i].kind;
			return 0;
		}
	}
	key->wait_class = wait_class_of_name(word);
	if (key->wait_class == WAIT_CLASSES)
		return -EINVAL;
	key->kind = SORT_WAIT;
	return 0;
}

static double sort_value(const struct profile_function *function, const struct sort_key *key)
{
	bool all_seen = function->called && !function->windowed;
	struct whole whole;

	switch (key->kind) {
	case SORT_SELF:
		return (double)(function->windowed ? function->stack_exclusive_ns
						   : function->self_ns);
	case SORT_CALLS:
		function_whole(function, &whole);
		return whole.calls;
	case SORT_P50:
		return function_quantile_ns(function, 0.50);
	case SORT_P95:
		return function_quantile_ns(function, 0.95);
	case SORT_P99:
		return function_quantile_ns(function, 0.99);
	case SORT_MAX:
		return (double)function->wall.max_ns;
	case SORT_WAIT:
		return (double)function->wait_ns[key->wait_class];
	case SORT_TIME:
		break;
	}
	/* of what probes did not see, or not all of, stacks tell */
	return (double)(all_seen ? function->wall.sum_ns : function->stack_inclusive_ns);
}

/* What is compared, worked out once: a quantile is too dear for every comparison. */
struct ranked {
	uint32_t tgid;
	unsigned int rank; /* the lowest first */
	double value;
	const char *name, *file;
	uint32_t line;
	const void *entry;
};

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

/* A total order, so that two reports of one profile never differ. */
static int compare_ranked(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;
	int order;

	if (a->tgid != b->tgid)
		return a->tgid < b->tgid ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->value != b->value)
		return a->value > b->value ? -1 : 1;
	order = compare_text(a->name, b->name);
	if (!order)
		order = compare_text(a->file, b->file);
	if (!order)
		order = (a->line > b->line) - (a->line < b->line);
	/* Entries of one array: the address is the last resort. */
	return order ? order : (a->entry > b->entry) - (a->entry < b->entry);
}

/* Sorts, then leaves only the pointers.  Frees `ranked`; NULL without memory. */
static void *sorted_entries(struct ranked *ranked, size_t count)
{
	const void **entries = calloc(count + 1, sizeof(*entries));

	if (entries) {
		qsort(ranked, count, sizeof(*ranked), compare_ranked);
		for (size_t i = 0; i < count; i++)
			entries[i] = ranked[i].entry;
	}
	free(ranked);
	return entries;
}

int select_functions(const struct profile *profile, const char *glob, const struct sort_key *key,
		     const struct profile_function ***out, size_t *count)
{
	struct ranked *ranked = calloc(profile->function_count + 1, sizeof(*ranked));
	size_t n = 0;

	if (!ranked)
		return -ENOMEM;
	for (size_t i = 0; i < profile->function_count; i++) {
		const struct profile_function *f = &profile->functions[i];
		double value;

		if (glob && !glob_matches(glob, f->function, f->file, f->line))
			continue;
		value = sort_value(f, key);
		ranked[n++] = (struct ranked){
			.tgid = f->tgid,
			/* No call ended yet: after those of which we know something. */
			.value = isnan(value) ? -1.0 : value,
			.name = f->function,
			.file = f->file,
			.line = f->line,
			.entry = f,
		};
	}
	*count = n;
	*out = sorted_entries(ranked, n);
	return *out ? 0 : -ENOMEM;
}

enum wait_rank {
	RANK_HELD_UP,
	RANK_IDLE,
	RANK_NEXT_TO_NOTHING, /* less than a thousandth of the window: an idle one tells more */
};

static enum wait_rank wait_rank(const struct profile *profile, const struct profile_wait *wait)
{
	if (wait_is_idle(wait))
		return RANK_IDLE;
	return wait->time.sum_ns < profile->duration_ns / 1000 ? RANK_NEXT_TO_NOTHING
							       : RANK_HELD_UP;
}

int select_waits(const struct profile *profile, const char *glob, const struct profile_wait ***out,
		 size_t *count)
{
	struct ranked *ranked = calloc(profile->wait_count + 1, sizeof(*ranked));
	size_t n = 0;

	if (!ranked)
		return -ENOMEM;
	for (size_t i = 0; i < profile->wait_count; i++) {
		const struct profile_wait *w = &profile->waits[i];

		if (glob && !glob_matches(glob, w->function, w->file, w->line))
			continue;
		ranked[n++] = (struct ranked){
			.tgid = w->tgid,
			.rank = wait_rank(profile, w),
			.value = (double)w->time.sum_ns,
			.name = w->function,
			.file = w->file,
			.line = w->line,
			.entry = w,
		};
	}
	*count = n;
	*out = sorted_entries(ranked, n);
	return *out ? 0 : -ENOMEM;
}

int select_stacks(const struct profile *profile, const struct profile_stack ***out, size_t *count)
{
	struct ranked *ranked = calloc(profile->stack_count + 1, sizeof(*ranked));

	if (!ranked)
		return -ENOMEM;
	for (size_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *s = &profile->stacks[i];

		ranked[i] = (struct ranked){
			.tgid = s->tgid, .value = (double)s->ns, .line = s->part, .entry = s};
	}
	*count = profile->stack_count;
	*out = sorted_entries(ranked, *count);
	return *out ? 0 : -ENOMEM;
}

int select_faults(const struct profile *profile, const struct profile_fault ***out, size_t *count)
{
	struct ranked *ranked = calloc(profile->fault_count + 1, sizeof(*ranked));

	if (!ranked)
		return -ENOMEM;
	for (size_t i = 0; i < profile->fault_count; i++) {
		const struct profile_fault *f = &profile->faults[i];

		ranked[i] = (struct ranked){.tgid = f->tgid, .value = (double)f->count, .entry = f};
	}
	*count = profile->fault_count;
	*out = sorted_entries(ranked, *count);
	return *out ? 0 : -ENOMEM;
}

int select_gils(const struct profile *profile, const struct profile_gil ***out, size_t *count)
{
	struct ranked *ranked = calloc(profile->gil_count + 1, sizeof(*ranked));

	if (!ranked)
		return -ENOMEM;
	for (size_t i = 0; i < profile->gil_count; i++) {
		const struct profile_gil *g = &profile->gils[i];

		ranked[i] = (struct ranked){
			.tgid = g->tgid,
			.value = (double)g->time.sum_ns,
			.name = g->waiter,
			.file = g->holder,
			.entry = g,
		};
	}
	*count = profile->gil_count;
	*out = sorted_entries(ranked, *count);
	return *out ? 0 : -ENOMEM;
}

int select_callbacks(const struct profile *profile, const char *glob,
		     const struct profile_callback ***out, size_t *count)
{
	struct ranked *ranked = calloc(profile->callback_count + 1, sizeof(*ranked));
	size_t n = 0;

	if (!ranked)
		return -ENOMEM;
	for (size_t i = 0; i < profile->callback_count; i++) {
		const struct profile_callback *c = &profile->callbacks[i];

		if (glob && !glob_matches(glob, c->function, c->file, c->line))
			continue;
		ranked[n++] = (struct ranked){
			.tgid = c->tgid,
			.value = (double)c->max_ns,
			.name = c->function,
			.file = c->file,
			.line = c->line,
			.entry = c,
		};
	}
	*count = n;
	*out = sorted_entries(ranked, n);
	return *out ? 0 : -ENOMEM;
}

int select_gcs(const struct profile *profile, const char *glob, const struct profile_gc ***out,
	       size_t *count)
{
	struct ranked *ranked = calloc(profile->gc_count + 1, sizeof(*ranked));
	size_t n = 0;

	if (!ranked)
		return -ENOMEM;
	for (size_t i = 0; i < profile->gc_count; i++) {
		const struct profile_gc *gc = &profile->gcs[i];

		if (glob && !glob_matches(glob, gc->function, gc->file, gc->line))
			continue;
		ranked[n++] = (struct ranked){
			.tgid = gc->tgid,
			.value = (double)gc->time.sum_ns,
			.name = gc->function,
			.file = gc->file,
			.line = gc->line,
			.entry = gc,
		};
	}
	*count = n;
	*out = sorted_entries(ranked, n);
	return *out ? 0 : -ENOMEM;
}
