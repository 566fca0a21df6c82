/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which probes are in which processes: one set of links for each build, process and purpose. */
#ifndef PYTRACE_ATTACH_PROBES_H
#define PYTRACE_ATTACH_PROBES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "closer.h"
#include "records.h"
#include "uprobe.h"

/* Each has a program and links of its own, for they come and go apart. */
enum probe_purpose {
	PROBES_CALLS,
	PROBES_GC,
	PROBE_PURPOSES,
};

struct probe_key {
	size_t build;
	pid_t tgid; /* 0: all processes */
	enum probe_purpose purpose;
};

struct probes {
	struct probe_key key;
	int fds[2 * SITE_MAX];
	size_t fd_count;
};

struct probe_set {
	enum uprobe_way way;
	struct closer *closer; /* not ours */
	int programs[PROBE_PURPOSES];
	pthread_mutex_t lock; /* of what follows */
	struct probes *list;
	size_t count;
};

void probe_set_free(struct probe_set *set);

/* Put probes at `places` of the file at `path`; where they are already, nothing happens.  0 or a
 * negative errno. */
int probe_set_add(struct probe_set *set, struct probe_key key, const char *path,
		  const struct uprobe_place *places, size_t count);
/* Are there those of `key`, or of all processes? */
bool probe_set_has(struct probe_set *set, struct probe_key key);
/* Take them out, if they are there. */
void probe_set_remove(struct probe_set *set, struct probe_key key);
/*
 * The same in another thread, if `still` says so when nobody else is at the set: they are out when
 * it returns.
 */
void probe_set_remove_now(struct probe_set *set, struct probe_key key,
			  bool (*still)(const void *arg), const void *arg);
/* The same for all of a process that is gone; and for all there are. */
void probe_set_remove_process(struct probe_set *set, pid_t tgid);
void probe_set_clear(struct probe_set *set);

#endif
