/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* An amount (of time, of page faults) by function, of the few that matter. */
#ifndef PYTRACE_TALLY_H
#define PYTRACE_TALLY_H

#include "../profile.h"

/* Further ones are left out: among so many none stands out. */
#define TALLY_ENTRIES 64

struct tally {
	struct {
		struct profile_name name; /* points into the profile */
		uint64_t amount;
	} entries[TALLY_ENTRIES];
	size_t count;
	uint64_t all; /* those left out too */
};

/* `name` NULL: it is not known which. */
void tally_add(struct tally *tally, const struct profile_name *name, uint64_t amount);

/* The function with most and how much that is; NULL if none is known. */
const struct profile_name *tally_most(const struct tally *tally, uint64_t *amount);

#endif
