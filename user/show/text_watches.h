/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What --watch asked for, and what became of it, for people. */
#ifndef PYTRACE_TEXT_WATCHES_H
#define PYTRACE_TEXT_WATCHES_H

#include "../profile.h"
#include "screen.h"

/* Of one process; `tgid` 0: the names that no function has.  0 or -ENOMEM. */
int text_watches(const struct screen *screen, const struct profile *profile, uint32_t tgid);

#endif
