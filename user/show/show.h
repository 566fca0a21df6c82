/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What every writer of a report is told. */
#ifndef PYTRACE_SHOW_H
#define PYTRACE_SHOW_H

#include <stdbool.h>

struct show_options {
	int width;    /* columns to fit; 0: not a terminal, nothing is cut or wrapped */
	bool color;   /* escape sequences for bold, dim and one warning colour */
	bool utf8;    /* what is printed may hold UTF-8; else it is escaped to ASCII */
	bool explain; /* text: the rules behind each verdict, with their numbers */
	int top;      /* rows a table and process; 0: what suits the format (text 20, JSON all) */
	const char *sort;          /* an argument of --sort (judge/select.h), or NULL */
	const char *function_glob; /* which functions and waits to show; NULL: all */
};

/*
 * Sets width, color and utf8 for what `fd` is: a terminal's own width (COLUMNS where
 * it does not tell), colour unless NO_COLOR is set or TERM is "dumb"; a pipe or a file
 * gets neither.  Call setlocale(LC_CTYPE, "") before.
 */
void show_options_detect(struct show_options *options, int fd);

#endif
