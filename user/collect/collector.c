/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Records from the ring buffer into totals. */
#include "collector.h"
#include "collector_internal.h"
#include "awaited.h"
#include "causes.h"
#include "callbacks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "discover/code_names.h"
#include "discover/native.h"
#include "discover/procfs.h"
#include "discover/syscall.h"
#include "gil.h"
#include "go_between.h"
#include "names.h"
#include "pauses.h"
#include "stacks.h"
#include "vain.h"

static void find_cpu_hierarchy(struct collector *collector)
{
	const size_t most = 1 << 20;
	char *text = malloc(most);

	if (text && procfs_read(getpid(), "mountinfo", text, most) > 0)
		cpu_hierarchy_find(text, &collector->cpu_hierarchy);
	free(text);
}

struct collector *collector__new(const struct builds *builds, struct function_stats *stats,
				 size_t slots, lifecycle_fn lifecycle, void *arg)
{
	struct collector *collector = calloc(1, sizeof(*collector));

	if (!collector)
		return NULL;
	collector->builds = builds;
	collector->stats = stats;
	collector->slot_count = slots;
	collector->lifecycle = lifecycle;
	collector->lifecycle_arg = arg;
	find_cpu_hierarchy(collector);
	collector->slots = calloc(slots, sizeof(*collector->slots));
	collector->native = native__new();
	if (!collector->slots || !collector->native) {
		collector__free(collector);
		return NULL;
	}
	return collector;
}

void collector__free(struct collector *collector)
{
	struct process_total *total, *next;

	if (!collector)
		return;
	HASH_CLEAR(hh, collector->current);
	for (total = collector->processes; total; total = next) {
		next = total->next;
		process_total__free(total);
	}
	targets__free(&collector->targets);
	for (size_t i = 0; collector->slots && i < collector->slot_count; i++)
		free(collector->slots[i].before);
	free(collector->slots);
	native__free(collector->native);
	free(collector);
}

/*
 * The process a record is of.  One we have not heard of is traced all the same, or
 * there would be no record: what told of its fork was lost.
 * NULL if it is of what a process became that was ours.
 */
static struct process_total *process_of(struct collector *collector, uint32_t tgid)
{
	struct record_task fork = {.kind = RECORD_FORK, .tgid = tgid};
	struct process_total *total = collector__find_any(collector, tgid);

	if (total && total->replaced && !total->current)
		return NULL;
	if (total || !tgid)
		return total;
	collector->lifecycle(collector->lifecycle_arg, &fork);
	return collector__find_any(collector, tgid);
}

/* A function whose name has not come (yet): the ring was full. */
struct function_total *collector__nameless(struct process_total *process, uint32_t slot)
{
	char name[48];

	snprintf(name, sizeof(name), "<name lost %u>", slot);
	return process_total__function(process, name, "", 0);
}

static void on_code(struct collector *collector, const struct record_code *told)
{
	struct record_code record = *told; /* the ring is not to be written to */
	bool watched = told->tgid & KEY_WATCHED;
	struct process_total *process;
	const struct build *build;
	char function[NAME_MAX_BYTES * 4 + 1], file[FILE_MAX_BYTES * 4 + 1];
	struct function_total *before;
	uint32_t place = SLOT_PLACE(told->slot);
	struct slot *slot;

	record.tgid &= ~KEY_WATCHED;
	process = process_of(collector, record.tgid);
	if (!process || place >= collector->slot_count)
		return;
	build = builds__get(collector->builds, process->process.build);
	if (build && (!record.name_kind || !record.file_kind))
		code_names_complete(&record, &build->layout);
	name_decode(record.name, sizeof(record.name), record.name_chars, record.name_kind, function,
		    sizeof(function));
	name_decode(record.file, sizeof(record.file), record.file_chars, record.file_kind, file,
		    sizeof(file));
	slot = &collector->slots[place];
	before = slot->process == process && slot->nameless ? slot->function : NULL;
	slot->process = process;
	collector->arrived += slot->number != record.slot || !slot->function;
	slot->number = record.slot;
	slot->nameless = false;
	if (callback_is_loop_call(function, file))
		collector->stats[place].role = ROLE_LOOP_CALL;
	else if (go_between_wakes(go_between_in(file)))
		collector->stats[place].role = ROLE_GO_BETWEEN;
	slot->function = process_total__function(process, function[0] ? function : "<unreadable>",
						 file, record.line);
	if (slot->function && watched)
		slot->function = process_total__watched(process, slot->function);
	else if (slot->function && collector->seen)
		collector->seen(collector->seen_arg, record.tgid, &slot->function->name,
				&collector->stats[place].key);
	if (before && slot->function)
		process_total__rename(process, before, slot->function);
}

