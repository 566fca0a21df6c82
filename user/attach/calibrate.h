/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What our own work costs on this machine, measured on ourselves. */
#ifndef PYTRACE_CALIBRATE_H
#define PYTRACE_CALIBRATE_H

#include <stdbool.h>

#include "uprobe.h"

/*
 * Nanoseconds one hit of a probe with this program costs the process it is in, on an
 * instruction the kernel emulates or on one that it single-steps; 0 if that cannot be
 * measured.  Takes about 20 ms.
 */
double uprobe_cost_ns(enum uprobe_way way, int prog_fd, bool stepped);

#endif
