/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The kernel side as userspace sees it: programs loaded once, probes that come
 * and go per build and process, and the maps both sides share.
 */
#ifndef PYTRACE_TRACER_H
#define PYTRACE_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "discover/build.h"
#include "records.h"
#include "watch_point.h"
#include "uprobe.h"
#include "watch.h"

struct tracer;

struct tracer_config {
	bool admit_all;    /* probes in every process that maps a build; else process by process */
	bool calls;        /* there are call probes */
	bool empty_probes; /* attach programs that do nothing: for measuring */
	size_t ring_bytes; /* a power of two, at least a page */
	size_t functions;  /* how many functions there can be */
	int64_t callback_least_ns; /* what event loops call: shorter ones are not told */
	enum uprobe_way way;
	enum watch_choice watchpoints;
	bool watch; /* functions are */
};

/*
 * Load the kernel side.  Returns 0 with *out, to be freed with tracer__free(), or a
 * negative errno: -EPERM without the privileges, another for what the kernel refused.
 */
int tracer__new(const struct tracer_config *config, struct tracer **out);
void tracer__free(struct tracer *tracer);

/* Attach the scheduler and lifecycle tracepoints: waits, forks, execs, exits.  0 or negative errno.
 */
int tracer__attach_events(struct tracer *tracer);

/*
 * Sample threads that run, so many times a second of each CPU's time, and one in
 * FAULTS_PER_SAMPLE page faults.  0 or negative errno.
 */
int tracer__sample(struct tracer *tracer, unsigned int hz);
/* As often from now on. */
void tracer__sample_rate(struct tracer *tracer, unsigned int hz);
/* By which event (sampler.h); NULL: there are no samples. */
const char *tracer__samples_event(const struct tracer *tracer);

/* Make a build's layout known to the kernel side.  0 or negative errno. */
int tracer__add_build(struct tracer *tracer, size_t index, const struct build *build);

/*
 * Put call probes into one process (tgid), or into every process that maps the
 * build (tgid 0), and take them out again, those below with them.  May be called at any time and
 * often.  Attaching what is attached, or taking out what is not, does nothing and returns 0.
 * Otherwise 0 or a negative errno.
 */
int tracer__probe(struct tracer *tracer, size_t index, const struct build *build, pid_t tgid);
void tracer__unprobe(struct tracer *tracer, size_t index, pid_t tgid);
/* The same for the tracepoints of the garbage collector: apart, as they need no call probes. */
int tracer__probe_gc(struct tracer *tracer, size_t index, const struct build *build, pid_t tgid);
/*
 * For builds without these tracepoints: watch the flag at `address` (discover/gc_flag.h).  0
 * or a negative errno; watch_refusal() has words for it.
 */
int tracer__watch_gc(struct tracer *tracer, pid_t tgid, uint64_t address);
/* What a hit of a watchpoint costs the target, in ns; 0: none is used. */
double tracer__watch_ns(const struct tracer *tracer);
/* A forked child: false if it must be watched by itself. */
bool tracer__inherit_gc(struct tracer *tracer, pid_t parent, pid_t child, uint64_t forked_ns);
/* It is another program since. */
void tracer__unwatch_gc(struct tracer *tracer, pid_t tgid);
/*
 * Watch a function: `number` from 1 on tells it from others.  The process's entry has `group` as
 * its watch_group.  0, or a negative errno for watch_refusal().
 */
struct function_watch {
	uint64_t addresses[WATCH_ADDRESSES_MAX];        /* the first is where calls begin */
	struct watch_point points[WATCH_ADDRESSES_MAX]; /* what each tells */
	size_t count;
};
int tracer__watch_function(struct tracer *tracer, pid_t tgid, pid_t group, uint32_t number,
			   const struct function_watch *watch);
void tracer__unwatch_function(struct tracer *tracer, pid_t tgid, pid_t group, uint32_t number,
			      const struct function_watch *watch);
/* Does a forked child surely have it, too? */
bool tracer__watch_inherited(struct tracer *tracer, pid_t parent, pid_t child, uint32_t number,
			     uint64_t forked_ns);
/* A process that has it is gone; others are not. */
void tracer__leave_watch(struct tracer *tracer, pid_t tgid, uint32_t number);
/* How often its calls began, and how often that is looked at at the most (then RECORD_WATCH_SPENT).
 */
uint64_t tracer__watch_entries(struct tracer *tracer, pid_t group,
			       const struct function_watch *watch);
void tracer__allow_entries(struct tracer *tracer, pid_t group, const struct function_watch *watch,
			   uint64_t entries);
/* Are there call probes of this build in this process, or in all? */
bool tracer__probed(struct tracer *tracer, size_t index, pid_t tgid);
/* Take out the probes of a process that is gone, whatever its build was. */
void tracer__unprobe_process(struct tracer *tracer, pid_t tgid);
/*
 * Probe windows of a process whose entry has this slot (1 to MAX_PROCESSES - 1).  Opening puts the
 * call probes in, and counts from then on for length_ns, or until there were hits_max hits.  0 or a
 * negative errno.  Ending takes them out; it may be called before the window's time is over.
 * Settling comes WINDOW_SETTLES_NS after the end, when the probes are gone (measured: they are hit
 * for 8 ms more, a site after the other is taken out): calls still open are told as censored, by
 * records or by `fn`, and nothing of the window is left.
 */
