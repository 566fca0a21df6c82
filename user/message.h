/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What we tell people beside the report. */
#ifndef PYTRACE_MESSAGE_H
#define PYTRACE_MESSAGE_H

/* One line on stderr, after the program's name. */
__attribute__((format(printf, 1, 2))) void message(const char *format, ...);

#endif
