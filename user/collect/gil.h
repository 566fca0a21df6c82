/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Waits for the GIL: the parts of one put together, and who it was that held it. */
#ifndef PYTRACE_COLLECT_GIL_H
#define PYTRACE_COLLECT_GIL_H

#include "collector_internal.h"

/* Does this record tell the next part of the GIL wait that is pending in the thread? */
bool gil_goes_on(const struct thread_total *thread, const struct record_wait *record);

/* A part of a GIL wait is over; `key` is that of the wait. */
void gil_wait_done(struct collector *collector, struct process_total *process,
		   struct thread_total *thread, const struct wait_key *key,
		   const struct record_wait *record);

/* The pending GIL wait, if any, is over: one wait of all its parts. */
void gil_settle(struct process_total *process, struct thread_total *thread);

#endif
