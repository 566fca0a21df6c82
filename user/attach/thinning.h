/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How many of the stacks of threads that wait are read: each, as long as a process's waits cost it
 * no more than they may, else one in so many, and in between a thread that is in the same system
 * call in the same place is taken to be in what it was in then.  What is told of waits but for
 * their functions stays exact.  Pure.
 */
#ifndef PYTRACE_THINNING_H
#define PYTRACE_THINNING_H

#include <stdint.h>

#define THINNING_MOST 256

/* What one wait costs, in ns; 0: not measured yet. */
struct wait_cost {
	double walked_ns; /* with its stack read */
	double held_ns;   /* and without */
};

/* The share of its time that a process loses that waits so often a second. */
double thinning_share(double waits_per_second, const struct wait_cost *cost, uint32_t every);
/* Of how many one is to be read, so that it loses no more than `share`; it was `before`. */
uint32_t thinning_every(double waits_per_second, const struct wait_cost *cost, double share,
			uint32_t before);

#endif
