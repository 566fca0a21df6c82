/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How much the GIL of a process is used. */
#ifndef PYTRACE_GIL_USE_H
#define PYTRACE_GIL_USE_H

#include "../profile.h"

struct gil_use {
	double wanted; /* share of the time in which a thread waited for it; of several the largest
			*/
	double held;   /* share of the time, an estimate; NAN: not known */
	const struct profile_function *longest; /* kept it longest while others waited; or NULL */
};

/* Of the process's GILs, each interpreter has one: the one most wanted; NULL: none was. */
const struct profile_contention *gil_most_wanted(const struct profile *profile, uint32_t tgid);

void gil_use(const struct profile *profile, const struct profile_process *process,
	     struct gil_use *use);

#endif
