/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "thinning.h"

/* Until it has been measured what a wait costs whose stack is not read. */
#define HELD_PART 0.4
/* More are read again when that would cost so much less than it may: not to and fro. */
#define ROOM 0.8

double thinning_share(double waits_per_second, const struct wait_cost *cost, uint32_t every)
{
	double held = cost->held_ns > 0 ? cost->held_ns : HELD_PART * cost->walked_ns;

	if (held > cost->walked_ns)
		held = cost->walked_ns;
	return waits_per_second * (held + (cost->walked_ns - held) / (every ?: 1)) / 1e9;
}

uint32_t thinning_every(double waits_per_second, const struct wait_cost *cost, double share,
			uint32_t before)
{
	uint32_t every = 1;

	while (every < THINNING_MOST &&
	       thinning_share(waits_per_second, cost, every) > (every < before ? ROOM : 1) * share)
		every *= 2;
	return every;
}
