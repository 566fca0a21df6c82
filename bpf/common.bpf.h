/* SPDX-License-Identifier: GPL-2.0 */
/* The maps, the configuration, the loss counters and the one way to read a target's memory. */
#ifndef PYTRACE_COMMON_BPF_H
#define PYTRACE_COMMON_BPF_H

#include "vmlinux.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "records.h"

/* Which segment of its call a frame of the shadow stack is. */
enum segment {
	SEGMENT_FIRST,
	SEGMENT_RESUMED,
	SEGMENT_BEFORE, /* it was open before we looked */
};

/* A frame of a thread's shadow stack: one segment of one call, not ended yet. */
struct shadow_frame {
	u64 frame;    /* address of the interpreter's frame */
	u64 previous; /* the frame below as the interpreter links it */
	u64 start_ns;
	u64 child_ns;  /* spent in callees that have ended, without our probes */
	u64 probe_at;  /* the thread's probe_ns when it began */
	u32 function;  /* slot, or NO_FUNCTION */
	u16 waited;    /* bit per wait class: only those of wait_ns[] are valid */
	u16 segment;   /* enum segment */
	u64 raised_ns; /* when an exception last was raised in it or passed through, 0: never */
	struct cause cause; /* of its waits */
	u64 wait_ns[WAIT_CLASSES];
};

enum deep_state { DEEP_ENTERED, DEEP_RAISED, DEEP_LEFT };

struct stack_chunk {
	struct shadow_frame frames[STACK_CHUNK];
};
_Static_assert(sizeof(struct stack_chunk) <= STORAGE_MAX_BYTES, "fits task storage");

/* By the task, not its id: that changes where another thread than the first calls exec. */
struct stack_chunk_key {
	u64 task;
	u64 nth;
};

#define RECENT_FUNCTIONS 32
#define OPEN_CALLBACKS 4 /* event loops inside each other's callbacks */
#define KNOWN_TYPES 16
#define OWN_STATES 3 /* thread states of one thread, one for each interpreter it has run in */
#define GATHERS 4    /* kinds of waits that are put aside to be told together; a power of two */

#define HEAD_BYTES 128 /* enough of a frame for every version's fields */

struct recent_function {
	u64 code;
	u32 check;
	u32 slot;
};

/* A function that a thread was seen in.  Times are ticks (walk.bpf.h). */
struct walked_function {
	struct recent_function is;
	u32 since;      /* it has been this one, whenever looked at, since then */
	u32 sure_until; /* and is not looked at again before that */
};

/* What a walk came to. */
struct walked {
	u64 stack;    /* 0: no Python */
	u32 function; /* on top, or NO_FUNCTION */
	u32 behalf;   /* of what is on top: the innermost that is no go-between */
};

/* The last walk of a thread's stack: the next one often finds the same. */
struct walk_memo {
	u64 tstate;   /* the thread state it began at, ... */
	u64 versions; /* and where its interpreter keeps the number of the next code object */
	u64 chain;    /* hash of the code objects it found */
	u32 next;     /* that number then; 0: there is no such walk */
	u32 pad;
	struct walked walked;
};

/* Where a thread's stacks are read: not each time, where that costs too much. */
enum held_place { HELD_WAIT, HELD_PREEMPTED, HELD_WAKER, HELD_PLACES };

/* The last stack that was read there, for the next `left` times that it is the same place. */
struct held_walk {
	u64 at; /* the C stack's pointer, and the system call */
	s32 syscall;
	u32 left;
	struct walked walked;
};

/* A call of Handle._run in progress, and the Handle: it has let go of that when it returns. */
struct loop_call {
	u64 frame;
	u64 handle;
};

/* One that is over and is to be told. */
struct loop_call_over {
	u64 handle; /* 0: not known */
	s64 ns;
	u32 function;
	u32 pending; /* there is one */
};

struct known_type {
	u64 type;
	u64 kind; /* enum object_kind */
};

