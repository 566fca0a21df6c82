/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Hardware watchpoints: a program is run each time a process writes, or reads or writes, some bytes
 * of its memory.  A thread has four slots for them on x86_64, shared with debuggers; one of ours
 * takes one.
 */
#ifndef PYTRACE_ATTACH_WATCH_H
#define PYTRACE_ATTACH_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct watch_set;

enum watch_choice {
	WATCH_AUTO, /* not in a virtual machine */
	WATCH_ALWAYS,
	WATCH_NEVER,
};

/*
 * May they be used on others?  0, -ECANCELED (no), or -ENOTRECOVERABLE: in a virtual machine the
 * reason for a trap can get lost between the hypervisor and the kernel, which then takes it for
 * a breakpoint nobody set and kills the process with SIGTRAP.
 */
int watch_allowed(enum watch_choice choice);

#define WATCH_ADDRESSES_MAX 4

struct watch_address {
	uint64_t address;
	uint32_t bytes; /* 1, 2 or 4, and `address` a multiple of it */
	bool reads;     /* these too */
	int program;    /* a perf_event program's descriptor */
};

/* NULL without memory. */
struct watch_set *watch_set__new(void);
/* Gives all slots back. */
void watch_set__free(struct watch_set *set);

/*
 * Do they work here?  Tried on ourselves, takes a millisecond.  Returns 0 with what a hit costs
 * in *trap_ns, -ENOTSUP if a write goes by unseen, or what the kernel says.
 */
int watch_try(uint32_t *trap_ns);

/*
 * Watch addresses in every thread of a process; those it will have and its forked children
 * inherit that, until they exec.  A process may have several watches, each with a number.  Returns
 * 0, -ESRCH (it is gone), -ENOSPC (all slots of a thread are taken), -EMFILE (it needs a descriptor
 * an address and thread, and that is too many), or another negative errno.  Nothing is watched
 * then.
 */
int watch_set__add(struct watch_set *set, pid_t tgid, uint32_t number,
		   const struct watch_address *addresses, size_t count);

/* A process was forked at forked_ns: false if it does not surely inherit that of its parent. */
bool watch_set__inherit(struct watch_set *set, pid_t parent, pid_t child, uint32_t number,
			uint64_t forked_ns);

/*
 * It is no longer wanted, or its process has ended or is another program now.  (Those who inherited
 * it keep it: the slots come back with the last of them.)
 */
void watch_set__remove(struct watch_set *set, pid_t tgid, uint32_t number);

/* Why watch_allowed(), watch_try() or watch_set__add() refused, for people. */
const char *watch_refusal(int err);

#endif
