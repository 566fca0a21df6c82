/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The report for people. */
#ifndef PYTRACE_TEXT_H
#define PYTRACE_TEXT_H

#include <stdio.h>

#include "../profile.h"
#include "show.h"

/*
 * Writes the whole report.  Returns 0, or a negative errno: -ENOMEM, -EINVAL for a
 * sort key that is none, or what writing failed with (-ENOSPC, -EPIPE, ...).
 */
int show_text(FILE *out, const struct profile *profile, const struct show_options *options);

#endif
