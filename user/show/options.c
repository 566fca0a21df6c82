/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Finding out what we write to. */
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "show.h"

/* Narrower than this nothing of use fits; a terminal that says so is not believed. */
#define MIN_WIDTH 40
#define DEFAULT_WIDTH 80
#define MAX_WIDTH 1000

static int terminal_width(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	long width = 0;

	if (!ioctl(fd, TIOCGWINSZ, &size))
		width = size.ws_col;
	if (!width && columns)
		width = strtol(columns, NULL, 10);
	if (width <= 0 || width > MAX_WIDTH)
		return DEFAULT_WIDTH;
	return width < MIN_WIDTH ? MIN_WIDTH : (int)width;
}

void show_options_detect(struct show_options *options, int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool terminal = isatty(fd);

	options->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	options->width = terminal ? terminal_width(fd) : 0;
	options->color = terminal && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}
