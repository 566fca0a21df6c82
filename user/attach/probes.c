/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* See probes.h. */
#include "probes.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct probes *find(struct probe_set *set, struct probe_key key)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct probe_key *at = &set->list[i].key;

		if (at->build == key.build && at->tgid == key.tgid && at->purpose == key.purpose)
			return &set->list[i];
	}
	return NULL;
}

static void drop(struct probe_set *set, struct probes *probes)
{
	closer__close(set->closer, probes->fds, probes->fd_count);
	*probes = set->list[--set->count];
}

void probe_set_free(struct probe_set *set)
{
	probe_set_clear(set);
	free(set->list);
	set->list = NULL;
}

static int add(struct probe_set *set, struct probe_key key, const char *path,
	       const struct uprobe_place *places, size_t count)
{
	struct probes *grown;
	int err;

	if (find(set, key))
		return 0;
	grown = reallocarray(set->list, set->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	set->list = grown;
	grown += set->count;
	*grown = (struct probes){.key = key};
	err = uprobe_attach(set->way, set->programs[key.purpose], path, key.tgid, places, count,
			    grown->fds, &grown->fd_count);
	if (!err)
		set->count++;
	return err;
}

int probe_set_add(struct probe_set *set, struct probe_key key, const char *path,
		  const struct uprobe_place *places, size_t count)
{
	int err;

	if (set->way == UPROBE_PERF)
		key.tgid = 0; /* perf uprobes of one process see one of its threads only */
	pthread_mutex_lock(&set->lock);
	err = add(set, key, path, places, count);
	pthread_mutex_unlock(&set->lock);
	return err;
}

bool probe_set_has(struct probe_set *set, struct probe_key key)
{
	bool there;

	pthread_mutex_lock(&set->lock);
	there = find(set, key) != NULL;
	key.tgid = 0;
	there = there || find(set, key);
	pthread_mutex_unlock(&set->lock);
	return there;
}

void probe_set_remove(struct probe_set *set, struct probe_key key)
{
	struct probes *probes;

	pthread_mutex_lock(&set->lock);
	probes = find(set, key);
	if (probes)
		drop(set, probes);
	pthread_mutex_unlock(&set->lock);
}

void probe_set_remove_now(struct probe_set *set, struct probe_key key,
			  bool (*still)(const void *arg), const void *arg)
{
	struct probes *probes, out = {.fd_count = 0};

	pthread_mutex_lock(&set->lock);
	probes = still(arg) ? find(set, key) : NULL;
	if (probes) {
		out = *probes;
		*probes = set->list[--set->count];
	}
	pthread_mutex_unlock(&set->lock);
	while (out.fd_count)
		close(out.fds[--out.fd_count]);
}

void probe_set_remove_process(struct probe_set *set, pid_t tgid)
{
	pthread_mutex_lock(&set->lock);
	for (size_t i = set->count; i-- > 0;)
		if (set->list[i].key.tgid == tgid)
			drop(set, &set->list[i]);
	pthread_mutex_unlock(&set->lock);
}

void probe_set_clear(struct probe_set *set)
{
	pthread_mutex_lock(&set->lock);
	while (set->count)
		drop(set, &set->list[0]);
	pthread_mutex_unlock(&set->lock);
}
