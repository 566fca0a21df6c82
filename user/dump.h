/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* `dump`: what every thread of a process does at this moment.  Nothing is paused, nothing attached.
 */
#ifndef PYTRACE_DUMP_H
#define PYTRACE_DUMP_H

#include "options.h"

/* Returns an exit status. */
int dump_run(const struct options *options);

#endif
