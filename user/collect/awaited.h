/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the calls of functions wait for, the calls below them included: counted by stack, and
 * worked out for the functions on it when a report is made.
 */
#ifndef PYTRACE_AWAITED_H
#define PYTRACE_AWAITED_H

#include "collector_internal.h"

/* A wait has been told: counted if it is one for I/O that is over, in calls that probes saw. */
void awaited_add(struct collector *collector, struct process_total *process,
		 const struct stack_total *stack, const struct target_total *target,
		 const struct record_wait *record, uint32_t count);

/* Into function_total.awaited and .io_waits, anew. */
void awaited_add_up(struct process_total *process);
void awaited_forget(struct function_total *function);

/* What it waited for most often; NULL: nothing that is known. */
const struct awaited_total *awaited_most(const struct function_total *function);

#endif
