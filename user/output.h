/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where reports go. */
#ifndef PYTRACE_OUTPUT_H
#define PYTRACE_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "options.h"
#include "profile.h"

struct output {
	FILE *file;
	const char *path; /* NULL: standard output */
	bool regular;     /* a file of ours that may be removed or cut */
};

/* Open it, before anything is traced.  0 or a negative errno. */
int output_open(struct output *output, const char *path);

/* Write one report.  0 or a negative errno; then what had been written before is whole. */
int output_report(struct output *output, const struct profile *profile,
		  const struct options *options);

/* Close it.  0 or a negative errno. */
int output_close(struct output *output);

#endif
