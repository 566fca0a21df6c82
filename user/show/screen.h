/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where text goes: how wide it is, and what styles and characters it has. */
#ifndef PYTRACE_SCREEN_H
#define PYTRACE_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

struct screen {
	FILE *out;
	int width; /* 0: no limit */
	bool color;
	bool utf8;
};

enum style {
	STYLE_PLAIN,
	STYLE_TITLE,
	STYLE_DIM,
	STYLE_WARN,
};

/* Prints escaped text in a style, which ends with it. */
void screen_put(const struct screen *screen, enum style style, const char *text);
void screen_pad(const struct screen *screen, int columns);

/*
 * Prints escaped text as a paragraph, indented by `indent` columns and its further
 * lines by `hang`, broken at blanks to fit the width.
 */
void screen_paragraph(const struct screen *screen, enum style style, int indent, int hang,
		      const char *text);

#endif
