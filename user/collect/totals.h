/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What has been added up so far: processes with their threads, functions and
 * waits.  The collector's own; the rest of the program sees struct profile.
 */
#ifndef PYTRACE_TOTALS_H
#define PYTRACE_TOTALS_H

#include <uthash.h>

#include "collector.h"
#include "discover/process.h"
#include "profile.h"
#include "records.h"

/* A function by what it is called, whatever code objects it had. */
struct function_name {
	char *function;
	char *file;
	uint32_t line;
};

/* Counters of calls that began or ended; of a window or of a whole run. */
struct call_counts {
	uint64_t calls, segments, exits, exceptions, ended_unseen;
	uint64_t self_ns, suspended_ns, probe_ns; /* self_ns and wall.sum_ns may be below 0 */
	uint64_t wait_ns[WAIT_CLASSES];
};

struct function_total {
	char *id; /* hash key: file, line and name in one string */
	UT_hash_handle hh;
	struct function_name name;
	struct call_counts window;
	uint64_t begun, over;  /* since the start: the difference is in progress */
	struct histogram wall; /* of the window */
};

struct wait_key {
	const struct function_total *function; /* NULL: not known */
	uint32_t wait_class;
	int32_t syscall;
};

struct wait_total {
	struct wait_key key;
	UT_hash_handle hh;
	struct histogram time;
};

/* 44 bytes of Latin-1 and an ellipsis are the most. */
#define CALLBACK_TASK_TEXT 96

struct callback_id {
	const struct function_total *function;
	char task[CALLBACK_TASK_TEXT]; /* zeros behind it; "": none, or it is not known */
};

/* What an event loop called. */
struct callback_total {
	struct callback_id id;
	UT_hash_handle hh;
	struct callback_stats stats;
};

struct pause_key {
	const struct function_total *function; /* NULL: not known */
	int32_t generation;                    /* -1: not known */
	uint32_t pad;
};

/* Pauses of the garbage collector. */
struct pause_total {
	struct pause_key key;
	UT_hash_handle hh;
	struct histogram time;
};

/* A wait for the GIL that may go on: its futex sleeps time out every switch interval. */
struct gil_wait {
	bool pending;
	struct wait_key key;
	uint64_t ns;
	uint32_t switches;
};

struct thread_total {
	uint32_t tid; /* hash key */
	UT_hash_handle hh;
	char name[COMM_BYTES + 1];
	uint64_t oncpu_ns;
	uint64_t wait_ns[WAIT_CLASSES];
	struct gil_wait gil;
	bool open; /* off-CPU when last told ... */
	struct wait_key open_key;
	bool pause_open; /* it was collecting garbage when last told ... */
	struct pause_key pause_key;
	bool exited;
};

struct process_total {
	struct process process;
	struct process_total *next;
	struct thread_total *threads;
	struct function_total *functions;
	struct wait_total *waits;
	struct callback_total *callbacks;
	struct pause_total *pauses;
	enum gc_method gc_method;
	char gc_reason[GC_REASON_BYTES]; /* why it is GC_UNKNOWN */
	uint64_t since_ns;        /* when it was taken in */
	uint64_t until_ns;        /* when it ended; 0: it lives */
	uint64_t probed_since_ns; /* call probes on since; 0: off */
	uint64_t probed_ns;       /* in this window, before probed_since_ns */
	uint64_t exited_oncpu_ns;
	uint64_t rss_bytes; /* at the last window's end */
	uint64_t rss_read_ns;
	bool current; /* the process that has this tgid now */
};

/* Frees one process with all it holds. */
void process_total__free(struct process_total *total);

/*
 * The function of that name, made if it is new; NULL without memory.
 * Takes nothing: the strings are copied.
 */
struct function_total *process_total__function(struct process_total *total, const char *function,
					       const char *file, uint32_t line);
struct thread_total *process_total__thread(struct process_total *total, uint32_t tid);
struct wait_total *process_total__wait(struct process_total *total, const struct wait_key *key);
struct callback_total *process_total__callback(struct process_total *total,
					       const struct callback_id *id);
void callback_stats_add(struct callback_stats *to, const struct callback_stats *from);

/* What was added up under `from` belongs to `to`, and `from` goes. */
void process_total__rename(struct process_total *total, struct function_total *from,
			   struct function_total *to);

/* Forget the window's numbers; threads that ended go. */
void process_total__reset(struct process_total *total);

#endif