/* What we know of a thread, in its task storage.  What a switch needs comes first, and close. */
struct thread {
	u64 tstate; /* its PyThreadState; 0: not found yet */
	/*
	 * off_ns and in_ns are taken with atomics: the flush (on any CPU) and the
	 * scheduler's own events both account the stretch since them.
	 */
	u64 off_ns;    /* off-CPU and not told since; 0: running */
	u64 wake_ns;   /* runnable since; 0: still waiting */
	u64 off_begin; /* when this off-CPU stretch began */
	u64 in_ns;     /* running since; 0: not running */
	u64 oncpu_ns;  /* ran, not told yet */
	u32 epoch;     /* process_epoch when `flags` was read */
	u32 flags;     /* enum process_flags of its process */
	u64 gil;       /* GIL struct of its interpreter; 0: none or unknown */
	u64 runtime;   /* address of _PyRuntime; 0: process not known yet */
	u32 build;
	u32 depth; /* calls in progress; those beyond STACK_MAX are only counted */
	/* what it does off-CPU, as a struct record_wait tells it */
	u64 off_stack;
	u32 off_function;
	s32 off_syscall;
	union { /* what it waits for */
		struct {
			u32 off_gil_switches;
			u32 off_holder;
		};
		struct {                /* any class but `gil` */
			u32 off_target; /* number of a target; 0: not known */
			s32 off_number; /* of a child, -1: any; how many descriptors; 0: neither */
		};
	};
	union {
		u64 waker_stack; /* if there is a waker */
		u64 off_file;    /* when it goes off-CPU: the struct file it waits on, or 0 */
	};
	u32 waker;
	u32 waker_tid;
	u8 off_class;
	u8 off_flags;
	u8 gil_waits;   /* it counts as waiting for the GIL */
	u8 gil_wanted;  /* it sleeps until another lets the GIL go (and not until it is taken, say)
			 */
	u8 searches;    /* for its thread state, that found none */
	u16 gil_at;     /* if it waits for the GIL: where in it */
	u8 off_unix;    /* it receives from a unix socket */
	u8 in_vain;     /* and was woken by the peer's receiving */
	u8 early_vain;  /* the same of `early_ns` */
	u8 after_vain;  /* its last wait was woken in vain */
	u8 after_flags; /* WAIT_AFTER_IO and WAIT_GIL_AGAIN, for its next wait for a GIL */
	u64 early_ns;   /* it was woken when it was not known to be off-CPU (yet) */
	u64 told_stack; /* the last one that was told */
	u64 gil_since;  /* if it has the GIL, then since then, after a wait; 0: not known */
	u64 taken_in;   /* its process: tells it from one that had this tgid before */
	u64 look_ns;    /* look for more thread states of its own at that time */
	u64 states[OWN_STATES]; /* those, if it has several: the newest interpreter's first */
	struct walk_memo memo;
	struct held_walk held[HELD_PLACES];
	struct walked_function
		walked[RECENT_FUNCTIONS]; /* of its stacks: probes may be interrupted */
	u64 probe_ns;                     /* what our probes have taken of its time so far */
	u64 deep_frame;                   /* beyond what is kept: the frame that was last hit */
	u64 hit_ns;    /* when the last hit was left (an entry) or come to (an exit) */
	u8 hit_entry;  /* which of the two it was */
	u8 deep_state; /* enum deep_state: what it did then */
	u8 pad2[2];
	u32 stack_chunks; /* of its own in the map of that name */
	u32 seeding; /* scratch: open calls not put on the stack yet (no loop bound to verify) */
	u32 trap_ns; /* what a trap costs, when an exception last was told */
	u32 window_slot; /* of its process, in `windows` */
	u32 walk_every;  /* as its process's */
	u32 hits;        /* so far */
	u32 watch_group; /* as its process's */
	u64 window;      /* number of the one its shadow stack is of */
	u64 entering;    /* scratch: the frame of an entry */
	u64 not_before;  /* do not search for the thread state again before this */
	struct recent_function recent[RECENT_FUNCTIONS]; /* slots looked up lately, by address */
	struct loop_call_over call_over;
	struct loop_call loop_calls[OPEN_CALLBACKS]; /* by depth */
	struct known_type types[KNOWN_TYPES];        /* by address */

