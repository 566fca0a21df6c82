/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * When a process's calls are probed, and for how long, so that it does not lose more of its time to
 * our probes than the budget says.  Pure: it is told the time and what was lost.
 *
 * What a process may lose adds up with time, to no more than BURST_SECONDS of it.  The length of a
 * probe window is drawn beforehand, from what such a window is expected to cost and never from what
 * happens in it: a window that were closed for its many hits would have seen fewer of the long
 * calls.
 */
#ifndef PYTRACE_GOVERNOR_H
#define PYTRACE_GOVERNOR_H

#include <stdbool.h>
#include <stdint.h>

#define GOVERNOR_BURST_SECONDS 5

struct governor {
	double budget; /* the share it may lose: 0.02 is two per cent */
	double rate;   /* it loses so much of its time while it is probed; below 0: not known yet */
	double closing_ns; /* and goes on doing so for that long when a window has ended */
	double saved_ns;   /* it may lose that much now */
	uint64_t saved_at; /* as of then */
	uint64_t next_ns;  /* the next window opens then */
	double length_ns;  /* of the next window */
	uint64_t random;
	bool always; /* the window stays open: the process loses less than it may */
};

/* A window to be opened. */
struct governor_plan {
	uint64_t length_ns; /* UINT64_MAX: until it loses more than it may */
	double may_lose_ns; /* more than that, all that was saved, and it is to be closed at once */
};

/*
 * `seed`: not 0.  `soon`: the first window is due at once; else when it has been saved for, which
 * short-lived processes never do.
 */
void governor_init(struct governor *governor, double budget, uint64_t seed, bool soon,
		   uint64_t now_ns);
/* From now on it may lose this share. */
void governor_set_budget(struct governor *governor, uint64_t now_ns, double budget);
/* When the next window is due; only if none is open. */
uint64_t governor_due_ns(const struct governor *governor);
struct governor_plan governor_plan(struct governor *governor, uint64_t now_ns);

/* What a window, or a part of one that stays open, came to. */
struct governor_cost {
	uint64_t probed_ns;
	double lost_ns;    /* in that time */
	double closing_ns; /* lost after its end, until the probes were gone */
	bool over;         /* it has ended */
};

void governor_account(struct governor *governor, uint64_t now_ns, const struct governor_cost *cost);
/* For a window that stays open: what it may lose from now on. */
double governor_allowance_ns(struct governor *governor, uint64_t now_ns);

#endif
