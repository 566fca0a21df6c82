/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The narrow waist: everything aggregated over one window.  What is left of it
 * knows the kernel and CPython; what is right of it only reads this, and can be
 * tested from a file.  Times are nanoseconds; names are UTF-8 as the target has
 * them, unescaped and untrusted.
 */
#ifndef PYTRACE_PROFILE_H
#define PYTRACE_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"
#include "loss.h"
#include "stack_quality.h"
#include "wait_class.h"

/* Nothing is said of a process that was watched for less. */
#define LEAST_OBSERVED_NS 100000000ull

/*
 * Probe windows are put into so many groups, in turn: what differs from group to group tells how
 * far an estimate may be off.
 */
#define WINDOW_GROUPS 16

/* Calls of a function in one group of windows: how many of which length. */
struct group_count {
	uint16_t bucket;
	uint16_t censored; /* they were open when the window ended */
	uint32_t count;
};

struct call_group {
	struct group_count *counts; /* in no order */
	size_t used, room;
	uint64_t calls; /* that began */
};

struct profile_process {
	uint32_t tgid;
	char *comm;
	char *command;
	char *python;   /* "3.13.5" */
	char *build;    /* path */
	char *build_id; /* hex, or "" */
	char *service;
	char *container_id;
	const char *calls_method; /* static */
	const char *gc_method;    /* static: how garbage collections are seen */
	char *gc_reason;          /* why they are not, or not exactly, or "" */
	char *reason;             /* why calls or waits are missing, or "" */
	uint32_t threads;
	uint64_t oncpu_ns;                /* of all its threads */
	uint64_t observed_ns;             /* how long it was watched in this window */
	uint64_t probed_ns;               /* of that, with call probes on */
	bool windowed;                    /* they were on for a part of it only, to keep a budget */
	uint64_t windows, windows_cut;    /* probe windows that ended; before their time: no call of
					     theirs counts */
	uint64_t group_ns[WINDOW_GROUPS]; /* of probed_ns */
	uint64_t counted_cost_ns; /* of probe_cost_ns: inside the windows whose calls count */
	uint64_t probe_hits;
	uint64_t probe_cost_ns; /* estimated time it lost to our probes */
	uint64_t wait_cost_ns;  /* and to what we do at waits and samples */
	uint32_t walk_every;    /* one in so many stacks was read where threads wait; 1: each */
	uint64_t rss_bytes;
	uint64_t samples;          /* of its threads */
	uint64_t gil_samples;      /* of those, by a thread that had the GIL */
	uint64_t gil_after_io;     /* waits for the GIL that came right after one for I/O */
	uint64_t gil_after_io_ns;  /* how long those took */
	double rss_growth;         /* bytes a second */
	uint64_t rss_begin_bytes;  /* at the window's begin */
	unsigned int rss_readings; /* of its resident memory, begin and end included */
	unsigned int rss_grown;    /* of those it was more than in the one before */
	uint64_t preempted_ns;     /* run queue time of threads that had the CPU before */
	uint64_t woken_late_ns;    /* and of those that had waited */
	char *throttled_by;    /* control group with a CPU quota it is in; NULL: none, or unknown */
	uint64_t throttled_ns; /* so long that stopped who is in there, CPUs added up */
	uint64_t throttle_count; /* so often */
	bool exited;
	uint64_t others; /* so many others of its kind, ended, are in these numbers, too */
};

struct profile_thread {
	uint32_t tgid;
	uint32_t tid;
	char *name;
	uint64_t oncpu_ns;
	uint64_t wait_ns[WAIT_CLASSES];
	uint64_t preempted_ns; /* of its run queue time; the rest is after waits */
};

/* What slow calls waited for. */
struct profile_cause {
	enum wait_class wait_class;
	char *function; /* that held the GIL, or ended a wait for a lock; NULL: else, or unknown */
	char *target;   /* of other waits; NULL: unknown */
	uint64_t calls;
	uint64_t ns; /* they waited so much longer for it than for all else */
};

/*
 * The slow calls of a function: those above a threshold near its p95, which follows what its
 * calls took lately.  Each is judged by the one in force when it ends.
 */
struct profile_tail {
	uint64_t of_calls;                /* so many were judged; 0: there was no threshold yet */
	uint64_t calls;                   /* of these were slow */
	uint64_t above_ns, above_most_ns; /* the lowest and the highest threshold of this window */
	uint64_t wall_ns;
	uint64_t wait_ns[WAIT_CLASSES]; /* inside wall_ns, callees included */
	struct profile_cause *causes;   /* of slow calls that waited mostly for one thing */
	size_t cause_count;
};

/* What a thread does on a stack: it waits, of a wait class, or it runs. */
#define STACK_ONCPU WAIT_CLASSES
#define STACK_PARTS (WAIT_CLASSES + 1)

