/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Hardware watchpoints: whether there are any, and those on functions. */
#include "tracer_internal.h"

#include <errno.h>

int tracer__prepare_watches(struct tracer *tracer)
{
	uint32_t trap_ns;

	if (tracer->watches || tracer->no_watches)
		return tracer->no_watches;
	tracer->no_watches = bpf_program__fd(tracer->skel->progs.gc_written) < 0
				     ? -ENOTSUP
				     : watch_allowed(tracer->config.watchpoints);
	if (!tracer->no_watches)
		tracer->no_watches = watch_try(&trap_ns);
	if (tracer->no_watches)
		return tracer->no_watches;
	tracer->skel->data->watch_trap_ns = trap_ns;
	tracer->watches = watch_set__new();
	return tracer->watches ? 0 : -ENOMEM;
}

double tracer__watch_ns(const struct tracer *tracer)
{
	return tracer->skel->data->watch_trap_ns;
}

static void forget_watch(struct tracer *tracer, pid_t group, const struct function_watch *watch)
{
	int map = bpf_map__fd(tracer->skel->maps.watch_points);

	for (size_t i = 0; i < watch->count; i++) {
		struct watch_key key = {.address = watch->addresses[i], .group = group};

		bpf_map_delete_elem(map, &key);
	}
}

int tracer__watch_function(struct tracer *tracer, pid_t tgid, pid_t group, uint32_t number,
			   const struct function_watch *watch)
{
	struct watch_address addresses[WATCH_ADDRESSES_MAX];
	int map = bpf_map__fd(tracer->skel->maps.watch_points);
	int err = tracer__prepare_watches(tracer);

	if (!err && watch->count > WATCH_ADDRESSES_MAX)
		err = -ENOSPC;
	for (size_t i = 0; !err && i < watch->count; i++) {
		struct watch_key key = {.address = watch->addresses[i], .group = group};

		addresses[i] = (struct watch_address){
			.address = key.address,
			.bytes = 1,
			.reads = true,
			.program = bpf_program__fd(tracer->skel->progs.watched),
		};
		if (bpf_map_update_elem(map, &key, &watch->points[i], BPF_ANY))
			err = -errno;
	}
	if (!err)
		err = watch_set__add(tracer->watches, tgid, number, addresses, watch->count);
	if (err)
		forget_watch(tracer, group, watch);
	return err;
}

void tracer__leave_watch(struct tracer *tracer, pid_t tgid, uint32_t number)
{
	if (tracer->watches)
		watch_set__remove(tracer->watches, tgid, number);
}

void tracer__unwatch_function(struct tracer *tracer, pid_t tgid, pid_t group, uint32_t number,
			      const struct function_watch *watch)
{
	tracer__leave_watch(tracer, tgid, number);
	forget_watch(tracer, group, watch);
}

bool tracer__watch_inherited(struct tracer *tracer, pid_t parent, pid_t child, uint32_t number,
			     uint64_t forked_ns)
{
	return tracer->watches &&
	       watch_set__inherit(tracer->watches, parent, child, number, forked_ns);
}

/* The first of its addresses is where calls begin. */
static struct watch_key entry_key(pid_t group, const struct function_watch *watch)
{
	return (struct watch_key){.address = watch->addresses[0], .group = group};
}

uint64_t tracer__watch_entries(struct tracer *tracer, pid_t group,
			       const struct function_watch *watch)
{
	struct watch_key key = entry_key(group, watch);
	struct watch_point point;
	int map = bpf_map__fd(tracer->skel->maps.watch_points);

	return bpf_map_lookup_elem(map, &key, &point) ? 0 : point.hits;
}

void tracer__allow_entries(struct tracer *tracer, pid_t group, const struct function_watch *watch,
			   uint64_t entries)
{
	struct watch_key key = entry_key(group, watch);
	struct watch_point point;
	int map = bpf_map__fd(tracer->skel->maps.watch_points);

	if (bpf_map_lookup_elem(map, &key, &point))
		return;
	/* (hits meanwhile are lost to the count: a few) */
	point.hits_max = entries;
	bpf_map_update_elem(map, &key, &point, BPF_EXIST);
}
