/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Everything that passes between the kernel side and userspace: ring-buffer
 * records, map keys and map values.  Fixed widths, explicit padding.
 * Times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef PYTRACE_RECORDS_H
#define PYTRACE_RECORDS_H

#include <linux/types.h>

#include "bounds.h"
#include "buckets.h"
#include "layout.h"
#include "loss.h"
#include "stack_quality.h"
#include "wait_class.h"

#define NO_FUNCTION 0xffffffffU

/* Ring-buffer records.  All begin with their kind. */
enum record_kind {
	RECORD_WAIT = 1,
	RECORD_CODE,
	RECORD_FORK,
	RECORD_EXEC,
	RECORD_EXIT,
	RECORD_THREAD_EXIT,
	RECORD_FIRST_HIT,
	RECORD_STACK,
	RECORD_SAMPLE,
	RECORD_GC,
	RECORD_TARGET,
	RECORD_SLOW,
	RECORD_WAITS,
	RECORD_CENSORED,
	RECORD_WINDOW_SPENT,
	RECORD_WATCH_SPENT,
};

enum wait_flags {
	WAIT_DONE = 1,        /* the wait is over; without it, a part of one still going on */
	WAIT_AT_ATTACH = 2,   /* it had begun before we looked; its length is a lower bound */
	WAIT_HOLDER_SURE = 4, /* `gil`: it was locked when its holder was looked up */
	WAIT_HOLDS_GIL = 4,   /* else: the thread has the GIL itself, and stops all others */
	WAIT_GIL_TAKEN = 8, /* `gil`: another has it, and took it before `gil_switches` was read */
	WAIT_BLOCK_IO = 8,  /* else: the kernel accounts it as waiting for a block device */
	WAIT_IN_CALL = 16,  /* call probes saw calls that it is in */
	WAIT_IN_VAIN = 32,  /* it was woken, but what it waits for has not come: it goes on */
	WAIT_AFTER_IO = 64, /* `gil`: the thread's last wait but for a GIL was for I/O */
	WAIT_GIL_AGAIN = 128, /* `gil`: its last wait was for a GIL, too */
};

/* A stretch a thread was off-CPU, or the part of it not reported before. */
struct record_wait {
	__u32 kind;
	__u32 tgid;
	__u32 tid;
	__u32 function;      /* slot of the Python function on top, or NO_FUNCTION */
	__u64 total_ns;      /* the whole wait until now, without run queue time */
	__u64 new_ns;        /* the part of it no earlier record told */
	__u64 runq_ns;       /* runnable but not running, not told before */
	__u64 runq_total_ns; /* the whole run queue stretch that ended with this record, 0: none */
	__u64 oncpu_ns;      /* time the thread ran, not told before */
	__s32 syscall;       /* number, or -1: page fault or interrupt */
	__u8 wait_class;     /* enum wait_class */
	__u8 flags;          /* enum wait_flags */
	__u8 pad[2];
	union {
		struct {                    /* `gil` */
			__u32 gil_switches; /* low half of its switch count when the wait began */
			__u32 holder; /* slot of the function that held it then, or NO_FUNCTION */
		};
		struct {              /* any other class */
			__u32 target; /* as a struct record_target told it; 0: not known */
			__u32 pad2;
		};
	};
	__u64 stack;       /* of the thread when it went off-CPU (record_stack), 0: no Python */
	__u64 waker_stack; /* of the thread that ended it, 0: none of ours, or no Python */
	__u32 waker;       /* slot of the function on top there, or NO_FUNCTION */
	__u32 waker_tid;   /* 0: nobody we know of */
	__u64 gil;         /* `gil`: address of its struct */
	char comm[COMM_BYTES];
};
_Static_assert(sizeof(struct record_wait) == 120, "ring-buffer ABI");

#define GATHERED_MAX 16

struct wait_times {
	__u32 total_ns;
	__u32 runq_total_ns;
};