/* In the same place, where there is no time: it took page faults. */
#define STACK_FAULTS STACK_PARTS

#define NOTHING_BELOW SIZE_MAX

/* What a function, or what it calls, waited for most often. */
struct profile_repeat {
	char *target; /* NULL: nothing that is known */
	enum wait_class wait_class;
	uint64_t count;
	size_t below; /* most of them in what it calls: that function's place, or NOTHING_BELOW */
};

struct profile_function {
	uint32_t tgid;
	char *function;
	char *file;
	uint32_t line;
	bool called; /* seen by call probes; else only in waits */
	uint64_t calls, segments, exceptions, ended_unseen, began_before;
	uint64_t suspended_ns;
	uint64_t self_ns;
	uint64_t probe_hits;
	uint64_t probe_ns; /* taken off wall and self: our probes, callees' included */
	uint64_t probed_ns, observed_ns, counted_cost_ns; /* its process's */
	uint64_t sample_ns;             /* so much running a sample stands for; 0: there are none */
	uint64_t wait_ns[WAIT_CLASSES]; /* inside wall.sum_ns, callees included */
	uint64_t io_waits;              /* for sockets, files, pipes and children, callees' too */
	struct profile_repeat repeat;
	struct histogram wall;
	uint64_t watched_ns; /* so long watchpoints saw every call: the numbers are theirs; 0: none
				did */
	bool suspends; /* `wall` has the time it was suspended in it, and its parts are not known */
	bool windowed; /* seen in probe windows only: of all calls these are a part */
	struct histogram *censored; /* calls open when a window ended: how long by then; or NULL */
	struct call_group *groups;  /* WINDOW_GROUPS, or NULL */
	/* from stacks: what threads did in it or below it, and with it on top */
	uint64_t stack_ns[STACK_PARTS];
	uint64_t stack_inclusive_ns, stack_exclusive_ns;
	uint64_t faults_inclusive, faults_exclusive; /* page faults: an estimate */
	/* it had waited for the GIL and kept it while others waited */
	uint64_t holds, hold_ns, hold_max_ns;
	struct profile_tail tail;
};

/* The target that stands for those there was no room for. */
#define OTHER_TARGETS "(other targets)"

/* A function; stacks refer to it by its index. */
struct profile_name {
	char *function;
	char *file;
	uint32_t line;
};

struct profile_wait {
	uint32_t tgid;
	enum wait_class wait_class;
	char *function; /* "" where it is not known */
	char *file;
	uint32_t line;
	const char *syscall; /* static name, or NULL: fault or run queue */
	char *target;        /* what was waited for, or NULL */
	/* who called `function`, where it waits for its caller; NULLs: it does not, or not known */
	struct profile_name caller;
	char *waker;          /* function of this process in which it was ended, or NULL */
	bool by_peer;         /* by a thread that runs the same function as the one that waited */
	uint64_t block_io;    /* of those in `time`: were for a block device */
	uint64_t held_gil;    /* of those: the thread had the GIL, and stopped all others, ... */
	uint64_t held_gil_ns; /* ... for so long in all, waits not over included */
	struct histogram time;
};

/* What threads of a process did on one stack. */
struct profile_stack {
	uint32_t tgid;
	uint32_t part; /* enum wait_class, or STACK_ONCPU */
	enum stack_quality quality;
	size_t frame_count;
	uint32_t *frames; /* indices into names[], the innermost first; NULL: none is known */
	size_t waker_count;
	uint32_t *waker_frames; /* of who ended these waits, or NULL */
	char *native;   /* STACK_ONCPU: what it ran, "libz.so.1: deflate"; NULL: the interpreter's
			   loop */
	uint64_t count; /* waits that are over, or samples */
	uint64_t gil_samples; /* of those, that found the thread with the GIL */
	uint64_t ns;
};

/* Where threads of a process took page faults: their memory grew there, or came back. */
struct profile_fault {
	uint32_t tgid;
	enum stack_quality quality;
	size_t frame_count;
	uint32_t *frames; /* as those of a stack */
	char *native;     /* what it ran, as that of a stack */
	uint64_t count;   /* an estimate: FAULTS_PER_SAMPLE for each that was looked at */
};

/* Waits for the GIL by who waited and who held it. */
struct profile_gil {
	uint32_t tgid;
	uint32_t interpreter; /* which GIL of the process, from 0 in the order they were met */
	char *waiter, *holder, *longest; /* NULL: not known */
	uint64_t sure;                   /* waits whose holder is certain */
	struct histogram time;
};

/* One GIL. */
struct profile_contention {
	uint32_t tgid;
	uint32_t interpreter;
	uint64_t ns; /* in which one thread or more waited for it */
};