#define WINDOW_SETTLES_NS 15000000ull
#define WINDOW_OPEN_ENDED UINT64_MAX
typedef void (*censored_fn)(void *arg, pid_t tgid, uint32_t function, uint64_t ns);
/* Before the first: have a thread close those at once that have had too many hits.  0 or -ENOMEM.
 */
int tracer__guard_windows(struct tracer *tracer);
int tracer__open_window(struct tracer *tracer, size_t index, const struct build *build, pid_t tgid,
			uint32_t slot, uint64_t length_ns, uint64_t hits_max);
void tracer__end_window(struct tracer *tracer, size_t index, pid_t tgid, uint32_t slot);
void tracer__settle_window(struct tracer *tracer, pid_t tgid, uint32_t slot, censored_fn fn,
			   void *arg);
/* So many more hits are allowed from now on. */
void tracer__allow_hits(struct tracer *tracer, uint32_t slot, uint64_t hits);
/* What is known of the last one now. */
struct probe_window tracer__window(const struct tracer *tracer, uint32_t slot);

/* A process has ended: the stacks of its greenlets that never went on, and its GILs. */
void tracer__forget_process(struct tracer *tracer, pid_t tgid);
/* Count no more calls from now on (taking probes out takes time). */
void tracer__end_calls(struct tracer *tracer);

/* Trace a process (flags: enum process_flags), or stop doing so.  0 or negative errno. */
int tracer__add_process(struct tracer *tracer, pid_t tgid, const struct process_entry *entry);
/* The same for one that is traced already; if it has ended meanwhile nothing happens. */
int tracer__update_process(struct tracer *tracer, pid_t tgid, const struct process_entry *entry);
int tracer__remove_process(struct tracer *tracer, pid_t tgid);

/* Does the kernel side trace it (still)? */
bool tracer__has_process(struct tracer *tracer, pid_t tgid, struct process_entry *entry);
/* The next process the kernel side traces after `tgid` (0: the first); 0 after the last. */
pid_t tracer__next_process(struct tracer *tracer, pid_t tgid);
/* Lifecycle records lost so far. */
uint64_t tracer__lifecycle_losses(struct tracer *tracer);

/* Tell the kernel side where a thread's state is (saves it the search). */
void tracer__add_thread(struct tracer *tracer, pid_t tgid, uint64_t thread_id, uint64_t tstate);

/*
 * Visit every thread of the traced processes: takes in those asleep since before,
 * and has the stretches still going on told through the ring.  0 or negative errno.
 */
int tracer__flush(struct tracer *tracer);

/* Read the ring buffer, waiting up to timeout_ms for it to be worth it.  >= 0 or negative errno. */
typedef int (*record_fn)(void *arg, void *data, size_t size);
int tracer__poll(struct tracer *tracer, record_fn fn, void *arg, int timeout_ms);

/* The function counters: an array of tracer__functions() entries, shared with the kernel. */
struct function_stats *tracer__stats(struct tracer *tracer);
size_t tracer__functions(const struct tracer *tracer);
/* The functions at these places are given others when they come again, and count here no more. */
void tracer__retire_slots(struct tracer *tracer, const uint32_t *places, size_t count);
/* Give a slot back; its counters must have been read. */
void tracer__free_slot(struct tracer *tracer, uint32_t place);

/*
 * What event loops called, in two steps: callbacks that end from now on are for the next time;
 * then, what was counted until then is handed over and forgotten.  Of a process that has ended
 * (`tgid`; 0: of all) all is.
 */
typedef void (*callback_fn)(void *arg, const struct callback_key *key,
			    const struct callback_stats *stats);
void tracer__end_callbacks(struct tracer *tracer);
void tracer__callbacks(struct tracer *tracer, pid_t tgid, callback_fn fn, void *arg);

/* How long threads have waited for each GIL until now_ns; of one process (0: of all). */
typedef void (*gil_fn)(void *arg, const struct gil_id *gil, uint64_t contended_ns);
void tracer__gils(struct tracer *tracer, pid_t tgid, uint64_t now_ns, gil_fn fn, void *arg);
/* Have what is waited for told anew: what was told before is to be forgotten some time. */
void tracer__renew_targets(struct tracer *tracer);

/* Losses so far, by cause. */
void tracer__losses(struct tracer *tracer, uint64_t losses[LOSS_COUNT]);

/* Mean nanoseconds a run of our programs took, without the cost of getting there. */
struct tracer_costs { /* 0: none was timed */
	double entry_ns, exit_ns, sample_ns;
	double switch_ns;                        /* a thread's going off-CPU and coming back: */
	double switch_walked_ns, switch_held_ns; /* if its stack is read, and if it is not */
	uint64_t switch_runs;                    /* that were timed with its stack read */
};
void tracer__costs(struct tracer *tracer, struct tracer_costs *costs);
/* The first two of these alone, for who asks often. */
void tracer__hit_costs(struct tracer *tracer, double *entry_ns, double *exit_ns);

/* What one hit of an empty probe costs here, measured on ourselves, in ns; 0 if it cannot be. */
double tracer__empty_probe_ns(struct tracer *tracer);

#endif