	u8 head[HEAD_BYTES]; /* scratch: a copy of the current frame's head */
	struct shadow_frame frames[STACK_INLINE];
	u64 gathering; /* 1: somebody is at `gathered` */
	struct record_waits gathered[GATHERS];
};
_Static_assert(sizeof(struct thread) <= STORAGE_MAX_BYTES, "fits task storage");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/* What of its shadow stack comes after `frames`. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct stack_chunk);
} first_chunks SEC(".maps");

/* And after that: few threads come so deep. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_STACK_CHUNKS);
	__type(key, struct stack_chunk_key);
	__type(value, struct stack_chunk);
} stack_chunks SEC(".maps");

/* What a new one is made from. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct stack_chunk);
} stack_chunk_blank SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_BUILDS);
	__type(key, u32);
	__type(value, struct py_layout);
} layouts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_PROCESSES);
	__type(key, u32);
	__type(value, struct process_entry);
} processes SEC(".maps");

/* (tgid, thread id as CPython has it) -> PyThreadState, filled by userspace at attach. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct thread_key);
	__type(value, u64);
} thread_states SEC(".maps");

/* A code object of a process -> its slot in `functions`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, DEFAULT_FUNCTIONS);
	__type(key, struct function_key);
	__type(value, u32);
} function_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, DEFAULT_FUNCTIONS);
	__type(value, u32);
} free_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DEFAULT_FUNCTIONS);
	__type(key, u32);
	__type(value, struct function_stats);
} functions SEC(".maps");

/* Slot WINDOW_ALWAYS is everybody's whose calls are counted all the time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_PROCESSES);
	__type(key, u32);
	__type(value, struct probe_window);
} windows SEC(".maps");

/* Calls of generators between two of their segments, by frame. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_GENERATORS);
	__type(key, struct frame_key);
	__type(value, struct generator);
} generators SEC(".maps");

/* What a new entry is made from: the programs' own stack is short. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct generator);
} generator_blank SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, DEFAULT_RING_BYTES);
} ring SEC(".maps");

/* What wakes the thread that closes windows in an emergency. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, ALARMS_BYTES);
} alarms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_COUNT);
	__type(key, u32);
	__type(value, u64);
} losses SEC(".maps");

/* Stacks that were told; what is in here no longer is told again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_STACKS);
	__type(key, u64);
	__type(value, u8);
} stacks_told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_GILS);
	__type(key, struct gil_id);
	__type(value, struct gil_stats);
} gils SEC(".maps");
/* What was waited for and has been told; what is in here no longer is told again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_TARGETS);
	__type(key, struct target_key);
	__type(value, u32);
} targets SEC(".maps");

/* By parent. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PROCESSES);
	__type(key, u32);
	__type(value, struct child_end);
} child_ends SEC(".maps");

/* Callbacks of event loops. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_CALLBACKS);
	__type(key, struct callback_key);
	__type(value, struct callback_stats);
} callbacks SEC(".maps");

#define SITE_VOTES 4096

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_BUILDS *SITE_MAX);
	__type(key, u32);
	__type(value, struct site_votes);
} site_votes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_BUILDS);
	__type(key, u32);
	__type(value, struct build_cost);
} build_costs SEC(".maps");

/* Set before load. */
const volatile bool admit_all = false; /* take in every process whose build is probed */
const volatile __u32 ring_wake_bytes = DEFAULT_RING_BYTES / 4;
const volatile __u32 own_tgid = 0;
const volatile __s64 callback_least_ns = CALLBACK_LEAST_NS; /* shorter ones are not told */

/* Written by userspace: raised whenever `processes` changed under threads that cached it. */
volatile __u32 process_epoch = 1;
/* Raised by userspace when functions have been taken out of `function_slots`. */
volatile __u32 slots_epoch = 1;
/* 0, but the verifier must not know. */
volatile __u64 unknown_zero SEC(".data") = 0;
/* The window is over: hits of probes not yet taken out count no more. */
volatile __u32 calls_over SEC(".data") = 0;
/* Raised by userspace when it lets go of the targets it was told: they are told anew. */
volatile __u32 target_generation SEC(".data") = 1;
volatile __u32 target_last SEC(".data") = 0; /* the number given last */
/* Whose window ends, for end_window(). */
volatile __u32 ending_slot SEC(".data") = WINDOW_NEVER;
/* Raised before the callbacks of a report are read: what is read gains no more. */
volatile __u32 callback_window SEC(".data") = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COST_KINDS);
	__type(key, u32);
	__type(value, struct cost);
} costs SEC(".maps");

#define COST_OUTLIER_NS 50000 /* interrupted or preempted: no cost of ours */
#define COST_EVERY 64         /* one run in so many is timed, by the low bits of the clock */

/*
 * What one of our programs cost that began at `start`.  (The kernel could time them:
 * but each time that was turned on or off here, sched_switch events went missing.)
 */
static __always_inline void cost_add(enum cost_kind kind, u64 start)
{
	u32 index = kind;
	struct cost *cost = bpf_map_lookup_elem(&costs, &index);
	u64 took = bpf_ktime_get_ns() - start;

	if (!cost || took > COST_OUTLIER_NS)
		return;
	cost->runs++;
	cost->ns += took;
}

