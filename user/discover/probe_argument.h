/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where the arguments of statically defined tracepoints are, as <sys/sdt.h> writes it. */
#ifndef PYTRACE_DISCOVER_PROBE_ARGUMENT_H
#define PYTRACE_DISCOVER_PROBE_ARGUMENT_H

#include "records.h"

/*
 * The first of `arguments` ("-4@112(%rsp) 8@%rax").  What cannot be read where the probe is
 * (an address of the file's own, a vector register, nonsense) is ARGUMENT_UNKNOWN.
 */
struct probe_argument probe_argument_first(const char *arguments);

#endif
