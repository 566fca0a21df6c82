/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The main job: trace what was asked for and report. */
#ifndef PYTRACE_TRACE_H
#define PYTRACE_TRACE_H

#include "options.h"

/*
 * Returns the program's exit status; every failure has been told on stderr.  Where the kernel
 * cannot keep the default budget, `options->calls` is taken back, and said so.
 */
int trace_run(struct options *options);

#endif
