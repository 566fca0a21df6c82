/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Closing links beside the main loop, many at a time.  The kernel waits for every CPU to have left
 * a probe before close() returns: tens of milliseconds a link, in which processes begin and end
 * that we have to look at.
 */
#ifndef PYTRACE_CLOSER_H
#define PYTRACE_CLOSER_H

#include <stddef.h>

struct closer;

/* NULL without memory or threads. */
struct closer *closer__new(void);
/* Takes the descriptors; where memory is short they are closed at once. */
void closer__close(struct closer *closer, const int *fds, size_t count);
/* Returns when all are closed. */
void closer__free(struct closer *closer);

#endif
