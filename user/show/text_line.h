/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Lines and rows of the report for people that have names of a target in them. */
#ifndef PYTRACE_TEXT_LINE_H
#define PYTRACE_TEXT_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "screen.h"
#include "table.h"

#define TEXT_INDENT 2
#define TEXT_PLACE_BYTES 640

/* A formatted line, escaped and printed.  0 or -ENOMEM, as all here. */
__attribute__((format(printf, 4, 5))) int
text_put_line(const struct screen *screen, enum style style, int indent, const char *format, ...);

/* Adds a row whose name and places come from the target as they are. */
int text_add_named(struct table *table, const struct screen *screen, struct table_row *row);

/* The rows of a table: the first `top` are shown. */
struct text_rows {
	size_t top;
	size_t shown, hidden;
};

/* Is the next row shown?  Counts it. */
bool text_rows_take(struct text_rows *rows);

/* A blank line, the table, and how many more there are of what a row is; nothing without rows. */
int text_put_table(const struct table *table, const struct screen *screen,
		   const struct text_rows *rows, const char *what);

#endif
