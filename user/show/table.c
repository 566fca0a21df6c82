/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Laying out tables. */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"

#define GAP 2
/* How far figures stand below their name where they are stacked. */
#define STACK_INDENT 2
#define UNDER_INDENT 4
/* Further apart than this, the eye does not find the note that belongs to a name. */
#define STACK_WIDTH 100
/* A name of fewer columns says nothing: rather have fewer figures. */
#define LEAST_ROOM 12
#define MOST_ROOM 60

struct row {
	char *cells[TABLE_COLUMNS];
	char *note, *name, *place, *short_place, *under;
	bool dim;
};

struct table {
	const struct table_spec *spec;
	int columns;
	struct row *rows;
	size_t count;
};

/* How the table is laid out on one screen. */
struct plan {
	bool stacked;
	bool shown[TABLE_COLUMNS];
	int width[TABLE_COLUMNS];
	int note_width;
	int figures; /* columns taken by the shown cells, gaps between them included */
	int room;    /* for name and place; 0: no limit */
	int wanted;  /* for the longest name and its short place */
};

struct table *table__new(const struct table_spec *spec)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->spec = spec;
	while (spec->columns[table->columns].title)
		table->columns++;
	return table;
}

static void free_row(struct row *row)
{
	for (int i = 0; i < TABLE_COLUMNS; i++)
		free(row->cells[i]);
	free(row->note);
	free(row->name);
	free(row->place);
	free(row->short_place);
	free(row->under);
}

void table__free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++)
		free_row(&table->rows[i]);
	free(table->rows);
	free(table);
}

static char *copy(const char *text, bool *failed)
{
	char *copied = strdup(text ? text : "");

	if (!copied)
		*failed = true;
	return copied;
}

int table__add(struct table *table, const struct table_row *row)
{
	struct row *rows = reallocarray(table->rows, table->count + 1, sizeof(*rows));
	struct row added = {.dim = row->dim};
	bool failed = false;

	if (!rows)
		return -ENOMEM;
	table->rows = rows;
	for (int i = 0; i < table->columns; i++)
		added.cells[i] = copy(row->cells[i], &failed);
	added.note = copy(row->note, &failed);
	added.name = copy(row->name, &failed);
	added.place = copy(row->place, &failed);
	added.short_place = copy(row->short_place, &failed);
	added.under = copy(row->under, &failed);
	if (failed) {
		free_row(&added);
		return -ENOMEM;
	}
	rows[table->count++] = added;
	return 0;
}

static int max(int a, int b)
{
	return a > b ? a : b;
}

static void measure(const struct table *table, struct plan *plan)
{
	for (int c = 0; c < table->columns; c++) {
		plan->shown[c] = true;
		plan->width[c] = text_columns(table->spec->columns[c].title);
	}
	if (table->spec->note_title)
		plan->note_width = text_columns(table->spec->note_title);
	for (size_t i = 0; i < table->count; i++) {
		for (int c = 0; c < table->columns; c++)
			plan->width[c] = max(plan->width[c], text_columns(table->rows[i].cells[c]));
		plan->note_width = max(plan->note_width, text_columns(table->rows[i].note));
		plan->wanted = max(plan->wanted, text_columns(table->rows[i].name) + GAP +
							 text_columns(table->rows[i].short_place));
	}
	/* One endless name must not take the columns from all others. */
	plan->wanted = plan->wanted < MOST_ROOM ? plan->wanted : MOST_ROOM;
}

static void set_room(const struct table *table, const struct screen *screen, int indent,
		     struct plan *plan)
{
	plan->figures = 0;
	for (int c = 0; c < table->columns; c++) {
		if (plan->shown[c])
			plan->figures += plan->width[c] + GAP;
	}
	if (!screen->width)
		return;
	plan->room = screen->width - indent - plan->figures;
	if (table->spec->note_title)
		plan->room -= plan->note_width + GAP;
}

/* The last resort, for very narrow screens. */
static void drop_what_does_not_fit(const struct table *table, const struct screen *screen,
				   int indent, struct plan *plan)
{
	for (int c = table->columns - 1; screen->width && c > 0; c--) {
		if (plan->stacked ? plan->figures - GAP + STACK_INDENT <= screen->width - indent
				  : plan->room >= LEAST_ROOM)
			return;
		plan->shown[c] = false;
		set_room(table, screen, indent, plan);
	}
}