/* Waits of one thread, over, that differ in how long they took only. */
struct record_waits {
	struct record_wait sum; /* its `kind` is RECORD_WAITS, its times are sums */
	__u32 count;
	__u32 pad;
	struct wait_times each[GATHERED_MAX]; /* no more than `count` are told */
};
_Static_assert(sizeof(struct record_waits) == 128 + 8 * GATHERED_MAX, "ring-buffer ABI");

/* A stack seen for the first time. */
struct record_stack {
	__u32 kind;
	__u32 tgid;
	__u64 id; /* of this process; never 0 */
	__u32 frames;
	__u32 quality;                 /* enum stack_quality */
	__u32 functions[STACK_FRAMES]; /* slots, the innermost first */
};
_Static_assert(sizeof(struct record_stack) == 24 + 4 * STACK_FRAMES, "ring-buffer ABI");

enum sample_flags {
	SAMPLE_HAS_GIL = 1,
	SAMPLE_IN_KERNEL = 2,  /* in the system call `syscall` */
	SAMPLE_COLLECTING = 4, /* its interpreter collected garbage */
	SAMPLE_FAULT = 8,      /* not a timer but a page fault: it has no other flags */
};

/* A timer found a thread running, or it took a page fault. */
struct record_sample {
	__u32 kind;
	__u32 tgid;
	__u32 tid;
	__u32 function; /* slot of the Python function on top, or NO_FUNCTION */
	__u64 stack;    /* 0: no Python */
	__u64 ip;       /* of its own code */
	__s32 syscall;
	__u32 flags; /* enum sample_flags */
};
_Static_assert(sizeof(struct record_sample) == 40, "ring-buffer ABI");

/* A slow call that waited mostly for one thing. */
struct record_slow {
	__u32 kind;
	__u32 tgid;
	__u32 function;   /* slot */
	__u32 wait_class; /* enum wait_class */
	__u32 what; /* slot of the holder (`gil`) or waker (`lock`), else a target; or unknown */
	__u32 pad;
	__u64 ns; /* it waited that much longer for this than for all else */
};
_Static_assert(sizeof(struct record_slow) == 32, "ring-buffer ABI");

/* A window has had more hits than it may have: its probes are to go. */
struct record_alarm {
	__u64 number; /* of the window */
	__u32 slot;
	__u32 build;
	__u32 tgid;
	__u32 pad;
};
_Static_assert(sizeof(struct record_alarm) == 24, "ring-buffer ABI");

/* A call that was still open when its probe window ended. */
struct record_censored {
	__u32 kind;
	__u32 tgid;
	__u32 function; /* slot */
	__u32 pad;
	__u64 ns; /* it had taken so long until then, without our probes */
};
_Static_assert(sizeof(struct record_censored) == 24, "ring-buffer ABI");

/* What a thread waits for, beside the class of the wait. */
enum target_kind {
	TARGET_NONE,
	TARGET_INET,   /* id[0]: address; port in network order */
	TARGET_INET6,  /* id[0], id[1]: address */
	TARGET_UNIX,   /* id[0]: hash of its name, id[1]: bytes of it; the name is the text */
	TARGET_SOCKET, /* of another family, `number` */
	TARGET_FILE,   /* id: dentry, inode number, hash of the name; the path is the text */
	TARGET_FIFO,   /* the same of a named pipe */
	TARGET_PIPE,
	TARGET_TTY,     /* `number`: device, as the kernel has it */
	TARGET_ANON,    /* id[0], id[1]: name of an anonymous inode, "[eventfd]" */
	TARGET_FDS,     /* poll() of `number` descriptors */
	TARGET_EPOLL,   /* descriptor `number` of the process id[0]; id[1]: which instance */
	TARGET_CHILD,   /* id[0], id[1]: its command */
	TARGET_STOP,    /* the world that stops or is stopped, on free-threaded builds */
	TARGET_SECTION, /* and: a critical section's mutex */
	TARGET_KINDS,
};

