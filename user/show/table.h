/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Tables of figures that end with a name: as wide as the screen allows, and never
 * wider.  All text given is copied and must be escaped already.
 */
#ifndef PYTRACE_TABLE_H
#define PYTRACE_TABLE_H

#include "screen.h"

#define TABLE_COLUMNS 8

struct table_column {
	const char *title; /* NULL ends the columns */
	bool left;         /* else its cells are aligned to the right */
	bool optional;     /* left out where the name would have too little room */
};

struct table_spec {
	struct table_column columns[TABLE_COLUMNS + 1];
	const char *note_title; /* NULL: no notes */
	const char *name_title;
	/*
	 * Where names get too little room: put name and note on a line of their own above
	 * the figures, instead of cutting names.
	 */
	bool stackable;
};

struct table_row {
	const char *cells[TABLE_COLUMNS];
	const char *note;
	const char *name;
	const char *place, *short_place; /* after the name if there is room; or NULL */
	const char *under;               /* on lines of its own below; or NULL */
	bool dim;
};

struct table;

/* `spec` must outlive the table.  NULL without memory. */
struct table *table__new(const struct table_spec *spec);
void table__free(struct table *table);

/* Returns 0 or -ENOMEM. */
int table__add(struct table *table, const struct table_row *row);
void table__print(const struct table *table, const struct screen *screen, int indent);

#endif
