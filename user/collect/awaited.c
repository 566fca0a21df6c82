// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include "awaited.h"

#include <stdlib.h>

static bool is_io(uint32_t wait_class)
{
	return wait_class == WAIT_NET || wait_class == WAIT_DISK || wait_class == WAIT_PIPE ||
	       wait_class == WAIT_CHILD;
}

void awaited_add(struct collector *collector, struct process_total *process,
		 const struct stack_total *stack, const struct target_total *target,
		 const struct record_wait *record, uint32_t count)
{
	const uint32_t counted = WAIT_DONE | WAIT_IN_CALL;
	const struct awaited_use_key key = {
		.stack = stack,
		.on = {.target = target, .wait_class = record->wait_class},
	};
	struct awaited_use *use;

	if (!stack || (record->flags & counted) != counted || !is_io(record->wait_class))
		return;
	if (HASH_COUNT(process->awaited) >= PROCESS_AWAITED)
		collector->losses[LOSS_AWAITED_FULL]++;
	else if ((use = process_total__awaited(process, &key)))
		use->count += count;
}

/* Majority vote: which function on top of this one most of its waits came through. */
static void vote(struct awaited_total *awaited, const struct function_total *below, uint64_t votes)
{
	if (awaited->below == below) {
		awaited->votes += votes;
	} else if (awaited->votes < votes) {
		awaited->votes = votes - awaited->votes;
		awaited->below = below;
	} else {
		awaited->votes -= votes;
	}
}

static void add_to_stack(const struct awaited_use *use)
{
	const struct stack_total *stack = use->key.stack;
	const struct function_total *below = NULL;

	for (size_t i = 0; i < stack->count; i++) {
		struct function_total *function = stack->functions[i];
		struct awaited_total *awaited;

		if (!function || function->awaited_by == use)
			continue; /* of one that calls itself the innermost call counts */
		function->awaited_by = use;
		function->io_waits += use->count;
		awaited = function_total__awaited(function, &use->key.on);
		if (awaited) {
			awaited->count += use->count;
			vote(awaited, below, use->count);
		}
		below = function;
	}
}

void awaited_add_up(struct process_total *process)
{
	for (struct function_total *f = process->functions; f; f = f->hh.next)
		awaited_forget(f);
	for (struct awaited_use *use = process->awaited; use; use = use->hh.next)
		add_to_stack(use);
}

void awaited_forget(struct function_total *function)
{
	struct awaited_total *awaited, *next;

	HASH_ITER(hh, function->awaited, awaited, next)
	{
		HASH_DEL(function->awaited, awaited);
		free(awaited);
	}
	function->io_waits = 0;
	function->awaited_by = NULL;
}

const struct awaited_total *awaited_most(const struct function_total *function)
{
	const struct awaited_total *most = NULL;

	for (const struct awaited_total *a = function->awaited; a; a = a->hh.next)
		if (a->key.target && !a->key.target->other && (!most || a->count > most->count))
			most = a;
	return most;
}
