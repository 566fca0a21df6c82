/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* See probes.h. */
#include "probes.h"

#include <errno.h>
#include <stdlib.h>

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

int probe_set_add(struct probe_set *set, struct probe_key key, const char *path,
		  const struct uprobe_place *places, size_t count)
{
	struct probes *grown;
	int err;

	if (set->way == UPROBE_PERF)
		key.tgid = 0; /* perf uprobes of one process see one of its threads only */
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

bool probe_set_has(struct probe_set *set, struct probe_key key)
{
	bool there = find(set, key) != NULL;

	key.tgid = 0;
	return there || find(set, key);
}

void probe_set_remove(struct probe_set *set, struct probe_key key)
{
	struct probes *probes = find(set, key);

	if (probes)
		drop(set, probes);
}

void probe_set_remove_process(struct probe_set *set, pid_t tgid)
{
	for (size_t i = set->count; i-- > 0;)
		if (set->list[i].key.tgid == tgid)
			drop(set, &set->list[i]);
}

void probe_set_clear(struct probe_set *set)
{
	while (set->count)
		drop(set, &set->list[0]);
}
