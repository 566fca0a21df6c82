/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which processes were asked for. */
#ifndef PYTRACE_SCOPE_H
#define PYTRACE_SCOPE_H

#include <stdbool.h>

#include "discover/process.h"
#include "options.h"

/* Is it one of those --all-python with its filters, or -p, asks for? */
bool scope_wants(const struct options *options, const struct process *process);

/* Are all Python processes wanted, whichever they are? */
bool scope_is_everything(const struct options *options);

#endif
