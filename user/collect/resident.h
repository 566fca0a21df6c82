/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Resident memory of the processes, read now and then. */
#ifndef PYTRACE_RESIDENT_H
#define PYTRACE_RESIDENT_H

#include <stdint.h>
#include <sys/types.h>

#include "profile.h"
#include "totals.h"

/* Resident bytes of a process (0: gone). */
uint64_t resident_bytes(pid_t tgid);

/* Read that of a process now. */
void resident_read(struct process_total *total, uint64_t now_ns);

/* The first window begins: what was read before is of none. */
void resident_begin(struct process_total *total, uint64_t now_ns);

/* Into the profile; what is read next is the next window's. */
void resident_profile(struct profile_process *out, struct process_total *total, uint64_t now_ns);

#endif
