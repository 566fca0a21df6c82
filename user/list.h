/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* `pytrace-bpf list`: the Pythons that run here. */
#ifndef PYTRACE_LIST_H
#define PYTRACE_LIST_H

#include "options.h"

/* Returns the exit status. */
int list_run(const struct options *options);

#endif
