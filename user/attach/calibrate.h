/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What our own work costs on this machine, measured on ourselves. */
#ifndef PYTRACE_CALIBRATE_H
#define PYTRACE_CALIBRATE_H

#include <stdbool.h>

#include "uprobe.h"

struct hit_cost {
	double trap_ns;   /* into the kernel, an empty program, and back */
	double slowed_ns; /* by how much what runs after it takes longer: the caches were used */
};

/*
 * What one hit of a probe with this program costs the process it is in, on an instruction the
 * kernel emulates or on one that it single-steps.  0 or a negative errno, if that cannot be
 * measured.  Takes about 20 ms.
 */
int uprobe_cost(enum uprobe_way way, int prog_fd, bool stepped, struct hit_cost *cost);

#endif
