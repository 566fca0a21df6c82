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
#include "discover/throttle.h"
#include "go_between.h"
#include "profile.h"
#include "records.h"
#include "tail.h"
#include "targets.h"

/* Of the slow calls. */
struct tail_counts {
	uint64_t calls, of_calls; /* of so many that were judged */
	uint64_t wall_ns;         /* may be below 0 */
	uint64_t wait_ns[WAIT_CLASSES];
};

/* Counters of calls that began or ended; of a window or of a whole run. */
struct call_counts {
	uint64_t calls, segments, exits, exceptions, ended_unseen, began_before;
	uint64_t holds, hold_ns;                  /* of the GIL */
	uint64_t self_ns, suspended_ns, probe_ns; /* self_ns and wall.sum_ns may be below 0 */
	uint64_t wait_ns[WAIT_CLASSES];
	struct tail_counts tail;
};

/* What threads did in a function or below it, by wait class or STACK_ONCPU. */
struct stack_sums {
	uint64_t ns[STACK_PARTS];
	uint64_t inclusive_ns, exclusive_ns;
	uint64_t faults_inclusive, faults_exclusive;
	const void *counted; /* scratch: the stack that was counted last, for recursion */
};

struct function_total;

/* What a wait for I/O is for. */
struct awaited_key {
	const struct target_total *target; /* NULL: not known */
	uint32_t wait_class;
	uint32_t pad;
};

/* Waits for I/O that a function's calls were in: its own and those of what it calls. */
struct awaited_total {
	struct awaited_key key;
	UT_hash_handle hh;
	uint64_t count;
	/* what it called that most of them came through, by majority vote; NULL: its own */
	const struct function_total *below;
	uint64_t votes;
};

struct function_total {
	char *id; /* hash key: file, line and name in one string */
	UT_hash_handle hh;
	struct function_name name;
	/*
	 * What is counted of its calls by watchpoints is apart, in one that is `watched`.  Each is
	 * the other's twin; NULL: there is none.
	 */
	struct function_total *twin;
	bool watched;
	bool suspends;             /* its calls, if it is watched: a generator or coroutine */
	uint64_t watched_since_ns; /* in this window; 0: it is not now */
	uint64_t watched_ns;       /* in this window, before that */
	enum go_between go_between;
	struct call_counts window;
	uint64_t hold_max_ns;       /* of the window */
	struct stack_sums stack;    /* worked out at its end */
	uint32_t name_index;        /* in the profile that is being made, + 1; 0: none yet */
	uint64_t begun, over;       /* since the start: the difference is in progress */
	struct histogram wall;      /* of the window */
	struct histogram *censored; /* open when a probe window ended: how long by then; or NULL */
	struct call_group *groups;  /* WINDOW_GROUPS, of one that is probed in windows; or NULL */
	struct tail_history *history; /* NULL: too few calls yet */
	uint64_t tail_from_ns;        /* calls that take this long are slow; 0: not known yet */
	uint64_t tail_least_ns, tail_most_ns; /* values of it calls of this window met; 0: none */
	struct cause_total *causes;           /* of the window's slow calls; NULL: none */
	size_t cause_count;
	uint64_t io_waits;             /* of calls of the window, in it and below: at its end */
	struct awaited_total *awaited; /* the same, by target */
	const void *awaited_by;        /* scratch: the awaited_use counted last, for recursion */
	struct function_total *folded; /* scratch: what it is in the process it is added to */
	size_t profile; /* where it is in the profile being made, + 1; 0: it is not */
};

/* A stack of functions of a process. */
struct stack_total {
	uint64_t id; /* the kernel side's; hash key */
	UT_hash_handle hh;
	enum stack_quality quality;
	size_t count;
	struct function_total **functions; /* the innermost first; NULL: not known */
	struct stack_total *folded;        /* scratch, as a function's */
};

/* What a thread did on a stack. */
struct stack_key {
	const struct stack_total *stack;
	const struct stack_total *waker; /* `lock`: who ended it was there; NULL: not known */
	const char *native; /* the code it ran that is not Python's own; NULL: none, or it waited */
	uint32_t part;      /* enum wait_class, STACK_ONCPU or STACK_FAULTS */
	uint32_t pad;
};

struct stack_use {
	struct stack_key key;
	UT_hash_handle hh;
	uint64_t count;
	uint64_t gil_samples;
	uint64_t ns;
};

/* What threads of one process waited for. */
struct target_total {
	char *id; /* hash key: the text, but for an epoll instance */
	UT_hash_handle hh;
	bool other;                  /* it stands for many that there was no room for */
	bool epoll;                  /* its text is epoll_text(members) */
	bool kept;                   /* a wait that goes on is for it */
	uint32_t fd;                 /* of the epoll instance */
	unsigned long members;       /* when last looked at; 0: not known */
	struct target_total *folded; /* scratch, as a function's */
};

