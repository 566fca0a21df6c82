/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Pauses of the garbage collector, into totals and out of them. */
#ifndef PYTRACE_COLLECT_PAUSES_H
#define PYTRACE_COLLECT_PAUSES_H

#include "collector_internal.h"

void pauses_record(struct collector *collector, struct process_total *process,
		   const struct record_gc *record);

/* A sample found its process collecting garbage in a function (NULL: not known). */
void pauses_sample(struct process_total *process, const struct function_total *function);

/* What was added up under `from` belongs to `to`. */
void pauses_move(struct process_total *total, const struct function_total *to,
		 const struct function_total *from);

/* What was added up in `from` is added up in `to`, another process. */
void pauses_fold(struct process_total *to, const struct process_total *from);

/* How many were over in this window. */
uint64_t pauses_count(const struct process_total *total);

/* Into a profile, those that go on at its end as censored.  0, or -1 without memory. */
int pauses_add_to(struct profile *profile, struct process_total *total);

#endif
