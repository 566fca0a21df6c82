/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Writing what a process does at this moment. */
#ifndef PYTRACE_SHOW_MOMENT_H
#define PYTRACE_SHOW_MOMENT_H

#include <stdbool.h>
#include <stdio.h>

#include "../moment.h"

/* Both return 0 or a negative errno. */
int moment_text(FILE *out, const struct moment *moment, bool another);
/* One object on a line of its own. */
int moment_json(FILE *out, const struct moment *moment);

#endif