/* What the kernel side tells at once: one wait, or many that differ in their times only. */
struct told_waits {
	const struct record_wait *sum;
	const struct wait_times *each; /* NULL: `sum` is the only one */
	uint32_t count;
};

static uint64_t told_total_ns(const struct told_waits *told, uint32_t i)
{
	return told->each ? told->each[i].total_ns : told->sum->total_ns;
}

static uint64_t told_runq_ns(const struct told_waits *told, uint32_t i)
{
	return told->each ? told->each[i].runq_total_ns : told->sum->runq_total_ns;
}

static void add_runq(struct process_total *process, const struct wait_key *key,
		     const struct stack_total *stack, const struct told_waits *told)
{
	struct stack_key on = {.stack = stack, .part = WAIT_RUNQ};
	struct wait_key runq = {.function = key->function, .wait_class = WAIT_RUNQ, .syscall = -1};
	struct wait_total *wait = process_total__wait(process, &runq);
	uint64_t count = 0;

	for (uint32_t i = 0; i < told->count; i++) {
		if (!told_runq_ns(told, i))
			continue;
		count++;
		if (wait)
			histogram_add_unsummed(&wait->time, told_runq_ns(told, i));
	}
	stacks_use(process, &on, told->sum->runq_ns, count);
	if (wait)
		wait->time.sum_ns += told->sum->runq_ns;
}

static void add_times(struct thread_total *thread, const struct record_wait *record)
{
	memcpy(thread->name, record->comm, COMM_BYTES);
	thread->oncpu_ns += record->oncpu_ns;
	thread->wait_ns[record->wait_class] += record->new_ns;
	thread->wait_ns[WAIT_RUNQ] += record->runq_ns;
	if (record->wait_class == WAIT_RUNQ)
		thread->preempted_ns += record->runq_ns;
}

/* The waits themselves: all but the run queue after them. */
static void add_waits(struct collector *collector, struct process_total *process,
		      struct thread_total *thread, const struct wait_key *key,
		      const struct told_waits *told)
{
	struct wait_total *wait = process_total__wait(process, key);
	const struct record_wait *record = told->sum;

	if (!wait)
		return;
	wait->time.sum_ns += record->new_ns;
	if (record->wait_class != WAIT_GIL && record->flags & WAIT_HOLDS_GIL) {
		wait->held_gil_ns += record->new_ns;
		if (record->flags & WAIT_DONE)
			wait->held_gil += told->count;
	}
	if (!(record->flags & WAIT_DONE)) {
		thread->open = true;
		thread->open_key = *key;
	} else if (record->wait_class == WAIT_GIL) {
		gil_wait_done(collector, process, thread, key, record);
	} else {
		for (uint32_t i = 0; i < told->count; i++)
			histogram_add_unsummed(&wait->time, told_total_ns(told, i));
		if (record->flags & WAIT_BLOCK_IO)
			wait->block_io += told->count;
	}
}

/*
 * What the number in a record stands for; NULL: nothing, or it is not known.  *other: it is only
 * one of those that there was no room for.
 */
static struct target_total *target_of(struct collector *collector, struct process_total *process,
				      uint32_t id, bool *other)
{
	const struct target_told *told = id ? targets__find(&collector->targets, id) : NULL;

	*other = false;
	return told ? process_total__target(process, told, other) : NULL;
}

static void add_told(struct collector *collector, struct process_total *process,
		     struct thread_total *thread, const struct told_waits *told)
{
	const struct record_wait *record = told->sum;
	struct wait_key key = {.wait_class = record->wait_class, .syscall = record->syscall};
	struct stack_key on = {.part = record->wait_class};
	struct function_total *function, *waker;
	bool other = false;

