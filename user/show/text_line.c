/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "text_line.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "escape.h"

int text_put_line(const struct screen *screen, enum style style, int indent, const char *format,
		  ...)
{
	char *line, *safe;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(&line, format, arguments);
	va_end(arguments);
	if (length < 0)
		return -ENOMEM;
	safe = escape_terminal(line, screen->utf8);
	free(line);
	if (!safe)
		return -ENOMEM;
	screen_paragraph(screen, style, indent, TEXT_INDENT + 2, safe);
	free(safe);
	return 0;
}

int text_add_named(struct table *table, const struct screen *screen, struct table_row *row)
{
	char *name = escape_terminal(row->name, screen->utf8);
	char *place = escape_terminal(row->place, screen->utf8);
	char *short_place = escape_terminal(row->short_place, screen->utf8);
	int err = -ENOMEM;

	if (name && place && short_place) {
		row->name = name;
		row->place = place;
		row->short_place = short_place;
		err = table__add(table, row);
	}
	free(name);
	free(place);
	free(short_place);
	return err;
}

bool text_rows_take(struct text_rows *rows)
{
	if (rows->shown == rows->top) {
		rows->hidden++;
		return false;
	}
	rows->shown++;
	return true;
}

int text_put_table(const struct table *table, const struct screen *screen,
		   const struct text_rows *rows, const char *what)
{
	if (!rows->shown)
		return 0;
	fputc('\n', screen->out);
	table__print(table, screen, TEXT_INDENT);
	if (!rows->hidden)
		return 0;
	return text_put_line(screen, STYLE_DIM, TEXT_INDENT, "and %zu more %s%s (--top)",
			     rows->hidden, what, rows->hidden == 1 ? "" : "s");
}
