/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Functions that are watched all the time, by hardware watchpoints on their bytecode. */
#ifndef PYTRACE_WATCHES_H
#define PYTRACE_WATCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/tracer.h"
#include "collect/collector.h"

struct watches;

/*
 * Every function that one of the globs matches, of every process, is watched as soon as it is heard
 * of.  `budget`: the share of its time a process may lose to that, INFINITY: whatever it takes.
 * `globs` live longer.  NULL without memory.
 */
struct watches *watches__new(struct tracer *tracer, struct collector *collector,
			     const struct builds *builds, char *const *globs, size_t glob_count,
			     double budget);
void watches__free(struct watches *watches);

/* A process was forked by another, and inherits its watchpoints. */
void watches__forked(struct watches *watches, pid_t parent, pid_t child, uint64_t forked_ns);
/* A process has ended or is another program now. */
void watches__ended(struct watches *watches, pid_t tgid);
/* Watch what was heard of, take away what costs too much, give others their turn. */
void watches__step(struct watches *watches);
/* What its watchpoints cost a process lately, as a share of its time. */
double watches__share(const struct watches *watches, pid_t tgid);
/* What is watched, and what is not and why; of a process that has ended once more.  0 or -ENOMEM.
 */
int watches__profile(struct watches *watches, struct profile *profile, uint64_t now_ns);

#endif
