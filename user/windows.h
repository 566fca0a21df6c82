/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The probe windows of all processes that are traced under a budget. */
#ifndef PYTRACE_WINDOWS_H
#define PYTRACE_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/tracer.h"
#include "collect/collector.h"

struct windows;

/* `budget`: the share of its time a process may lose.  NULL without memory. */
struct windows *windows__new(struct tracer *tracer, struct collector *collector,
			     const struct builds *builds, double budget, double empty_probe_ns);
void windows__free(struct windows *windows);

/*
 * Have a process's calls probed in windows from now on: `soon`, or when it has been here long
 * enough to afford one.  Returns the slot for its process_entry; for one that is known already the
 * same as before.  A negative errno if there is no room.
 */
int64_t windows__add(struct windows *windows, pid_t tgid, size_t build, bool soon);
/* No longer; nothing of an open window is told. */
void windows__remove(struct windows *windows, pid_t tgid);

/* What it loses beside call probes, as a share of its time: they get what is left of the budget. */
void windows__others(struct windows *windows, pid_t tgid, double share);

/* Open, end and settle those that are due. */
void windows__step(struct windows *windows);
/* When the next is; UINT64_MAX: none. */
uint64_t windows__due_ns(const struct windows *windows);

/* The run is over: all windows end, and are settled. */
void windows__end(struct windows *windows);

#endif
