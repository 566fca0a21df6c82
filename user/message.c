/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Lines on stderr. */
#include "message.h"

#include <stdarg.h>
#include <stdio.h>

void message(const char *format, ...)
{
	va_list arguments;

	fputs("pytrace-bpf: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}