static void lay_out(const struct table *table, const struct screen *screen, int indent,
		    struct plan *plan)
{
	*plan = (struct plan){0};
	measure(table, plan);
	set_room(table, screen, indent, plan);
	/* Optional columns go, from the right, rather than the places of names. */
	for (int c = table->columns - 1; c >= 0; c--) {
		if (screen->width && plan->room < plan->wanted &&
		    table->spec->columns[c].optional) {
			plan->shown[c] = false;
			set_room(table, screen, indent, plan);
		}
	}
	plan->stacked = screen->width && plan->room < plan->wanted && table->spec->stackable;
	drop_what_does_not_fit(table, screen, indent, plan);
}

/* Prints name and place in at most plan->room columns; returns how many it took. */
static int put_name(const struct plan *plan, const struct screen *screen, const struct row *row,
		    int room)
{
	const char *places[] = {row->place, row->short_place};
	int name = text_columns(row->name), place;
	enum style style = row->dim ? STYLE_DIM : STYLE_TITLE;
	char *tail;

	for (int i = 0; i < 2; i++) {
		place = text_columns(places[i]);
		if (!place || (screen->width && name + GAP + place > room))
			continue;
		screen_put(screen, plan->stacked || row->dim ? style : STYLE_PLAIN, row->name);
		screen_pad(screen, GAP);
		screen_put(screen, STYLE_DIM, places[i]);
		return name + GAP + place;
	}
	if (screen->width && name > room) {
		tail = text_keep_tail(row->name, max(room, 1), screen->utf8);
		if (tail)
			screen_put(screen, row->dim ? STYLE_DIM : STYLE_PLAIN, tail);
		name = tail ? text_columns(tail) : 0;
		free(tail);
		return name;
	}
	screen_put(screen, plan->stacked || row->dim ? style : STYLE_PLAIN, row->name);
	return name;
}

static void put_cells(const struct table *table, const struct plan *plan,
		      const struct screen *screen, char *const *cells, bool dim)
{
	enum style style = dim ? STYLE_DIM : STYLE_PLAIN;
	int pending = 0;

	for (int c = 0; c < table->columns; c++) {
		int gap = plan->width[c] - text_columns(cells[c]);

		if (!plan->shown[c])
			continue;
		/* Blanks wait until something follows them: no line ends with one. */
		if (!table->spec->columns[c].left)
			pending += gap;
		screen_pad(screen, pending);
		screen_put(screen, style, cells[c]);
		pending = GAP + (table->spec->columns[c].left ? gap : 0);
	}
	if (!plan->stacked)
		screen_pad(screen, pending);
}

static void put_row(const struct table *table, const struct plan *plan, const struct screen *screen,
		    int indent, const struct row *row)
{
	int used;

	screen_pad(screen, indent);
	if (plan->stacked) {
		/* A short note leaves more of the line to the name. */
		int note = text_columns(row->note);
		int width = (screen->width < STACK_WIDTH ? screen->width : STACK_WIDTH) - indent;

		used = put_name(plan, screen, row, width - (note ? note + GAP : 0));
		if (note) {
			screen_pad(screen, width - used - note);
			screen_put(screen, row->dim ? STYLE_DIM : STYLE_PLAIN, row->note);
		}
		fputc('\n', screen->out);
		screen_pad(screen, indent + STACK_INDENT);
		put_cells(table, plan, screen, row->cells, row->dim);
	} else {
		put_cells(table, plan, screen, row->cells, row->dim);
		if (table->spec->note_title) {
			screen_put(screen, row->dim ? STYLE_DIM : STYLE_PLAIN, row->note);
			screen_pad(screen, plan->note_width - text_columns(row->note) + GAP);
		}
		put_name(plan, screen, row, plan->room);
	}
	fputc('\n', screen->out);
	if (*row->under)
		screen_paragraph(screen, STYLE_DIM, indent + UNDER_INDENT,
				 indent + UNDER_INDENT + STACK_INDENT, row->under);
}

void table__print(const struct table *table, const struct screen *screen, int indent)
{
	struct row header = {
		.note = (char *)(table->spec->note_title ? table->spec->note_title : ""),
		.name = (char *)table->spec->name_title,
		.place = "",
		.short_place = "",
		.under = "",
		.dim = true,
	};
	struct plan plan;

	for (int c = 0; c < table->columns; c++)
		header.cells[c] = (char *)table->spec->columns[c].title;
	lay_out(table, screen, indent, &plan);
	put_row(table, &plan, screen, indent, &header);
	for (size_t i = 0; i < table->count; i++)
		put_row(table, &plan, screen, indent, &table->rows[i]);
}
