/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Callbacks of event loops. */
#ifndef PYTRACE_COLLECT_CALLBACKS_H
#define PYTRACE_COLLECT_CALLBACKS_H

#include <stdbool.h>

/*
 * Is the function asyncio's Handle._run?  The kernel side knows it by itself, but for names
 * that it could not read.
 */
bool callback_is_loop_call(const char *function, const char *file);

#endif
