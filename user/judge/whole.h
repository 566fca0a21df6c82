/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What all calls of a function come to, where probe windows saw a part of them. */
#ifndef PYTRACE_WHOLE_H
#define PYTRACE_WHOLE_H

#include <stdbool.h>

#include "../profile.h"

/* How far a number can be relied on. */
enum whole_quality {
	WHOLE_EXACT,
	WHOLE_ESTIMATED,
	WHOLE_AT_LEAST, /* probes took most of the time they were on: more is not known */
};

/* In the time its process was watched. */
struct whole {
	double calls;
	enum whole_quality quality; /* of `calls` */
	/* from stacks, which are always seen, if there were windows; NAN: not known */
	double wall_ns, self_ns;
};

void function_whole(const struct profile_function *function, struct whole *out);

/*
 * How often it is called when it is not probed: its calls by the time that was probed, without what
 * the probes took of that.  NAN where they took so much that this could be anything; 0 where
 * nothing was probed.
 */
double function_calls_per_second(const struct profile_function *function);

/*
 * Little's law, a check of one instrument by the other: how often it is called, times how long that
 * takes, as windows say, by how long threads were in it, as stacks say.  1 if both are right; above
 * it for a function that calls itself, whose calls are in each other.  NAN where it is not known.
 */
double function_littles_law(const struct profile_function *function);
/* Are they so far apart that one of them cannot be right? */
bool littles_law_is_broken(double ratio);

/*
 * The part of the probed time that was left to its process at the least.  (A thread that waits
 * loses nothing while it does; one that runs may have lost all of it.)
 */
double function_least_left(const struct profile_function *function);

/* Was it watched for a part of the time only, others having had their turn? */
bool function_watched_in_turns(const struct profile_function *function);

#endif
