/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Drains what the kernel side tells into totals, and makes a struct profile of
 * them at the end of each window.
 */
#ifndef PYTRACE_COLLECTOR_H
#define PYTRACE_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "discover/process.h"
#include "profile.h"
#include "records.h"

struct collector;

/* What the rest of the program hears of: tasks that begin, exec, end, or were first hit. */
typedef void (*lifecycle_fn)(void *arg, const struct record_task *record);

/*
 * `stats` are the kernel's counters, one entry a function slot (`slots` of them),
 * which live longer than the collector.  NULL without memory.
 */
struct collector *collector__new(const struct builds *builds, struct function_stats *stats,
				 size_t slots, lifecycle_fn lifecycle, void *arg);
void collector__free(struct collector *collector);

/*
 * A function of a process is heard of, by its key in the kernel's table: for who wants to watch it.
 * `name` is the collector's.
 */
struct function_name {
	char *function;
	char *file;
	uint32_t line;
};
typedef void (*seen_fn)(void *arg, pid_t tgid, const struct function_name *name,
			const struct function_key *key);
void collector__on_function(struct collector *collector, seen_fn fn, void *arg);
/* Watchpoints on a function of a process were set, or taken away. */
struct watching_note {
	const char *function;
	const char *file;
	uint32_t line;
	bool on;
	bool suspends; /* a generator or coroutine */
};
void collector__watched(struct collector *collector, pid_t tgid, const struct watching_note *note,
			uint64_t now_ns);

/* One ring-buffer record.  Returns 0 always: a malformed one is ignored. */
int collector__record(void *collector, void *data, size_t size);

/* A process is traced from now_ns (CLOCK_MONOTONIC) on.  0 or -ENOMEM. */
int collector__add_process(struct collector *collector, const struct process *process,
			   uint64_t now_ns);
/* It became something else by exec, but is still traced. */
void collector__update_process(struct collector *collector, const struct process *process);
/* Its call probes went on or off. */
void collector__probed(struct collector *collector, pid_t tgid, bool on, uint64_t now_ns);

/*
 * Its calls are probed in windows, or no longer.  A window's calls are taken up when it is settled:
 * those of one that was cut (it ended before its time, for what it cost) never are.  One that stays
 * open for long is proved once it has cost little for a while: its calls are taken up as they come.
 */
void collector__governed(struct collector *collector, pid_t tgid, bool yes);
void collector__window_opened(struct collector *collector, pid_t tgid, uint64_t begin_ns);
void collector__window_proved(struct collector *collector, pid_t tgid);
void collector__window_ended(struct collector *collector, pid_t tgid, bool cut);
void collector__window_settled(struct collector *collector, pid_t tgid, uint64_t end_ns,
			       uint64_t hits);
/* A call was open when the window ended, after so long: before that is settled (censored_fn). */
void collector__censored(void *collector, pid_t tgid, uint32_t function, uint64_t ns);

/* How its garbage collections are seen; `reason`: why they are not. */
#define GC_REASON_BYTES 160
void collector__gc_method(struct collector *collector, pid_t tgid, enum gc_method method,
			  const char *reason);
/* What is known of one that is traced and lives; NULL: there is none of that tgid. */
const struct process *collector__process(const struct collector *collector, pid_t tgid);
bool collector__knows(const struct collector *collector, pid_t tgid);
/* It ended; its numbers stay until the next profile. */
void collector__end_process(struct collector *collector, pid_t tgid, uint64_t now_ns);
/* It has become another program: once it is ended, what still comes of its tgid is dropped. */
void collector__replaced(struct collector *collector, pid_t tgid);
/* The living processes of a build with call probes on: an array for free(), NULL if *count is 0. */
pid_t *collector__tgids(const struct collector *collector, size_t build, size_t *count);
/* All living processes, of one build or ANY_BUILD: an array for free(). */
#define ANY_BUILD SIZE_MAX
pid_t *collector__living_tgids(const struct collector *collector, size_t build, size_t *count);
/* Living processes, of those that are traced. */
size_t collector__living(const struct collector *collector);

