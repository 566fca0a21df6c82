/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* CPU quotas of control groups, and how often and how long they stopped those inside. */
#ifndef PYTRACE_DISCOVER_THROTTLE_H
#define PYTRACE_DISCOVER_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THROTTLE_PATH_BYTES 512

/* Where the hierarchy with the CPU controller is mounted. */
struct cpu_hierarchy {
	char folder[256];
	bool unified; /* version 2 */
	bool mounted;
};

/*
 * A control group with a quota, and its counters since it was made.  `ns` adds up over CPUs: two
 * that are throttled for a second make two seconds.
 */
struct throttle {
	char cgroup[THROTTLE_PATH_BYTES]; /* as /proc/TGID/cgroup has it; "": there is none */
	uint64_t count, ns;
};

/* Find it in the contents of /proc/self/mountinfo. */
void cpu_hierarchy_find(const char *mountinfo, struct cpu_hierarchy *hierarchy);

/*
 * The nearest group with a quota, of those that a process is in whose /proc/TGID/cgroup has this
 * text.  Where there is none, or it cannot be read, `cgroup` is "".
 */
void throttle_read(const struct cpu_hierarchy *hierarchy, const char *groups,
		   struct throttle *throttle);
/* The counters of a group that is known; for processes that are gone. */
void throttle_read_again(const struct cpu_hierarchy *hierarchy, const struct throttle *before,
			 struct throttle *throttle);

#endif
