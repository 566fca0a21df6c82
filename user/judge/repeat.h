/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Functions that wait for the same thing again and again in each call: one query a row. */
#ifndef PYTRACE_REPEAT_H
#define PYTRACE_REPEAT_H

#include "../profile.h"

/* Waits for I/O in a call, callees' included; NaN if no call began. */
double waits_per_call(const struct profile_function *function);
/* Of these, those for the function's most repeated target; NaN if there is none. */
double repeats_per_call(const struct profile_function *function);

/*
 * Does it wait many times for one target in each call, and is it the innermost that does?  What
 * calls it does so too, and is not to blame.
 */
bool function_repeats(const struct profile *profile, const struct profile_function *function);

/*
 * "list_orders() does 48 waits on 127.0.0.1:5432 per call (3 calls)": with names from the target
 * as they are.  Cut at `size`.  Returns `line`.
 */
const char *repeat_line(const struct profile_function *function, char *line, size_t size);

#endif