/*
 * What the ring can still tell of functions in the counters: a function's name is in the
 * ring before its counters count, but one that began since the ring was read is not known yet.
 */
enum ring_state {
	RING_UNREAD,
	RING_READ, /* to its end, since the last drain */
	RING_OVER, /* to its end, and no more calls are counted */
};

/*
 * Take up what the function counters gained.  The places of slots that
 * nobody needs any more are handed to `free_slot`.  Functions whose names must have come by now and
 * have not have lost them.
 */
void collector__drain(struct collector *collector, enum ring_state ring,
		      void (*free_slot)(void *arg, uint32_t place), void *arg);

/*
 * Where the table has little room left, functions that were not heard of for longest leave it:
 * `retire` is told the places, and is to see to it that the kernel side gives these functions new
 * ones when they come again.  A drain more than a second later hands the slots to `free_slot`. What
 * was counted of them is kept.  Returns how many left.
 */
size_t collector__make_room(struct collector *collector, uint64_t now_ns,
			    void (*retire)(void *arg, const uint32_t *places, size_t count),
			    void *arg);

/* Have so many functions come that this should be done at once? */
bool collector__needs_room(const struct collector *collector);
/* Or now and then? */
bool collector__has_little_room(const struct collector *collector);

/*
 * Many ended processes of a kind are one from now on: to be called now and then, after a drain. All
 * that was told of processes that had ended before until_ns has been read from the ring.
 */
void collector__fold_ended(struct collector *collector, uint64_t until_ns);

/*
 * Judge anew which calls of each function are its slow ones, from what they took lately, and have
 * the kernel side follow.  To be called about once a second, and at each window's end, after a
 * drain.
 */
void collector__renew_tails(struct collector *collector, uint64_t now_ns);

/*
 * Has the kernel side told so many targets of waits that it should begin anew?  After
 * tracer__renew_targets() those of long ago are forgotten.
 */
bool collector__targets_full(const struct collector *collector);
void collector__renew_targets(struct collector *collector);

/* Adds what was lost here, by cause. */
void collector__add_losses(const struct collector *collector, uint64_t losses[LOSS_COUNT]);

/* What an event loop called in this window (callback_fn of the tracer): before the drain. */
void collector__callback(void *collector, const struct callback_key *key,
			 const struct callback_stats *stats);

/* Reads the resident memory of every process: to be called about once a second. */
void collector__memory(struct collector *collector, uint64_t now_ns);

/* How long threads have waited for a GIL so far (gil_fn of the tracer): before a profile. */
void collector__gil(void *collector, const struct gil_id *gil, uint64_t contended_ns);

/*
 * How often each process's threads waited and were sampled since the last call, and what it lost to
 * that: the callee says, as a share of its time, and one in how many of their stacks was read.
 */
struct waits_lately {
	uint64_t ns, waits, samples;
	double share;
	uint32_t walk_every;
};
typedef void (*waits_fn)(void *arg, pid_t tgid, struct waits_lately *lately);
void collector__waits(struct collector *collector, uint64_t now_ns, waits_fn fn, void *arg);

/* What a profile says of itself and of the costs; the collector fills in the rest. */
struct window {
	uint64_t start_ns, end_ns; /* CLOCK_MONOTONIC */
	uint64_t own_cpu_ns;       /* what this process had used when it began */
	double empty_probe_ns;     /* one hit of a probe that does nothing */
	double entry_ns, exit_ns;  /* one hit of ours, getting there included; 0: not known */
	double watch_ns;           /* one hit of a watchpoint, 0: none is used */
	double switch_ns, sample_ns;
	unsigned int samples_hz;    /* 0: there are none */
	const char *samples_event;  /* static, or NULL */
	uint64_t callback_least_ns; /* shorter callbacks of event loops were not told */
};

/* The first window begins at now_ns, when what came before has been drained: that is forgotten. */
void collector__begin(struct collector *collector, uint64_t now_ns);

/*
 * The profile of everything since the last one, for profile__free(); NULL
 * without memory.  Forgets the window's numbers afterwards.
 */
struct profile *collector__profile(struct collector *collector, const struct window *window);

#endif