enum target_flags {
	TARGET_LISTENS = 1,  /* address and port, or name, are the socket's own */
	TARGET_ACCEPTED = 2, /* a client of our port `number`; its own port means nothing */
	TARGET_LOCAL = 4,    /* it has no peer: address and port are its own */
	TARGET_UDP = 8,
	TARGET_ALONE = 16, /* the one member of an epoll instance: is in no key that is told */
};

struct target_key {
	__u8 kind;
	__u8 flags;
	__u16 port;
	__u32 number;
	__u32 generation; /* raised when userspace lets go of what it was told */
	__u32 pad;
	__u64 id[3];
};
_Static_assert(sizeof(struct target_key) == 40, "map ABI");

/* The first wait for something: what it is. */
struct record_target {
	__u32 kind;
	__u32 id; /* never 0 */
	struct target_key key;
	__u8 parts; /* a path's components, the last first */
	__u8 cut;   /* there are more of them */
	__u8 pad[6];
	union {
		char path[TARGET_PARTS][TARGET_PART_BYTES]; /* each ends with a NUL */
		char name[TARGET_NAME_BYTES];               /* of a unix socket, id[1] bytes */
	};
};
_Static_assert(sizeof(struct record_target) == 56 + TARGET_PARTS * TARGET_PART_BYTES,
	       "ring-buffer ABI");

/* The last child of a process that ended. */
struct child_end {
	__u64 ns;
	__u32 target;
	__s32 pid; /* as its parent sees it */
};
_Static_assert(sizeof(struct child_end) == 16, "map ABI");

/* A function seen for the first time. */
struct record_code {
	__u32 kind;
	__u32 tgid;
	__u32 slot;
	__u32 line;                   /* co_firstlineno */
	__u64 code;                   /* address of the code object */
	__u16 name_chars, file_chars; /* lengths in code points, as stored below */
	__u8 name_kind, file_kind;    /* bytes a code point: 1, 2 or 4; 0: unreadable */
	__u8 truncated;
	__u8 name_ascii : 1, file_ascii : 1, pad_bits : 6;
	__u8 name[NAME_MAX_BYTES];
	__u8 file[FILE_MAX_BYTES];
};
_Static_assert(sizeof(struct record_code) == 544, "ring-buffer ABI");

/* RECORD_FORK, RECORD_EXEC, RECORD_EXIT, RECORD_THREAD_EXIT, RECORD_FIRST_HIT, RECORD_WINDOW_SPENT,
 * RECORD_WATCH_SPENT.
 */
struct record_task {
	__u32 kind;
	__u32 tgid;
	__u32 tid;
	__u32 build; /* RECORD_FIRST_HIT: of the build that was hit, RECORD_FORK: of the parent */
	__u64 ns;
	__u64 oncpu_ns; /* RECORD_THREAD_EXIT, RECORD_EXEC: time it ran, not told before */
	__u32 flags;    /* RECORD_FORK: the parent's, enum process_flags */
	__u32 parent;   /* RECORD_FORK: its tgid */
	char comm[COMM_BYTES];
};
_Static_assert(sizeof(struct record_task) == 56, "ring-buffer ABI");

/* A pause: a garbage collection that is over, or still goes on. */
struct record_gc {
	__u32 kind;
	__u32 tgid;
	__u32 tid;
	__u32 function; /* slot of the Python function on top when it began, or NO_FUNCTION */
	__u64 ns;
	__s32 generation; /* as the interpreter counts them; -1: not known */
	__u32 over;
};
_Static_assert(sizeof(struct record_gc) == 32, "ring-buffer ABI");

/* What is traced: the value of the map `processes`, keyed by tgid. */
enum process_flags {
	PROCESS_TRACED = 1, /* record its events */
	PROCESS_FOLLOW = 2, /* its forked children too */
	PROCESS_CALLS = 4,  /* count its calls */
};

