/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Python stacks, and what threads did on them. */
#ifndef PYTRACE_COLLECT_STACKS_H
#define PYTRACE_COLLECT_STACKS_H

#include "collector_internal.h"

/* Functions of a stack (copied): an entry made by process_total__stack() has none yet. */
void stack_total__set(struct stack_total *stack, struct function_total *const *functions,
		      size_t count);

/* A stack is told. */
void stacks_add(struct collector *collector, struct process_total *process,
		const struct record_stack *record);

/*
 * The stack of that number; where it is not known (any more) one of the function on top alone.
 * NULL: in no Python code, or no memory.
 */
const struct stack_total *stacks_find(struct collector *collector, struct process_total *process,
				      uint64_t id, struct function_total *top);

/* A thread spent `ns` more there.  `count` of the times it did are over with it. */
void stacks_use(struct process_total *process, const struct stack_key *key, uint64_t ns,
		uint64_t count);
/* A sample found a thread running there. */
void stacks_sample(struct process_total *process, const struct stack_key *key, bool has_gil);

/* What threads did in each function and below it: into function_total.stack, anew. */
void stacks_add_up(struct process_total *process);

/* A process's stacks, and its GILs, into a profile.  0, or -1 without memory. */
int stacks_profile(struct profile *profile, struct process_total *process);

#endif
