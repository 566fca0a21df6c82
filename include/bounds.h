/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Sizes and limits both sides agree on. */
#ifndef PYTRACE_BOUNDS_H
#define PYTRACE_BOUNDS_H

#define MAX_BUILDS 256          /* distinct CPython binaries on a host */
#define MAX_PROCESSES 8192      /* traced processes at once */
#define MAX_GENERATORS 32768    /* suspended generators and coroutines remembered */
#define MAX_PARKED 16384        /* greenlets switched out in the middle of calls */
#define PARKED_FRAMES 64        /* calls in progress kept for each */
#define MAX_BEGUN 4096          /* stacks of calls of which is known who began them last */
#define MAX_WATCH_POINTS 16384  /* addresses, of all processes */
#define MAX_WATCHED_CALLS 65536 /* calls of watched functions in progress */
#define MAX_CALLBACKS 8192      /* an event loop's: functions times tasks, in one report */
#define DEFAULT_FUNCTIONS 16384
#define DEFAULT_RING_BYTES (4u << 20)
#define ALARMS_BYTES 4096

#define NAME_MAX_BYTES 192   /* a qualified name, before decoding */
#define FAULTS_PER_SAMPLE 61 /* page faults of one CPU, of anybody: one in so many is looked at */
#define FILE_MAX_BYTES 320   /* a file name, before decoding */
#define COMM_BYTES 16
#define DEFAULT_SAMPLES_HZ 99
#define DEFAULT_OVERHEAD 2 /* percent */
#define MAX_SAMPLES_HZ 10000
#define STACK_FRAMES 64    /* frames of a Python stack that are kept, from the top */
#define MAX_STACKS 32768   /* different stacks remembered as told */
#define MAX_GILS 16384     /* of all interpreters of all processes */
#define TASK_NAME_BYTES 44 /* of an asyncio task, before decoding */

#define MAX_TARGETS 16384     /* what was waited for, remembered as told */
#define PROCESS_TARGETS 2048  /* of those, in one process and report; others are one */
#define TARGET_PARTS 8        /* components of a path, from its end: a power of two */
#define TARGET_PART_BYTES 64  /* of each, with a NUL */
#define TARGET_NAME_BYTES 108 /* of a unix socket (uapi/linux/un.h) */
#define PROCESS_AWAITED 65536 /* stacks times targets counted for one process and report */

/* A callback of an event loop that took that long held up all others: it is always told. */
#define CALLBACK_LEAST_NS 10000000

/*
 * A thread's shadow stack: its first frames are in its struct thread, the others in chunks that are
 * allocated when first needed.  None is of more than 8 KB, with what the kernel adds: Linux from
 * 6.19 on has no task storage of more (kmalloc_nolock(), mm/slub.c), and before that keeps one of
 * that size ready on each CPU (bpf_mem_refill(), kernel/bpf/memalloc.c).
 */
#define STORAGE_MAX_BYTES 8096
#define STACK_INLINE 24
#define STACK_CHUNK 50
#define STACK_CHUNKS 20
#define STACK_MAX (STACK_INLINE + STACK_CHUNKS * STACK_CHUNK)
#define MAX_STACK_CHUNKS 8192 /* of all threads, but for each one's first */

#endif
