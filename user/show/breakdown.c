/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Shares of time on one line. */
#include "breakdown.h"

#include <stdio.h>
#include <string.h>

const char *format_breakdown(char *out, size_t size, const uint64_t parts[LIMIT_PARTS],
			     uint64_t whole, int most)
{
	uint64_t left[LIMIT_PARTS];
	size_t used = 0;

	*out = '\0';
	memcpy(left, parts, sizeof(left));
	for (int n = 0; whole && n < most && used < size; n++) {
		int best = limit_largest(left);
		double percent = 100.0 * (double)left[best] / (double)whole;
		if (percent < 0.5)
			break;
		used += snprintf(out + used, size - used, "%s%s %.0f%%", n ? " " : "",
				 limit_part_name(best), percent);
		left[best] = 0;
	}
	return out;
}

/* Of calls' wall time; what is no wait was on-CPU. */
static const char *calls_breakdown(char *out, size_t size, const uint64_t wait_ns[WAIT_CLASSES],
				   uint64_t wall)
{
	uint64_t parts[LIMIT_PARTS], waited = 0;

	for (int c = 0; c < WAIT_CLASSES; c++) {
		parts[c] = wait_ns[c];
		waited += parts[c];
	}
	parts[LIMIT_ONCPU] = wall > waited ? wall - waited : 0;
	return format_breakdown(out, size, parts, wall, 4);
}

const char *function_breakdown(char *out, size_t size, const struct profile_function *function)
{
	if (function->suspends) {
		*out = '\0';
		return out;
	}
	/* of all its time, not only what windows saw of it */
	if (function->windowed && function->stack_inclusive_ns)
		return format_breakdown(out, size, function->stack_ns, function->stack_inclusive_ns,
					4);
	return calls_breakdown(out, size, function->wait_ns, function->wall.sum_ns);
}

const char *tail_breakdown(char *out, size_t size, const struct profile_tail *tail)
{
	return calls_breakdown(out, size, tail->wait_ns, tail->wall_ns);
}
