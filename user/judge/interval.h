/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How far what probe windows saw may be from what all calls did. */
#ifndef PYTRACE_INTERVAL_H
#define PYTRACE_INTERVAL_H

#include <stdbool.h>

#include "../profile.h"
#include "quantile.h"

struct interval {
	double low, high; /* INFINITY: beyond what was watched */
};

/*
 * 95 % intervals; of told_quantiles[] in ns, and of calls a second: the latter
 * from what it would be if what the probes took was idle time, to what it is if that held up all
 * else, and a hit costs a fifth more than was measured.
 */
struct intervals {
	struct interval quantiles[TOLD_QUANTILES];
	struct interval calls_per_second;
};

/*
 * From how much the groups of probe windows differ: they are drawn anew, with replacement, many
 * times (the same each time this is called).  False if there is nothing to tell an interval from:
 * every call was seen, or there were too few windows.
 */
bool function_intervals(const struct profile_function *function,
			const struct profile_process *process, struct intervals *out);

#endif
