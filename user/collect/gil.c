/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "gil.h"

#include <string.h>

/*
 * A GIL wait is one from its first futex to the acquire.  Between two of its sleeps the thread only
 * looks at the clock, and others may hand the GIL on.  That it has had it itself takes two changes
 * of hands, to it and to the one that has it then: take_gil() counts one where the GIL is not taken
 * by who had it last, and before another can see that it is taken.  So it is for sleeps in which it
 * waits for another to let go, as most do.  Where that does not tell, a gap too short does that it
 * could have had it.
 */
#define GIL_SWITCHES_HAD 2
#define GIL_GAP_NS 50000
#define GIL_GAP_SWITCHED_NS 20000

bool gil_goes_on(const struct thread_total *thread, const struct record_wait *record)
{
	uint32_t switches = record->gil_switches - thread->gil.switches;

	if (!thread->gil.pending || record->wait_class != WAIT_GIL ||
	    !(record->flags & WAIT_GIL_AGAIN) || record->gil != thread->gil.gil)
		return false;
	if (thread->gil.taken && record->flags & WAIT_GIL_TAKEN && switches < GIL_SWITCHES_HAD)
		return true;
	return record->oncpu_ns < (switches ? GIL_GAP_SWITCHED_NS : GIL_GAP_NS);
}

/* That function held the GIL for so long while the thread waited. */
static void add_holder(struct gil_wait *gil, const struct function_total *function, uint64_t ns)
{
	uint32_t i;

	for (i = 0; i < gil->holder_count; i++)
		if (gil->holders[i].function == function)
			break;
	if (i == GIL_HOLDERS)
		return; /* it has not held it longest so far */
	if (i == gil->holder_count)
		gil->holders[gil->holder_count++] = (struct gil_holder){.function = function};
	gil->holders[i].ns += ns;
}

static const struct function_total *longest_holder(const struct gil_wait *gil)
{
	const struct gil_holder *longest = &gil->holders[0];

	for (uint32_t i = 1; i < gil->holder_count; i++)
		if (gil->holders[i].ns > longest->ns)
			longest = &gil->holders[i];
	return longest->function;
}

void gil_settle(struct process_total *process, struct thread_total *thread)
{
	struct gil_wait *gil = &thread->gil;
	struct gil_key key = {.gil = gil->gil, .waiter = gil->key.function};
	struct wait_total *wait;
	struct gil_total *total;

	if (!gil->pending)
		return;
	gil->pending = false;
	wait = process_total__wait(process, &gil->key);
	if (wait)
		histogram_add_unsummed(&wait->time, gil->ns);
	key.holder = gil->holders[0].function;
	key.longest = longest_holder(gil);
	total = process_total__gil(process, &key);
	if (total) {
		histogram_add(&total->time, gil->ns);
		total->sure += gil->sure;
	}
	if (gil->after_io) {
		process->gil_after_io++;
		process->gil_after_io_ns += gil->ns;
	}
}

void gil_wait_done(struct collector *collector, struct process_total *process,
		   struct thread_total *thread, const struct wait_key *key,
		   const struct record_wait *record)
{
	struct gil_wait *gil = &thread->gil;
	const struct function_total *holder =
		collector__slot_function(collector, record->holder, process);

	if (!gil_goes_on(thread, record)) {
		gil_settle(process, thread);
		memset(gil, 0, sizeof(*gil));
		gil->pending = true;
		gil->key = *key;
		gil->gil = record->gil;
		gil->sure = record->flags & WAIT_HOLDER_SURE;
		gil->after_io = record->flags & WAIT_AFTER_IO;
	}
	gil->ns += record->total_ns;
	gil->switches = record->gil_switches;
	gil->taken = record->flags & WAIT_GIL_TAKEN;
	/* where it first waits for another to take what it let go, no holder is told */
	if (holder && gil->holder_count == 1 && !gil->holders[0].function) {
		gil->holder_count = 0;
		gil->sure = record->flags & WAIT_HOLDER_SURE;
	}
	if (holder || !gil->holder_count)
		add_holder(gil, holder, record->total_ns);
}

void collector__gil(void *arg, const struct gil_id *gil, uint64_t contended_ns)
{
	struct process_total *process = collector__find_any(arg, gil->tgid);
	struct gil_contention *contention;

	if (!process)
		return;
	contention = process_total__contention(process, gil->gil);
	if (!contention || contended_ns < contention->before_ns)
		return; /* (it ends and begins while it is read) */
	contention->ns += contended_ns - contention->before_ns;
	contention->before_ns = contended_ns;
}
