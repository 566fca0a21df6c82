/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Names from a target, made safe to print.  They may hold anything: escape
 * sequences, line feeds, right-to-left overrides, bytes that are no UTF-8.
 * Everything returned is malloc'd, for the caller to free; NULL without memory.
 */
#ifndef PYTRACE_ESCAPE_H
#define PYTRACE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Decodes the UTF-8 character at `text`, which a NUL ends.  Returns its length in
 * bytes, or 0 if it is not one (overlong, a surrogate, cut short, beyond U+10FFFF).
 */
size_t utf8_decode(const char *text, uint32_t *code_point);

/* Valid UTF-8: bad bytes become the text \xNN.  NULL reads as "". */
char *escape_utf8(const char *text);

/*
 * Safe for a terminal: what would move the cursor, change colours, reorder or hide
 * text becomes \xNN, \uNNNN or \UNNNNNNNN; without `utf8` all but ASCII does.
 */
char *escape_terminal(const char *text, bool utf8);

/* Columns that escaped text takes on a terminal. */
int text_columns(const char *text);

/* The first `columns` columns of escaped text at most; returns their length in bytes. */
size_t text_prefix(const char *text, int columns);

/* The end of escaped text, in at most `columns` columns, an ellipsis in front if cut. */
char *text_keep_tail(const char *text, int columns, bool utf8);

#endif