struct process_entry {
	__u64 runtime; /* address of _PyRuntime in it; 0: not known yet */
	__u64 since;   /* when it was taken in */
	__u32 build;
	__u32 flags;
	__u32 window;      /* when its calls are counted: slot in the map `windows` */
	__u32 walk_every;  /* one stack in so many is read when its threads wait; 0: each */
	__u32 watch_group; /* whose watchpoints it has: that of the process they were set in, which
			      forked children inherit; 0: none's */
	__u32 pad;
};
_Static_assert(sizeof(struct process_entry) == 40, "map ABI");

/* A slot of `windows` that is always open, and one that never is: there is none of that number. */
#define WINDOW_ALWAYS 0
#define WINDOW_NEVER 0xffffffffU

/*
 * A probe window: its process's calls are counted from begin_ns until end_ns.  Written by
 * userspace, `number` first and end_ns last; the kernel side brings end_ns forward when there have
 * been too many hits.
 */
struct probe_window {
	__u64 number; /* another one each time */
	__u64 begin_ns;
	__u64 hits;     /* until now, those after its end included; counted in steps */
	__u64 hits_max; /* it ends after so many */
	__u64 end_ns;
};
_Static_assert(sizeof(struct probe_window) == 40, "map ABI");

#define WINDOW_HITS_STEP 64 /* of one thread: a power of two */

struct thread_key {
	__u64 thread_id; /* PyThreadState.thread_id */
	__u32 tgid;
	__u32 pad;
};
_Static_assert(sizeof(struct thread_key) == 16, "map ABI");

struct frame_key {
	__u64 frame;
	__u32 tgid;
	__u32 pad;
};
_Static_assert(sizeof(struct frame_key) == 16, "map ABI");

/*
 * What most of some waiting was for: a vote weighted by time (Boyer and Moore), right if one thing
 * has more than half of it.
 */
struct cause {
	__u64 ns; /* by so much it leads; 0: no candidate */
	__u32 wait_class;
	__u32 what; /* as in struct record_slow */
};
_Static_assert(sizeof(struct cause) == 16, "map ABI");

/* A call of a generator between two of its segments. */
struct generator {
	__u64 wall_ns; /* of the segments so far */
	__u64 suspended_ns;
	__u64 yield_ns; /* when it was suspended */
	__u32 function; /* NO_FUNCTION: it is over, and kept for who finds it later */
	__u16 waited;
	__u16 heir; /* it was found where another one had been */
	struct cause cause;
	__u64 wait_ns[WAIT_CLASSES];
};
_Static_assert(sizeof(struct generator) == 48 + 8 * WAIT_CLASSES, "map ABI");

/* A watched function has two slots: what is counted of it otherwise is apart. */
#define KEY_WATCHED 0x80000000U /* in function_key's tgid, and what is copied from it */

struct function_key {
	__u64 code;
	__u32 tgid;
	__u32 check; /* tells a new code object at an old address */
};
_Static_assert(sizeof(struct function_key) == 16, "map ABI");

enum function_role {
	ROLE_UNKNOWN, /* not looked at yet */
	ROLE_PLAIN,
	ROLE_LOOP_CALL,  /* asyncio's Handle._run: an event loop calls a callback */
	ROLE_GO_BETWEEN, /* it wakes threads for who calls it; set by userspace */
};

/* Calls slower than most of their function. */
struct tail_stats {
	__u64 calls;
	__u64 wall_ns;               /* a sum of signed values, as function_stats' */
	__u64 wait_ns[WAIT_CLASSES]; /* inside wall_ns, callees included */
};

/*
 * Functions are told by the number of their slot: its place in the table and, in the upper bits,
 * how often that was used before.  So a number that is kept somewhere for long never means another
 * function.
 */
#define SLOT_PLACE_BITS 20
#define SLOT_PLACE(slot) ((slot) & ((1U << SLOT_PLACE_BITS) - 1))
#define SLOT_AGAIN(slot) ((slot) + (1U << SLOT_PLACE_BITS)) /* the next number of its place */

