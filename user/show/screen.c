/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Styles and line breaking. */
#include "screen.h"

#include <string.h>

#include "escape.h"

void screen_put(const struct screen *screen, enum style style, const char *text)
{
	static const char *const codes[] = {
		[STYLE_TITLE] = "\033[1m",
		[STYLE_DIM] = "\033[2m",
		[STYLE_WARN] = "\033[33m",
	};

	if (screen->color && codes[style])
		fprintf(screen->out, "%s%s\033[0m", codes[style], text);
	else
		fputs(text, screen->out);
}

void screen_pad(const struct screen *screen, int columns)
{
	if (columns > 0)
		fprintf(screen->out, "%*s", columns, "");
}

/* The bytes of `text` for one line of `room` columns: up to a blank if there is one. */
static size_t line_bytes(const char *text, int room)
{
	size_t fits = text_prefix(text, room > 1 ? room : 1), end;

	/* A wide character alone in one column: print it all the same, or never end. */
	if (!fits)
		return text_prefix(text, 2);
	if (!text[fits])
		return fits;
	end = fits;
	while (end && text[end] != ' ')
		end--;
	while (end && text[end - 1] == ' ')
		end--;
	return end ? end : fits;
}

void screen_paragraph(const struct screen *screen, enum style style, int indent, int hang,
		      const char *text)
{
	char line[2048];

	do {
		size_t bytes = strlen(text);

		if (screen->width)
			bytes = line_bytes(text, screen->width - indent);
		screen_pad(screen, indent);
		/* Longer lines than the buffer go out in pieces: only where nothing is cut. */
		while (bytes) {
			size_t piece = bytes < sizeof(line) ? bytes : sizeof(line) - 1;

			memcpy(line, text, piece);
			line[piece] = '\0';
			screen_put(screen, style, line);
			text += piece;
			bytes -= piece;
		}
		fputc('\n', screen->out);
		while (*text == ' ')
			text++;
		indent = hang;
	} while (*text);
}
