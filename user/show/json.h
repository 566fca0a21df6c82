/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The report for programs. */
#ifndef PYTRACE_JSON_H
#define PYTRACE_JSON_H

#include <stdio.h>

#include "../profile.h"
#include "show.h"

/*
 * Writes the profile as one JSON object, schema "pytrace-bpf/1", on one line, and
 * flushes.  Seconds are numbers; what is not known is null.  Of `options` it honours
 * sort, top and function_glob.  Returns 0, or a negative errno: -ENOMEM, -EINVAL for a
 * sort key that is none, or what writing failed with (-ENOSPC, -EPIPE, ...).
 */
int show_json(FILE *out, const struct profile *profile, const struct show_options *options);

#endif