	add_times(thread, record);
	if (record->flags & WAIT_DONE || record->wait_class == WAIT_RUNQ)
		process->effort.waits += told->count;
	function = collector__slot_function(collector, record->function, process);
	key.function = function;
	on.stack = stacks_find(collector, process, record->stack, function);
	if (record->wait_class != WAIT_GIL)
		key.caller = go_between_caller(on.stack);
	if (record->wait_class == WAIT_LOCK && record->waker_tid) {
		waker = collector__slot_function(collector, record->waker, process);
		on.waker = stacks_find(collector, process, record->waker_stack, waker);
		key.waker = go_between_waker(on.waker) ?: waker;
		key.by_peer = go_between_same_work(on.stack, on.waker);
	}
	if (record->runq_ns || record->runq_total_ns)
		add_runq(process, &key, on.stack, told);
	if (record->wait_class == WAIT_RUNQ)
		return;
	if (record->wait_class != WAIT_GIL)
		key.target = target_of(collector, process, record->target, &other);
	collector->losses[LOSS_TARGETS_FULL] += other ? told->count : 0;
	stacks_use(process, &on, record->new_ns, record->flags & WAIT_DONE ? told->count : 0);
	awaited_add(collector, process, on.stack, key.target, record, told->count);
	add_waits(collector, process, thread, &key, told);
}

static struct thread_total *waiting_thread(struct process_total *process,
					   const struct record_wait *record)
{
	if (!process || record->wait_class >= WAIT_CLASSES)
		return NULL;
	return process_total__thread(process, record->tid);
}

static void on_wait(struct collector *collector, const struct record_wait *record)
{
	struct process_total *process = process_of(collector, record->tgid);
	struct thread_total *thread = waiting_thread(process, record);
	struct record_wait whole = *record, before;
	struct told_waits told = {.sum = &whole, .count = 1};

	if (!thread)
		return;
	if (vain_settle(thread, record, &before))
		on_wait(collector, &before);
	vain_join(thread, &whole);
	thread->open = false;
	if (record->wait_class != WAIT_RUNQ && !gil_goes_on(thread, record))
		gil_settle(process, thread);
	add_told(collector, process, thread, &told);
}

/* They may have been before waits told already: nothing of the order of waits is in them. */
static void on_waits(struct collector *collector, const struct record_waits *record, size_t size)
{
	struct process_total *process = process_of(collector, record->sum.tgid);
	struct thread_total *thread = waiting_thread(process, &record->sum);
	struct told_waits told = {&record->sum, record->each, record->count};

	if (thread && size >= offsetof(struct record_waits, each) +
				      sizeof(record->each[0]) * (size_t)record->count)
		add_told(collector, process, thread, &told);
}

static void on_censored(struct collector *collector, const struct record_censored *record)
{
	collector__censored(collector, (pid_t)record->tgid, record->function, record->ns);
}

static void on_slow(struct collector *collector, const struct record_slow *record)
{
	struct process_total *process = process_of(collector, record->tgid);
	struct slow_cause cause = {.wait_class = record->wait_class};
	struct function_total *function;
	bool other;

	if (!process || record->wait_class >= WAIT_CLASSES)
		return;
	function = collector__slot_function(collector, record->function, process);
	if (!function)
		return;
	if (cause.wait_class == WAIT_GIL || cause.wait_class == WAIT_LOCK)
		cause.who = collector__slot_function(collector, record->what, process);
	else
		cause.target = target_of(collector, process, record->what, &other);
	causes_add(function, &cause, record->ns);
}

static void on_stack(struct collector *collector, const struct record_stack *record)
{
	struct process_total *process = process_of(collector, record->tgid);

	if (process)
		stacks_add(collector, process, record);
}

