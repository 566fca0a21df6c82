/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Every way of losing data has a counter here, and every counter reaches the
 * user.  LOSS_CAUSES is the single list: index, JSON key, sentence.
 */
#ifndef PYTRACE_LOSS_H
#define PYTRACE_LOSS_H

/* clang-format off */
#define LOSS_CAUSES(X)                                                                        \
	X(RING_WAIT,       "ring_full_wait",      "waits not recorded: ring buffer full")         \
	X(RING_CODE,       "ring_full_code",      "function names delayed: ring buffer full")     \
	X(RING_SAMPLE,     "ring_full_sample",    "samples not recorded: ring buffer full")       \
	X(RING_STACK,      "ring_full_stack",     "stacks told later: ring buffer full")          \
	X(RING_TARGET,     "ring_full_target",    "waits whose target was not told: ring buffer full") \
	X(TARGETS_FULL,    "targets_full",        "waits told under other targets: too many of them") \
	X(AWAITED_FULL,    "awaited_full",        "waits not counted per call: too many targets")    \
	X(RING_LIFECYCLE,  "ring_full_lifecycle", "process events lost: ring buffer full")        \
	X(FUNCTIONS_FULL,  "functions_full",      "calls not recorded: function table full")      \
	X(PROCESSES_FULL,  "processes_full",      "events of processes beyond the process table") \
	X(RING_SLOW,       "ring_full_slow",      "causes of slow calls not recorded: ring buffer full") \
	X(RING_CENSORED,   "ring_full_censored",  "calls open at a probe window's end not recorded: ring buffer full") \
	X(RING_GC,         "ring_full_gc",        "garbage collections not recorded: ring buffer full") \
	X(GC_BEGAN_BEFORE, "gc_began_before",     "garbage collections that began before tracing")     \
	X(GENERATORS_FULL, "generators_full",     "generator calls not tracked: table full")      \
	X(WATCHED_FULL,    "watched_full",        "calls of watched functions not followed: table full") \
	X(CALLBACKS_FULL,  "callbacks_full",      "event loop callbacks not recorded: table full") \
	X(PARKED,          "greenlets_full",      "greenlets whose calls were let go: table full") \
	X(STORAGE,         "thread_storage",      "events lost: no thread state could be made")   \
	X(DEPTH,           "depth",               "calls deeper than tracked: counted, not timed") \
	X(UNREADABLE,      "unreadable_memory",   "target memory that could not be read")         \
	X(UNKNOWN_THREAD,  "unknown_thread",      "calls in threads whose state was not found")   \
	X(NOT_AT_RESUME,   "entry_mismatch",      "entries whose frame did not verify")           \
	X(BEGAN_BEFORE,    "began_before",        "exits of calls that began before tracing")         \
	X(UNMATCHED_EXIT,  "unmatched_exit",      "exits whose entry was not seen")               \
	X(EXIT_UNSEEN,     "ended_unseen",        "calls that ended without a seen exit")         \
	X(GILS_FULL,       "gils_full",           "GILs not watched: table full")                 \
	X(GIL_QUEUE,       "gil_queue",           "waits told as of locks that may be of the GIL: many wait") \
	X(STACKS_FULL,     "stacks_full",         "waits whose stack was not kept: too many stacks") \
	X(STRING,          "string_truncated",    "function names cut short")                     \
	X(FORK_GAP,        "fork_unprobed",       "new processes whose first calls were missed") \
	X(RECONCILE,       "stack_mismatch",      "thread stacks rebuilt after a mismatch")
/* clang-format on */

enum loss_cause {
#define X(name, key, text) LOSS_##name,
	LOSS_CAUSES(X)
#undef X
		LOSS_COUNT,
};

#endif
