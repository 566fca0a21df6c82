/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which functions and waits to show, and in what order. */
#ifndef PYTRACE_SELECT_H
#define PYTRACE_SELECT_H

#include "../profile.h"

enum sort_kind {
	SORT_TIME, /* total wall time */
	SORT_SELF,
	SORT_CALLS,
	SORT_P50,
	SORT_P95,
	SORT_P99,
	SORT_MAX,
	SORT_WAIT, /* time in one wait class */
};

struct sort_key {
	enum sort_kind kind;
	enum wait_class wait_class; /* of SORT_WAIT */
};

/*
 * Reads the argument of --sort: time (also for NULL), self, calls, p50, p95,
 * p99, max, or the name of a wait class.  Returns 0, or -EINVAL for another word.
 */
int sort_key_parse(const char *word, struct sort_key *key);

/* What a message about a bad word should list. */
#define SORT_WORDS                                                                                 \
	"time, self, calls, p50, p95, p99, max, gil, lock, sleep, poll, net, disk, pipe, child, "  \
	"fault, runq, other"

/*
 * The functions that `glob` matches (NULL: all), those of one tgid together and
 * by rising tgid, inside it the largest by `key` first.  *out is an array of
 * *count pointers into the profile, for the caller to free.  Returns 0 or -ENOMEM.
 */
int select_functions(const struct profile *profile, const char *glob, const struct sort_key *key,
		     const struct profile_function ***out, size_t *count);

/*
 * The same for waits: by tgid, longest total first; idle ones after those that hold something up,
 * and behind all what is less than a thousandth of the window.
 */
int select_waits(const struct profile *profile, const char *glob, const struct profile_wait ***out,
		 size_t *count);

/* All stacks: by tgid, the largest first.  The same of page faults and of waits for the GIL. */
int select_stacks(const struct profile *profile, const struct profile_stack ***out, size_t *count);
int select_faults(const struct profile *profile, const struct profile_fault ***out, size_t *count);
int select_gils(const struct profile *profile, const struct profile_gil ***out, size_t *count);

/* The same for what event loops called: by tgid, the longest single call first. */
int select_callbacks(const struct profile *profile, const char *glob,
		     const struct profile_callback ***out, size_t *count);

/* The same for pauses of the garbage collector: by tgid, longest total first. */
int select_gcs(const struct profile *profile, const char *glob, const struct profile_gc ***out,
	       size_t *count);

#endif
