/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What passes between the kernel side and userspace of watched functions. */
#ifndef PYTRACE_WATCH_POINT_H
#define PYTRACE_WATCH_POINT_H

#include <linux/types.h>

/* What a watchpoint on a function tells: the value of the map `watch_points`. */
enum watch_kind {
	WATCH_ENTRY,  /* its first code unit was read: a call begins */
	WATCH_RETURN, /* that of an instruction that returns */
	WATCH_RAISE,  /* what is read of its code object when an exception passes */
};

enum watch_flags {
	WATCH_GENERATOR = 1, /* the function is a generator or coroutine */
	WATCH_ALL_ENDS = 2,  /* every way out of it is watched */
};

struct watch_key {
	__u64 address;
	__u32 group; /* process_entry's watch_group */
	__u32 pad;
};
_Static_assert(sizeof(struct watch_key) == 16, "map ABI");

#define WATCH_RANGES 16

/* Instructions from byte `from` to before `to` of the bytecode. */
struct watch_range {
	__u32 from, to;
};

struct watch_point {
	__u64 code;     /* the function's code object */
	__u64 units;    /* its first code unit (up to 3.10 not used) */
	__u64 since_ns; /* calls that began before may have ended unseen */
	__u64 hits;
	__u64 hits_max;       /* no more are looked at: it costs too much */
	__u32 check;          /* tells that code object from others at its address */
	__u32 at;             /* byte of the bytecode that it is at */
	__u16 kind;           /* enum watch_kind */
	__u16 flags;          /* enum watch_flags */
	__u32 frame_register; /* which had the frame when a call began last */
	struct watch_range handled[WATCH_RANGES]; /* an exception there may be handled inside */
};
_Static_assert(sizeof(struct watch_point) == 56 + 8 * WATCH_RANGES, "map ABI");

#endif