/*
 * One function of one process: counters only ever grow (userspace subtracts
 * the previous reading), except that userspace sets the smallest and largest values back, and
 * the threshold.
 */
struct function_stats {
	__u64 calls;        /* entries that begin a call */
	__u64 segments;     /* entries of any kind */
	__u64 exits;        /* calls in the histogram: seen from entry to exit */
	__u64 exceptions;   /* of those, left by an exception */
	__u64 ended_unseen; /* begun, and gone without an exit we saw */
	__u64 began_before; /* ended, and begun before we looked: in no other figure of calls */
	__u64 wall_ns; /* this and self_ns without what our probes took: sums of signed values */
	__u64 self_ns;
	__u64 suspended_ns;
	__u64 probe_ns; /* what our probes took inside it, callees included */
	__u64 min_ns;   /* 0: none yet */
	__u64 max_ns;
	__u64 tail_from_ns;          /* calls that took this long are in `tail`; 0: none is, yet */
	__u64 wait_ns[WAIT_CLASSES]; /* inside wall_ns, callees included */
	__u64 holds;                 /* of the GIL, from a wait for it to where another waits */
	__u64 hold_ns;
	__u64 hold_max_ns;
	struct tail_stats tail;
	__u32 slot; /* the number it has now */
	__u32 tgid;
	__u16 told; /* its identity was sent */
	__u16 role; /* enum function_role */
	__u32 pad;
	struct function_key key; /* key.code is 0 in a free slot */
	__u32 buckets[BUCKET_COUNT];
};

_Static_assert(sizeof(struct function_stats) == 104 + 88 + 24 + 104 + 32 + 4 * BUCKET_COUNT,
	       "map ABI");

/* A GIL of a process. */
struct gil_id {
	__u64 gil; /* address of its struct */
	__u32 tgid;
	__u32 pad;
};
_Static_assert(sizeof(struct gil_id) == 16, "map ABI");

struct gil_stats {
	__u64 since;        /* threads have waited for it since then */
	__u64 ended;        /* or did until then */
	__u64 contended_ns; /* before `since`, or before `ended` */
	__u32 waiting;      /* threads; 0: none does */
	__u32 switches;     /* low half of its switch count when one last began to; 0: not known */
};
_Static_assert(sizeof(struct gil_stats) == 32, "map ABI");

/* What the name in a callback_key is. */
enum callback_name {
	CALLBACK_NAMELESS,
	CALLBACK_TASK,     /* that of the task whose coroutine `function` is */
	CALLBACK_NUMBERED, /* none: the task's is an automatic one */
	CALLBACK_BUILTIN,  /* that of the C function called */
	CALLBACK_OBJECT,   /* that of the type of what was called */
};

/* What an event loop called. */
struct callback_key {
	__u32 window; /* which report it is for */
	__u32 tgid;
	__u32 function; /* slot: of the callback, of its task's coroutine, else of Handle._run */
	__u8 name_is;   /* enum callback_name */
	__u8 name_kind; /* bytes a code point */
	__u8 name_chars;
	__u8 name_cut;
	__u8 name[TASK_NAME_BYTES];
};
_Static_assert(sizeof(struct callback_key) == 60, "map ABI");

struct callback_stats {
	__u64 count;
	__u64 ns; /* a sum of signed values */
	__u64 max_ns;
};
_Static_assert(sizeof(struct callback_stats) == 24, "map ABI");

/*
 * What tracing a call takes of the target's time, by build.  Calibrated at start in a
 * process of our own; in the target it is often less, and the kernel side follows it there.
 */
struct build_cost {
	__u32 most_ns;   /* calibrated: one trap into a probe and out of it */
	__u32 step_ns;   /* calibrated: the same on an instruction that is single-stepped */
	__u32 trap_ns;   /* one trap, as seen between two entries */
	__u32 inner_ns;  /* the halves of a call's two traps inside it */
	__u32 after_ns;  /* those outside, and our program at the exit */
	__u32 exit_ns;   /* that program alone */
	__u32 samples;   /* exits timed so far */
	__u32 slowed_ns; /* calibrated: what runs after a hit takes so much longer (caches) */
};
_Static_assert(sizeof(struct build_cost) == 32, "map ABI");

