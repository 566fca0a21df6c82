/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A thread of real-time priority that takes the probes of a window out which has had too many hits:
 * on a machine where all CPUs are busy the main loop may get none for long.  It does nothing else.
 */
#ifndef PYTRACE_GUARD_H
#define PYTRACE_GUARD_H

#include "records.h"

struct guard;

/* Called in that thread. */
typedef void (*alarm_fn)(void *arg, const struct record_alarm *alarm);

/* `alarms`: the ring it sleeps on.  NULL without memory or threads. */
struct guard *guard__new(int alarms, alarm_fn fn, void *arg);
void guard__free(struct guard *guard);

#endif