/* Waits for I/O on a stack, in calls that probes saw. */
struct awaited_use_key {
	const struct stack_total *stack;
	struct awaited_key on;
};

struct awaited_use {
	struct awaited_use_key key;
	UT_hash_handle hh;
	uint64_t count;
};

struct wait_key {
	const struct function_total *function; /* NULL: not known */
	const struct function_total *waker; /* `lock`: in this one it was ended; NULL: not known */
	const struct function_total
		*caller;             /* of `function`, where that is a go-between, or NULL */
	struct target_total *target; /* NULL: not known, or nothing in particular */
	uint32_t wait_class;
	int32_t syscall;
	uint32_t by_peer; /* `lock`: who ended it runs the same function as who waited */
	uint32_t pad;
};

struct wait_total {
	struct wait_key key;
	UT_hash_handle hh;
	struct histogram time;
	uint64_t block_io; /* of those counted: were for a block device */
	uint64_t held_gil; /* of those: the thread had the GIL */
	uint64_t held_gil_ns;
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

#define GIL_HOLDERS 4 /* that one wait tells apart */

struct gil_holder {
	const struct function_total *function;
	uint64_t ns;
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
	uint64_t samples; /* that found one going on, where this is all there is */
};

/* A wait for the GIL that may go on: its futex sleeps time out every switch interval. */
struct gil_wait {
	bool pending;
	bool sure; /* the first holder did hold it */
	bool after_io;
	bool taken; /* WAIT_GIL_TAKEN of its last part */
	struct wait_key key;
	uint64_t gil;
	uint64_t ns;
	uint32_t switches;
	uint32_t holder_count;
	struct gil_holder holders[GIL_HOLDERS]; /* in the order they were met */
};

/* Who waited for the GIL, and for whom. */
struct gil_key {
	uint64_t gil;
	const struct function_total *waiter, *holder, *longest; /* NULL: not known */
};

struct gil_total {
	struct gil_key key;
	UT_hash_handle hh;
	uint64_t sure; /* of the waits: their holder is certain */
	struct histogram time;
};

/* One GIL: how long threads waited for it. */
struct gil_contention {
	uint64_t gil; /* hash key */
	UT_hash_handle hh;
	uint64_t before_ns; /* the kernel's counter, when last read */
	uint64_t ns;        /* of the window */
};

struct thread_total {
	uint32_t tid; /* hash key */
	UT_hash_handle hh;
	char name[COMM_BYTES + 1];
	uint64_t oncpu_ns;
	uint64_t wait_ns[WAIT_CLASSES];
	uint64_t preempted_ns; /* of its run queue time: it had not waited before */
	struct gil_wait gil;
	struct record_wait vain; /* its wait, if it was woken in vain; else .kind is 0 */
	bool open;               /* off-CPU when last told ... */
	struct wait_key open_key;
	bool pause_open; /* it was collecting garbage when last told ... */
	struct pause_key pause_key;
	bool exited;
};

/* What was read of a process's resident memory in this window. */
struct resident_total {
	uint64_t begin_bytes, begin_ns;
	uint64_t bytes, ns; /* last */
	unsigned int readings, grown;
};

/* Of a process whose calls are probed in windows. */
struct probing {
	bool governed;                 /* it is one */
	bool apart;                    /* a window is open whose calls are not taken up yet */
	bool dropped;                  /* they are not to be: it was cut */
	uint64_t begin_ns;             /* of that window */
	uint32_t group;                /* what is taken up is of this one */
	uint64_t windows, windows_cut; /* that ended in this report's time */
	uint64_t hits;                 /* in them */
	uint64_t group_ns[WINDOW_GROUPS];
};

/* What its waits and samples cost it. */
struct effort {
	uint64_t waits, samples; /* since it was last looked at, at at_ns */
	uint64_t at_ns;
	uint64_t cost_ns;    /* of the window */
	uint32_t walk_every; /* at the most, in the window */
};

/* A number that a function had in the kernel's table, and has no more. */
struct gone_slot {
	uint32_t number; /* hash key */
	UT_hash_handle hh;
	struct function_total *function;
};

struct process_total {
	struct process process;
	struct process_total *next;
	struct thread_total *threads;
	struct function_total *functions;
	struct gone_slot *gone;
	struct wait_total *waits;
	struct stack_total *stacks;
	struct stack_use *stack_uses;
	struct gil_total *gils;
	struct gil_contention *contention;
	uint64_t samples, gil_samples; /* of the window; those by a thread that had the GIL */
	uint64_t gil_after_io, gil_after_io_ns; /* waits for the GIL that followed one for I/O */
	struct target_total *targets;
	struct awaited_use *awaited;
	struct callback_total *callbacks;
	struct pause_total *pauses;
	enum gc_method gc_method;
	char gc_reason[GC_REASON_BYTES]; /* why it is GC_UNKNOWN or GC_SAMPLES */
	uint64_t since_ns;               /* when it was taken in */
	uint64_t until_ns;               /* when it ended; 0: it lives */
	uint64_t probed_since_ns;        /* call probes on since, in this window; 0: off */
	uint64_t probed_ns;              /* in this window, before probed_since_ns */
	struct probing probing;
	struct effort effort;
	struct resident_total memory;
	struct throttle throttle;      /* its CPU quota's counters at the window's begin */
	struct throttle throttle_last; /* and when it ended */
	pid_t family;    /* whose child it is: the first of its forebears that is traced; 0: none */
	uint64_t folded; /* it is the sum of so many of a kind that have ended; 0: it is none */
	uint64_t folded_ns;    /* they were watched for so long in this window */
	uint32_t more_threads; /* beside those in `threads` */
	bool considered;       /* it has ended, and was looked at for others of its kind */
	UT_hash_handle hh;     /* of the current ones, by tgid */
	bool current;          /* the process that has this tgid now */
	bool replaced;         /* it became another program, of which nothing is to be told */
};

/* Frees one process with all it holds. */
void process_total__free(struct process_total *total);
/* Frees one kind of pause, which is in no process any more. */
void pause_total__free(struct pause_total *pause);

/*
 * The function of that name, made if it is new; NULL without memory.
 * Takes nothing: the strings are copied.
 */
struct function_total *process_total__function(struct process_total *total, const char *function,
					       const char *file, uint32_t line);
/* What is counted by watchpoints of a function: its twin, made if it is new; NULL without memory.
 */
struct function_total *process_total__watched(struct process_total *total,
					      struct function_total *function);
/* So long it was watched between the window's begin and now_ns. */
uint64_t function_total__watched_ns(const struct function_total *function, uint64_t now_ns);
/* What was counted of `from` is counted of `to`, too: all but its slow calls' causes. */
void function_total__move(struct function_total *to, struct function_total *from);
/* Calls of this window were judged by thresholds in this range. */
void function_total__tail_in_force(struct function_total *function, uint64_t least_ns,
				   uint64_t most_ns);
struct thread_total *process_total__thread(struct process_total *total, uint32_t tid);
/*
 * What was waited for, made if it is new; NULL without memory.  Beyond PROCESS_TARGETS it is one
 * that stands for all others, and *other is set.
 */
struct target_total *process_total__target(struct process_total *total,
					   const struct target_told *told, bool *other);
/* Its text, malloc'd; NULL without memory, and of NULL. */
char *target_total__name(const struct target_total *target);
void wait_total__add(struct wait_total *to, const struct wait_total *from);
void gil_total__add(struct gil_total *to, const struct gil_total *from);
struct wait_total *process_total__wait(struct process_total *total, const struct wait_key *key);
struct stack_total *process_total__stack(struct process_total *total, uint64_t id);
struct stack_use *process_total__stack_use(struct process_total *total,
					   const struct stack_key *key);
struct awaited_use *process_total__awaited(struct process_total *total,
					   const struct awaited_use_key *key);
struct awaited_total *function_total__awaited(struct function_total *function,
					      const struct awaited_key *key);
struct gil_total *process_total__gil(struct process_total *total, const struct gil_key *key);
struct gil_contention *process_total__contention(struct process_total *total, uint64_t gil);
/* How long it was watched between these times, without others added to it. */
uint64_t process_total__observed_ns(const struct process_total *total, uint64_t start_ns,
				    uint64_t end_ns);
/* A child that became another program at once: of no interest, but to who waits for it. */
bool process_total__is_passing(const struct process_total *total);
/* How long its threads ran in this window; and the part that so many of its samples stand for. */
uint64_t process_total__oncpu_ns(const struct process_total *total);
uint64_t process_total__sampled_ns(const struct process_total *total, uint64_t samples);
struct callback_total *process_total__callback(struct process_total *total,
					       const struct callback_id *id);
void callback_stats_add(struct callback_stats *to, const struct callback_stats *from);

/* What was added up under `from` belongs to `to`, and `from` goes. */
void process_total__rename(struct process_total *total, struct function_total *from,
			   struct function_total *to);

/* Forget the window's numbers; threads that ended go. */
void process_total__reset(struct process_total *total);

#endif
