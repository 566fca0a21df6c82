/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Shares of time on one line. */
#ifndef PYTRACE_BREAKDOWN_H
#define PYTRACE_BREAKDOWN_H

#include <stddef.h>
#include <stdint.h>

#include "../judge/limit.h"

/*
 * "gil 50% net 38% cpu 12%": the largest of `parts` (indexed as struct limit's) as
 * shares of `whole`, at most `most` of them, those under 0.5 % left out.  Cut at
 * `size`.  Returns `out`.
 */
const char *format_breakdown(char *out, size_t size, const uint64_t parts[LIMIT_PARTS],
			     uint64_t whole, int most);

/* The same of one function's wall time. */
const char *function_breakdown(char *out, size_t size, const struct profile_function *function);
/* And of its slow calls'. */
const char *tail_breakdown(char *out, size_t size, const struct profile_tail *tail);

#endif
