/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the collector's own files share. */
#ifndef PYTRACE_COLLECTOR_INTERNAL_H
#define PYTRACE_COLLECTOR_INTERNAL_H

#include "collector.h"
#include "totals.h"

/* A function slot of the kernel side as we know it. */
struct slot {
	struct process_total *process;
	struct function_total *function;
	bool nameless;                 /* its name was lost, or is late */
	bool awaited;                  /* a drain found it without a name */
	uint32_t number;               /* it has for this function */
	uint64_t gained;               /* the drain that last took up something of it */
	uint64_t retired_ns;           /* the kernel side finds it no more since then; 0: it does */
	struct function_stats *before; /* the counters when last read */
};

/* Processes of one group are asked for one after the other. */
struct throttle_cache {
	char groups[4096]; /* contents of /proc/TGID/cgroup; "": nothing is known */
	struct throttle throttle;
};

struct native;

struct collector {
	const struct builds *builds;
	struct function_stats *stats;
	struct slot *slots;
	size_t slot_count;
	uint64_t drains;
	size_t room;     /* free slots, after the last drain ... */
	size_t retiring; /* ... and those that will be */
	size_t arrived;  /* functions, since room was last made, at room_ns */
	uint64_t room_ns;
	uint64_t retired; /* functions that made room for others, in this window */
	lifecycle_fn lifecycle;
	void *lifecycle_arg;
	seen_fn seen; /* NULL: nobody wants to know */
	void *seen_arg;
	struct process_total *processes;
	struct process_total *current; /* of those, hash by tgid */
	uint64_t window_start_ns;
	size_t passed; /* in this window: children that became other programs at once, and ended */
	struct native *native;
	struct cpu_hierarchy cpu_hierarchy;
	struct throttle_cache throttle_cache;
	struct targets targets;
	uint64_t losses[LOSS_COUNT];
};

/* The function in a slot of the kernel side; NULL: there is no such slot, or no memory. */
struct function_total *collector__slot_function(struct collector *collector, uint32_t number,
						struct process_total *process);
/* Does it count what watchpoints see? */
bool collector__slot_watched(const struct collector *collector, size_t place);
/* Is it to be given back, once its counters have been read? */
bool collector__slot_over(struct collector *collector, size_t place, uint64_t now_ns);
/* Forget what it has, but for whose its number was. */
void collector__slot_clear(struct collector *collector, size_t place);

/* The process that has this tgid, or that has or had it. */
struct process_total *collector__find(const struct collector *collector, pid_t tgid);
struct process_total *collector__find_any(const struct collector *collector, pid_t tgid);

/* A stand-in for a function whose name has not come. */
struct function_total *collector__nameless(struct process_total *process, uint32_t slot);

/* What the process's CPU quota has counted so far. */
void collector__throttle(struct collector *collector, pid_t tgid, struct throttle *throttle);

/* Take up what one slot gained; it has a function and a `before`. */
void collector__drain_slot(struct collector *collector, uint32_t index);
/* The same for all of one process. */
void collector__drain_process(struct collector *collector, struct process_total *total);

#endif
