/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which functions a verdict names. */
#ifndef PYTRACE_BLAME_H
#define PYTRACE_BLAME_H

#include "rules.h"

/* Fills in the limit's names by the rule that decided. */
void blame(const struct facts *facts, const struct limit_rule *rule, struct limit *limit);

/* What waits longest in that class: held up, or idle. */
void blame_wait(const struct facts *facts, int part, bool idle, struct limit *limit);

/*
 * The function in which a process took most page faults: of each stack the innermost that is none
 * of the library's, if there is one.  NULL: none is known.  `*faults` is all of them, `*count`
 * that function's.
 */
const struct profile_name *faults_most(const struct profile *profile, uint32_t tgid,
				       struct tally *faults, uint64_t *count);

#endif
