/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What one process is limited by, from where the time of its threads went.
 *
 * A thread is *active* while it runs or is held up by something (the GIL, a lock,
 * a socket, a disk, the run queue ...), and *idle* while it sleeps, polls or waits
 * for work.  Only active time is evidence of a limit: a hundred workers waiting on
 * an empty queue are not limited by that queue's lock.
 */
#ifndef PYTRACE_LIMIT_H
#define PYTRACE_LIMIT_H

#include "../profile.h"

/* Parts of active time: the wait classes, and running. */
#define LIMIT_ONCPU WAIT_CLASSES
#define LIMIT_PARTS (WAIT_CLASSES + 1)

#define LIMIT_EVIDENCE 8
#define LIMIT_EVIDENCE_BYTES 96

struct limit {
	uint64_t observed_ns;          /* how long the process was watched */
	uint64_t active_ns;            /* thread time, the sum of busy_ns */
	uint64_t busy_ns[LIMIT_PARTS]; /* held up, or running */
	uint64_t idle_ns[LIMIT_PARTS]; /* waiting for work, or asleep */

	const char *verdict;   /* static: "cpu", "gil", "runq", "lock", "net", ..., "mixed",
				  "idle", "unknown" */
	const char *lead;      /* static: the beginning of a sentence about it; or NULL */
	const char *cause;     /* static: what that means */
	const char *next_step; /* static */
	const struct profile_function *where; /* of an on-CPU limit, or NULL */
	const struct profile_wait *wait;      /* one of the largest of that part, or NULL */
	const char *target;   /* what most waits there were for, the profile's own; or NULL */
	double where_share;   /* how much of the part is in there, 0 to 1 */
	const char *function; /* qualified name of either, the profile's own; or NULL */

	char evidence[LIMIT_EVIDENCE][LIMIT_EVIDENCE_BYTES]; /* ASCII, plain; "" ends */
};

/* Judges one process of the profile, into which the result keeps pointing. */
void limit_of_process(const struct profile *profile, const struct profile_process *process,
		      struct limit *limit);

/*
 * The verdict as one sentence without a full stop.  It holds a name from the target as
 * it is: escape it before it goes anywhere.  Cut at `size`.  Returns `line`.
 */
const char *limit_line(const struct limit *limit, char *line, size_t size);

/* "cpu" or the name of the wait class. */
const char *limit_part_name(int part);

#endif
