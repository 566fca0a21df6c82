/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Making hostile names visible instead of effective. */
#include "escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* The longest escape: \UNNNNNNNN. */
#define ESCAPE_BYTES 10

size_t utf8_decode(const char *text, uint32_t *code_point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *s = (const unsigned char *)text;
	size_t length;
	uint32_t value;

	if (s[0] < 0x80) {
		*code_point = s[0];
		return 1;
	}
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	value = s[0] & (0x7f >> length);
	for (size_t i = 1; i < length; i++) {
		/* Stops at the closing NUL too. */
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (s[i] & 0x3f);
	}
	if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*code_point = value;
	return length;
}

/*
 * Characters that wcwidth() lets through but that show nothing, or change how their
 * neighbours are shown.
 */
static bool is_deceptive(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{0x00ad, 0x00ad},    /* soft hyphen */
		{0x034f, 0x034f},    /* grapheme joiner */
		{0x061c, 0x061c},    /* Arabic letter mark */
		{0x115f, 0x1160},    /* Hangul fillers */
		{0x17b4, 0x17b5},    /* Khmer invisible vowels */
		{0x180b, 0x180f},    /* Mongolian selectors */
		{0x200b, 0x200f},    /* zero widths, direction marks */
		{0x2028, 0x202e},    /* separators, direction overrides */
		{0x2060, 0x206f},    /* joiners, isolates */
		{0x3164, 0x3164},    /* Hangul filler */
		{0xe000, 0xf8ff},    /* private use */
		{0xfe00, 0xfe0f},    /* variation selectors */
		{0xfeff, 0xfeff},    /* byte order mark */
		{0xffa0, 0xffa0},    /* Hangul filler */
		{0xfff0, 0xffff},    /* annotations, specials */
		{0xe0000, 0x10ffff}, /* tags, selectors, private use */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	}
	return false;
}

static bool is_printable(uint32_t c, bool utf8)
{
	if (c < 0x20 || c == 0x7f)
		return false;
	if (c < 0x7f)
		return true;
	return utf8 && !is_deceptive(c) && wcwidth((wchar_t)c) >= 0;
}

static int write_escape(char *out, uint32_t c)
{
	const char *format = c < 0x80 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";

	return snprintf(out, ESCAPE_BYTES + 1, format, c);
}

/* One character of `text` to `out`; returns how many bytes of text it was. */
static size_t escape_one(const char *text, char **out, bool terminal, bool utf8)
{
	uint32_t c;
	size_t length = utf8_decode(text, &c);

	if (!length) {
		*out += snprintf(*out, ESCAPE_BYTES + 1, "\\x%02x", (unsigned char)*text);
		return 1;
	}
	if (terminal && !is_printable(c, utf8)) {
		*out += write_escape(*out, c);
	} else {
		memcpy(*out, text, length);
		*out += length;
	}
	return length;
}

static char *escape(const char *text, bool terminal, bool utf8)
{
	char *out, *end;

	if (!text)
		text = "";
	/* A byte becomes four at most, but a two-byte character six. */
	out = malloc(strlen(text) * 4 + ESCAPE_BYTES + 1);
	if (!out)
		return NULL;
	end = out;
	while (*text)
		text += escape_one(text, &end, terminal, utf8);
	*end = '\0';
	return out;
}

char *escape_utf8(const char *text)
{
	return escape(text, false, true);
}

char *escape_terminal(const char *text, bool utf8)
{
	return escape(text, true, utf8);
}

static int columns_of(uint32_t c)
{
	int columns = c < 0x7f ? 1 : wcwidth((wchar_t)c);

	return columns < 0 ? 1 : columns;
}

int text_columns(const char *text)
{
	int columns = 0;
	uint32_t c;

	while (*text) {
		size_t length = utf8_decode(text, &c);

		columns += length ? columns_of(c) : 1;
		text += length ? length : 1;
	}
	return columns;
}

size_t text_prefix(const char *text, int columns)
{
	const char *p = text;
	uint32_t c;

	while (*p) {
		size_t length = utf8_decode(p, &c);
		int width = length ? columns_of(c) : 1;

		if (width > columns)
			break;
		columns -= width;
		p += length ? length : 1;
	}
	return (size_t)(p - text);
}

char *text_keep_tail(const char *text, int columns, bool utf8)
{
	const char *ellipsis = utf8 ? "\u2026" : "..";
	int room = columns - (utf8 ? 1 : 2), have = text_columns(text);
	uint32_t c;
	char *out;

	if (have <= columns)
		return strdup(text);
	while (*text && have > room) {
		size_t length = utf8_decode(text, &c);

		have -= length ? columns_of(c) : 1;
		text += length ? length : 1;
	}
	/* A combining character must not sit on the ellipsis. */
	while (*text && utf8_decode(text, &c) && !columns_of(c))
		text += utf8_decode(text, &c);
	if (asprintf(&out, "%s%s", columns > 1 ? ellipsis : "", text) < 0)
		return NULL;
	return out;
}
