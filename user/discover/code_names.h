/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A function's names, where the kernel side could not read them. */
#ifndef PYTRACE_DISCOVER_CODE_NAMES_H
#define PYTRACE_DISCOVER_CODE_NAMES_H

#include "layout.h"
#include "records.h"

/*
 * Read what is missing of a code object's name and file from the live process.  (A probe cannot
 * have a page brought in that the process itself has not touched yet; we can.)  What
 * cannot be read, or is another code object by now, stays missing.
 */
void code_names_complete(struct record_code *record, const struct py_layout *layout);

#endif