/* How garbage collections are seen. */
enum gc_method {
	GC_UNKNOWN, /* they are not */
	GC_USDT,
	GC_WATCHPOINT,
	GC_SAMPLES, /* estimated: how often a sample found one going on */
};

/* Pauses of the garbage collector that began in one function. */
struct profile_gc {
	uint32_t tgid;
	int32_t generation; /* -1: not known */
	char *function;     /* "" where it is not known */
	char *file;
	uint32_t line;
	const char *method; /* static */
	bool estimated;     /* of time only its sum is known, roughly */
	struct histogram time;
};

/* What an event loop called. */
struct profile_callback {
	uint32_t tgid;
	char *function; /* of a step of a task: its coroutine's */
	char *file;
	uint32_t line;
	char *task; /* whose step it is, "Task-*" for all without a name; NULL: none, or unknown */
	uint64_t count;
	uint64_t sum_ns;
	uint64_t max_ns;
};

/* A function that is to be watched, or a name of which there is none. */
struct profile_watch {
	uint32_t tgid;
	char *glob; /* NULL but where no function has matched */
	char *function;
	char *file;
	uint32_t line;
	bool watched;
	char *reason;                    /* why it is not, or "" */
	uint64_t since_ns;               /* it has been watched for so long */
	size_t returns, returns_watched; /* instructions that return */
};

struct profile {
	char *version; /* of this program */
	char *host;
	char *kernel;
	uint64_t started_realtime_ns;
	uint64_t duration_ns;
	uint64_t probed_ns;
	double empty_probe_ns;      /* calibrated: one hit of a probe that does nothing */
	double entry_ns, exit_ns;   /* one hit of ours, getting there included */
	double switch_ns;           /* one sched_switch of a Python thread */
	double sample_ns;           /* one sample of it */
	uint32_t samples_hz;        /* 0: there are none */
	const char *samples_event;  /* static: what the timer counts; NULL: there are none */
	uint64_t own_cpu_ns;        /* CPU time of the tracer itself */
	uint64_t own_window_cpu_ns; /* of that, in this window */
	uint64_t own_rss_bytes;
	uint64_t functions_retired; /* that made room for others in the table; what they did is kept
				     */

	struct profile_process *processes;
	size_t process_count;
	size_t replaced_count; /* children beside these that became other programs at once */
	struct profile_thread *threads;
	size_t thread_count;
	struct profile_function *functions;
	size_t function_count;
	struct profile_wait *waits;
	size_t wait_count;
	struct profile_name *names;
	size_t name_count;
	struct profile_stack *stacks;
	size_t stack_count;
	struct profile_fault *faults;
	size_t fault_count;
	struct profile_gil *gils;
	size_t gil_count;
	struct profile_contention *contentions;
	size_t contention_count;
	struct profile_callback *callbacks;
	size_t callback_count;
	struct profile_gc *gcs;
	size_t gc_count;
	struct profile_watch *watches;
	size_t watch_count;
	uint64_t callback_least_ns; /* shorter ones are not among them */
	uint64_t losses[LOSS_COUNT];
};

/* An empty profile, or NULL without memory. */
struct profile *profile__new(void);
/* Frees the profile with every string in it that is not marked static; NULL is fine. */
void profile__free(struct profile *profile);

/*
 * One more zeroed entry at the end of its array, for the caller to fill with
 * strings of its own malloc, which the profile then owns.  NULL without memory.
 * The pointer holds until the next entry is added to the same array.
 */
struct profile_process *profile__add_process(struct profile *profile);
struct profile_thread *profile__add_thread(struct profile *profile);
struct profile_function *profile__add_function(struct profile *profile);
struct profile_wait *profile__add_wait(struct profile *profile);
struct profile_callback *profile__add_callback(struct profile *profile);
struct profile_name *profile__add_name(struct profile *profile);
struct profile_stack *profile__add_stack(struct profile *profile);
struct profile_fault *profile__add_fault(struct profile *profile);
struct profile_gil *profile__add_gil(struct profile *profile);
struct profile_contention *profile__add_contention(struct profile *profile);
struct profile_gc *profile__add_gc(struct profile *profile);
struct profile_watch *profile__add_watch(struct profile *profile);

/* NULL is fine. */
void call_groups_free(struct call_group *groups);

/* "gil", "lock", ...; `wait_class` below WAIT_CLASSES. */
const char *wait_class_name(enum wait_class wait_class);
/* The class of that name, or WAIT_CLASSES when there is none. */
enum wait_class wait_class_of_name(const char *name);
/* "usdt", "watchpoint" or "unknown". */
const char *gc_method_name(enum gc_method method);
/* "complete", "truncated", "unreadable", "mixed", "none". */
const char *stack_quality_name(enum stack_quality quality);
/* The JSON key of a cause, and the sentence for people. */
const char *loss_key(enum loss_cause cause);
const char *loss_text(enum loss_cause cause);

#endif