/* One run in COST_EVERY is. */
static __always_inline bool cost_is_sampled(u64 start)
{
	return !(start & (COST_EVERY - 1));
}

/* The same for one run in COST_EVERY. */
static __always_inline void cost_sample(enum cost_kind kind, u64 start)
{
	if (cost_is_sampled(start))
		cost_add(kind, start);
}

/* `processes` has changed: what was cached of it in the thread is void. */
__noinline int thread_forget(struct thread *t)
{
	if (!t)
		return 0;
	t->epoch = process_epoch;
	t->told_stack = 0;
	t->memo.next = 0;
	for (int i = 0; i < HELD_PLACES; i++)
		t->held[i].left = 0;
	for (int i = 0; i < RECENT_FUNCTIONS; i++)
		t->recent[i].code = t->walked[i].is.code = 0;
	return 0;
}

#define TASK_INT(task, field)                                                                      \
	(bpf_core_field_size((task)->field) == sizeof(u8)                                          \
		 ? ((const struct task_struct___bytes *)(task))->field                             \
		 : (task)->field)

/*
 * It is traced from here on.  It may run, and have run, already: no state can be made at a switch
 * for which the kernel has no memory at hand, as for a new thread's first, and one that does not
 * wait comes by no other.  All that it ran is told of one that began when its process was traced
 * (to the kernel's last tick); what others ran before is not ours to tell.
 */
static __always_inline void thread_comes(struct task_struct *task, struct thread *t,
					 u64 traced_since)
{
	if (task->start_time >= traced_since)
		t->oncpu_ns = task->se.sum_exec_runtime;
	if (TASK_INT(task, on_cpu))
		t->in_ns = bpf_ktime_get_ns();
}

/* It is a thread of this process (NULL: of none that is in the table). */
static __always_inline void thread_is_of(struct task_struct *task, struct thread *t,
					 const struct process_entry *p)
{
	bool was_traced = t->flags & PROCESS_TRACED;

	thread_forget(t);
	t->flags = p ? p->flags : 0;
	if (!was_traced && task->flags & PF_EXITING)
		t->flags = 0; /* its end has been told, if it was */
	t->window_slot = p ? p->window : WINDOW_NEVER;
	t->walk_every = p ? p->walk_every : 0;
	t->watch_group = p ? p->watch_group : 0;
	t->taken_in = p ? p->since : 0;
	if (!was_traced && t->flags & PROCESS_TRACED)
		thread_comes(task, t, t->taken_in);
}

/* A record of this kind to be filled in and submitted, zeros but for these; NULL: the ring is full.
 */
static __always_inline struct record_task *task_record(enum record_kind kind, u32 tgid, u64 now)
{
	struct record_task *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record)
		return NULL;
	__builtin_memset(record, 0, sizeof(*record));
	record->kind = kind;
	record->tgid = tgid;
	record->ns = now;
	return record;
}

static __always_inline u64 exchange(u64 *where, u64 value)
{
	return __sync_lock_test_and_set(where, value);
}

/* Global functions, as this one, are verified once and not wherever they are called from. */
__noinline int lose_many(u32 cause, u32 many)
{
	u64 *count = bpf_map_lookup_elem(&losses, &cause);

	if (count)
		*count += many;
	return 0;
}

static __always_inline void lose(enum loss_cause cause)
{
	lose_many(cause, 1);
}

/*
 * The only reads of a target's memory.  `other` is NULL for the current task;
 * only sleepable programs may pass another one, and it must be a constant NULL
 * elsewhere.  Returns 0 or a negative errno.  This one is for what need not be there.
 */
static __always_inline int peek_user(struct task_struct *other, void *to, u32 size, u64 from)
{
	if (other)
		return bpf_copy_from_user_task(to, size, (void *)from, other, 0);
	return bpf_probe_read_user(to, size, (void *)from);
}

/* Counts what could not be read. */
static __always_inline int read_user(struct task_struct *other, void *to, u32 size, u64 from)
{
	int err = peek_user(other, to, size, from);

	if (err)
		lose(LOSS_UNREADABLE);
	return err;
}

static __always_inline u64 read_user_u64(struct task_struct *other, u64 from)
{
	u64 value = 0;

	read_user(other, &value, sizeof(value), from);
	return value;
}

/* Userspace sleeps until the ring is worth draining; lifecycle records wake it at once. */
static __always_inline u64 ring_wake_flag(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= ring_wake_bytes ? BPF_RB_FORCE_WAKEUP
									      : BPF_RB_NO_WAKEUP;
}

#endif
