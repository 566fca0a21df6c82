/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Hardware watchpoints: a program is run each time a process writes four bytes of its memory.
 * A thread has four slots for them on x86_64, shared with debuggers; one of ours takes one.
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

/* `program` (a perf_event program's descriptor) is run by every write.  NULL without memory. */
struct watch_set *watch_set__new(int program);
/* Gives all slots back. */
void watch_set__free(struct watch_set *set);

/*
 * Do they work here?  Tried on ourselves, takes a millisecond.  Returns 0 with what a hit costs
 * in *trap_ns, -ENOTSUP if a write goes by unseen, or what the kernel says.
 */
int watch_try(uint32_t *trap_ns);

/*
 * Watch `address` in every thread of a process; those it will have and its forked children
 * inherit that, until they exec.  Returns 0, -ESRCH (it is gone), -ENOSPC (all slots of a thread
 * are taken), -EMFILE (it needs a descriptor a thread, and that is too many), or another negative
 * errno.  Nothing is watched then.
 */
int watch_set__add(struct watch_set *set, pid_t tgid, uint64_t address);

/* A process was forked at forked_ns: false if it does not surely inherit its parent's watch. */
bool watch_set__inherit(struct watch_set *set, pid_t parent, pid_t child, uint64_t forked_ns);

/*
 * A process has ended or is another program now.  (Those who inherited its watch keep it: the
 * slots come back with the last of them.)
 */
void watch_set__remove(struct watch_set *set, pid_t tgid);

/* Why watch_allowed(), watch_try() or watch_set__add() refused, for people. */
const char *watch_refusal(int err);

#endif