/* What has been learned of a probe site from its hits. */
struct site_votes {
	__u32 early, late;
	__u32 matches;       /* hits the register vote rests on */
	__u16 registers;     /* bit per register that held the frame each time */
	__u8 frame_register; /* index + 1, when the vote is over; 0: none */
	__u8 stepped;        /* the kernel single-steps what is probed; set by userspace */
};
_Static_assert(sizeof(struct site_votes) == 16, "map ABI");

enum site_kind {
	SITE_ENTRY,    /* a function begins or resumes */
	SITE_RETURN,   /* it returns */
	SITE_YIELD,    /* it suspends */
	SITE_UNWIND,   /* an exception passes through or was raised in it */
	SITE_THROW,    /* a generator is entered by throw() or close() */
	SITE_LEAVE,    /* it returns, suspends or unwinds (up to 3.10) */
	SITE_GC_START, /* a garbage collection begins */
	SITE_GC_DONE,
};

/* Where a tracepoint's argument is. */
enum argument_place {
	ARGUMENT_UNKNOWN, /* nowhere we can read */
	ARGUMENT_CONSTANT,
	ARGUMENT_REGISTER,
	ARGUMENT_MEMORY,
};

struct probe_argument {
	__s64 value;    /* the constant; what is added to the register in ARGUMENT_MEMORY */
	__u16 at;       /* of the register in struct pt_regs */
	__u8 place;     /* enum argument_place */
	__u8 bytes;     /* 1, 2, 4 or 8 */
	__u8 is_signed; /* it is smaller than 8 bytes, and extended by its sign */
	__u8 pad[3];
};
_Static_assert(sizeof(struct probe_argument) == 16, "map ABI");

#define GC_SITE_MAX 8 /* of one build */

#define GC_GENERATIONS 3

/* Where the garbage collector counts its collections, from its flag. */
struct gc_counts {
	__u32 before;                     /* the counts are so far before the flag */
	__u32 is_pointer;                 /* no: a pointer to them is */
	__u32 generation[GC_GENERATIONS]; /* in them: a byte that each collection changes */
};

/* The garbage collector's `int collecting`; one of the two offsets is LAYOUT_ABSENT. */
struct gc_flag {
	__u32 in_runtime; /* 3.8 */
	__u32 in_interp;
	struct gc_counts counts;
};
_Static_assert(sizeof(struct gc_flag) == 28, "map ABI");

/* What our programs cost, measured on a sample of their runs. */
enum cost_kind {
	COST_ENTRY,
	COST_EXIT,
	COST_OUT,      /* a thread goes off-CPU, and its stack is read */
	COST_OUT_HELD, /* or taken to be the one that was read last in the same place */
	COST_IN,
	COST_WAKE,
	COST_SAMPLE,
	COST_KINDS,
};

struct cost {
	__u64 runs; /* that were timed */
	__u64 ns;
};

/*
 * The cookie of a probe: which build, which of its sites, of which kind, and that
 * instruction's link-time address.
 */
#define SITE_MAX 32 /* sites of one build */
#define SITE_VADDR_MASK ((1ull << 48) - 1)
#define SITE_COOKIE(build, site, kind, vaddr)                                                      \
	(((__u64)(build) << 56) | ((__u64)(site) << 51) | ((__u64)(kind) << 48) |                  \
	 ((vaddr)&SITE_VADDR_MASK))
#define SITE_COOKIE_BUILD(c) ((__u32)((c) >> 56))
#define SITE_COOKIE_SITE(c) ((__u32)((c) >> 51) & (SITE_MAX - 1))
#define SITE_COOKIE_KIND(c) ((__u32)((c) >> 48) & 7)
#define SITE_COOKIE_VADDR(c) ((c)&SITE_VADDR_MASK)

#endif
