/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which functions a verdict names. */
#ifndef PYTRACE_BLAME_H
#define PYTRACE_BLAME_H

#include "rules.h"

/* Fills in the limit's names by the rule that decided. */
void blame(const struct facts *facts, const struct limit_rule *rule, struct limit *limit);

/* What waits longest in that class: held up, or idle. */
void blame_wait(const struct facts *facts, int part, bool idle, struct limit *limit);

#endif
