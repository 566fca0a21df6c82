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

#define LIMIT_RULES 15 /* so many are there */
#define LIMIT_EVIDENCE 10
#define LIMIT_EVIDENCE_BYTES 96

struct limit_rule;

enum limit_state {
	LIMIT_UNKNOWN, /* it could not be measured */
	LIMIT_NO,
	LIMIT_NEAR,      /* not much is missing */
	LIMIT_HELD_BACK, /* enough, but something else that it takes is not there */
	LIMIT_HOLDS,
};

/* What became of a rule. */
struct limit_check {
	const struct limit_rule *rule;
	double value; /* NAN: LIMIT_UNKNOWN */
	enum limit_state state;
};

/* It points into itself: not to be moved. */
struct limit {
	uint64_t observed_ns;          /* how long the process was watched */
	uint64_t active_ns;            /* thread time, the sum of busy_ns */
	uint64_t busy_ns[LIMIT_PARTS]; /* held up, or running */
	uint64_t idle_ns[LIMIT_PARTS]; /* waiting for work, or asleep */

	struct limit_check checks[LIMIT_RULES]; /* in the order in which they are asked */
	const struct limit_check *decided;      /* the first that holds; or NULL */

	const char *verdict;             /* static: a rule's, or "mixed", "ok", "idle", "unknown" */
	const char *lead;                /* static: the beginning of a sentence about it; or NULL */
	const char *cause;               /* static: what that means */
	const char *next_step;           /* static */
	const struct profile_wait *wait; /* the largest wait of `function`, or NULL */
	double where_share;              /* how much of the part is in `function`, 0 to 1 */
	const char *target;              /* what most waits there were for; or NULL */
	/* names, the profile's own; or NULL */
	const char *function;      /* where it is */
	const char *native;        /* "libz.so.1.3.1: deflate": what it ran mostly */
	const char *caller;        /* who called that, if `function` is the library's */
	const char *holder;        /* of the GIL */
	const char *holder_caller; /* who called that, if it is the library's */
	const char *waker;         /* who ends waits for a lock, or fills a queue */
	double holder_share;       /* of waits for the GIL */
	uint64_t longest_ns;       /* that an event loop was held up */
	uint64_t rss_begin_bytes, rss_bytes;
	uint64_t faults; /* page faults, where `function` is who takes them; an estimate */

	char evidence[LIMIT_EVIDENCE][LIMIT_EVIDENCE_BYTES]; /* ASCII, plain; "" ends */
};

/* Judges one process of the profile, into which the result keeps pointing. */
void limit_of_process(const struct profile *profile, const struct profile_process *process,
		      struct limit *limit);

/*
 * The verdict as one sentence without a full stop.  It holds names from the target as
 * they are: escape it before it goes anywhere.  Cut at `size`.  Returns `line`.
 */
const char *limit_line(const struct limit *limit, char *line, size_t size);

/* The largest of LIMIT_PARTS parts: the first, where some are equal. */
int limit_largest(const uint64_t *parts);

/* "cpu" or the name of the wait class. */
const char *limit_part_name(int part);

/* "holds", "near", ... */
const char *limit_state_name(enum limit_state state);

#endif
