/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which waits are for want of work, and so slow nothing down. */
#ifndef PYTRACE_IDLE_H
#define PYTRACE_IDLE_H

#include "../profile.h"

/* Waits of this class hold nobody up, but those that count as another. */
bool wait_class_is_idle(enum wait_class wait_class);

/*
 * The class that a wait is evidence of, which is not always the kernel's: who reads the output of a
 * child waits for the child.
 */
enum wait_class wait_counts_as(const struct profile_wait *wait);

/* A thread waiting for work, or asleep because it was told to. */
bool wait_is_idle(const struct profile_wait *wait);

/* An event loop that waits for what comes next: idle, whatever it is class by class. */
bool wait_is_event_loop(const struct profile_wait *wait);
/* The thread of an http.server that keeps a connection, and has no request. */
bool stack_waits_for_request(const struct profile *profile, const struct profile_stack *stack);

#endif
