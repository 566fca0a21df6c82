/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "text_stacks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../judge/quantile.h"
#include "../judge/glob.h"
#include "breakdown.h"
#include "escape.h"
#include "table.h"
#include "text_line.h"
#include "units.h"

static const struct table_spec stack_table = {
	.columns = {{.title = "in it"}, {.title = "on top"}},
	.note_title = "of that",
	.name_title = "function",
	.stackable = true,
};

static const struct table_spec gil_table = {
	.columns = {{.title = "waits"}, {.title = "total"}, {.title = "p95"}, {.title = "max"}},
	.name_title = "waited for the GIL in",
};

static int add_function(struct table *table, const struct screen *screen,
			const struct profile_function *f)
{
	char inclusive[UNIT_BYTES], exclusive[UNIT_BYTES], shares[128];
	char place[TEXT_PLACE_BYTES], short_place[TEXT_PLACE_BYTES];
	struct table_row row = {
		.cells = {format_duration(inclusive, (double)f->stack_inclusive_ns),
			  format_duration(exclusive, (double)f->stack_exclusive_ns)},
		.note = format_breakdown(shares, sizeof(shares), f->stack_ns, f->stack_inclusive_ns,
					 4),
		.name = f->function,
		.place = place,
		.short_place = short_place,
	};

	_Static_assert(STACK_PARTS == LIMIT_PARTS && STACK_ONCPU == LIMIT_ONCPU, "same parts");
	snprintf(place, sizeof(place), "%s:%u", f->file, f->line);
	snprintf(short_place, sizeof(short_place), "%s:%u", file_base(f->file), f->line);
	return text_add_named(table, screen, &row);
}

int text_stack_functions(const struct screen *screen, const struct profile_function **functions,
			 size_t count, size_t top)
{
	struct table *table = table__new(&stack_table);
	struct text_rows rows = {.top = top};
	int err = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < count && !err; i++)
		if (functions[i]->stack_inclusive_ns && text_rows_take(&rows))
			err = add_function(table, screen, functions[i]);
	if (!err)
		err = text_put_table(table, screen, &rows, "function");
	table__free(table);
	return err;
}

static int add_gil(struct table *table, const struct screen *screen, const struct profile_gil *gil)
{
	char count[UNIT_BYTES], total[UNIT_BYTES], p95[UNIT_BYTES], most[UNIT_BYTES];
	char place[TEXT_PLACE_BYTES];
	const char *holder = gil->holder ?: "?", *longest = gil->longest ?: "?";
	struct table_row row = {
		.cells = {count, format_duration(total, (double)gil->time.sum_ns),
			  format_duration(p95, histogram_quantile_ns(&gil->time, 0.95)),
			  format_duration(most, (double)gil->time.max_ns)},
		.name = gil->waiter ?: "(unknown)",
		.place = place,
		.short_place = place,
	};

	snprintf(count, sizeof(count), "%llu", (unsigned long long)gil->time.count);
	if (!strcmp(holder, longest))
		snprintf(place, sizeof(place), "while %s held it", holder);
	else
		snprintf(place, sizeof(place), "while %s held it, then longest %s", holder,
			 longest);
	return text_add_named(table, screen, &row);
}

int text_gils(const struct screen *screen, const struct text_request *request, uint32_t tgid,
	      size_t top)
{
	struct table *table = table__new(&gil_table);
	struct text_rows rows = {.top = top};
	int err = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < request->gil_count && !err; i++)
		if (request->gils[i]->tgid == tgid && text_rows_take(&rows))
			err = add_gil(table, screen, request->gils[i]);
	if (!err)
		err = text_put_table(table, screen, &rows, "pair");
	table__free(table);
	return err;
}