static void on_sample(struct collector *collector, const struct record_sample *record)
{
	struct process_total *process = process_of(collector, record->tgid);
	struct stack_key on = {.part = STACK_ONCPU};
	struct function_total *function;

	if (!process)
		return;
	function = collector__slot_function(collector, record->function, process);
	on.stack = stacks_find(collector, process, record->stack, function);
	if (!(record->flags & SAMPLE_IN_KERNEL))
		on.native = native__leaf(collector->native, (pid_t)record->tgid, record->ip);
	else
		on.native = syscall_name(record->syscall);
	if (record->flags & SAMPLE_FAULT) {
		on.part = STACK_FAULTS;
		stacks_use(process, &on, 0, FAULTS_PER_SAMPLE);
		return;
	}
	stacks_sample(process, &on, record->flags & SAMPLE_HAS_GIL);
	process->samples++;
	process->effort.samples++;
	process->gil_samples += record->flags & SAMPLE_HAS_GIL;
	if (record->flags & SAMPLE_COLLECTING)
		pauses_sample(process, function);
}

static void on_thread_exit(struct collector *collector, const struct record_task *record)
{
	struct process_total *process = process_of(collector, record->tgid);
	struct thread_total *thread;
	struct record_wait before;

	if (!process)
		return;
	thread = process_total__thread(process, record->tid);
	if (!thread)
		return;
	if (vain_settle(thread, NULL, &before))
		on_wait(collector, &before);
	if (!thread->name[0])
		memcpy(thread->name, record->comm, COMM_BYTES);
	gil_settle(process, thread);
	thread->oncpu_ns += record->oncpu_ns;
	thread->open = false;
	thread->exited = true;
}

bool collector__targets_full(const struct collector *collector)
{
	return targets__full(&collector->targets);
}

void collector__renew_targets(struct collector *collector)
{
	targets__renew(&collector->targets);
}

void collector__add_losses(const struct collector *collector, uint64_t losses[LOSS_COUNT])
{
	for (int i = 0; i < LOSS_COUNT; i++)
		losses[i] += collector->losses[i];
}

/* What it ran before the exec, of which it cannot tell any more. */
static void on_exec(struct collector *collector, const struct record_task *record)
{
	struct process_total *process = collector__find(collector, record->tgid);
	struct thread_total *thread;

	if (!process || !record->oncpu_ns)
		return;
	thread = process_total__thread(process, record->tid);
	if (thread)
		thread->oncpu_ns += record->oncpu_ns;
}

static void on_gc(struct collector *collector, const struct record_gc *record)
{
	struct process_total *process = process_of(collector, record->tgid);

	if (process)
		pauses_record(collector, process, record);
}

void collector__on_function(struct collector *collector, seen_fn fn, void *arg)
{
	collector->seen = fn;
	collector->seen_arg = arg;
}

int collector__record(void *arg, void *data, size_t size)
{
	struct collector *collector = arg;
	const uint32_t *kind = data;

	if (size < sizeof(*kind))
		return 0;
	switch (*kind) {
	case RECORD_WAIT:
		if (size >= sizeof(struct record_wait))
			on_wait(collector, data);
		break;
	case RECORD_WAITS:
		if (size >= offsetof(struct record_waits, each))
			on_waits(collector, data, size);
		break;
	case RECORD_TARGET:
		if (size >= sizeof(struct record_target))
			targets__add(&collector->targets, data);
		break;
	case RECORD_CODE:
		if (size >= sizeof(struct record_code))
			on_code(collector, data);
		break;
	case RECORD_STACK:
		if (size >= sizeof(struct record_stack))
			on_stack(collector, data);
		break;
	case RECORD_SAMPLE:
		if (size >= sizeof(struct record_sample))
			on_sample(collector, data);
		break;
	case RECORD_SLOW:
		if (size >= sizeof(struct record_slow))
			on_slow(collector, data);
		break;
	case RECORD_CENSORED:
		if (size >= sizeof(struct record_censored))
			on_censored(collector, data);
		break;
	case RECORD_GC:
		if (size >= sizeof(struct record_gc))
			on_gc(collector, data);
		break;
	case RECORD_THREAD_EXIT:
		if (size >= sizeof(struct record_task))
			on_thread_exit(collector, data);
		break;
	case RECORD_FORK:
	case RECORD_EXEC:
	case RECORD_EXIT:
	case RECORD_FIRST_HIT:
		if (size < sizeof(struct record_task))
			break;
		if (*kind == RECORD_EXEC)
			on_exec(collector, data);
		collector->lifecycle(collector->lifecycle_arg, data);
		break;
	}
	return 0;
}
