/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How garbage collections are seen: tracepoints, or a watchpoint on the collector's flag. */
#include "tracer_internal.h"

#include <errno.h>

int tracer__probe_gc(struct tracer *tracer, size_t index, const struct build *build, pid_t tgid)
{
	struct uprobe_place places[GC_SITE_MAX];
	char path[BUILD_FD_PATH];

	tracer__path_of(build, path);
	for (uint32_t i = 0; i < build->gc_site_count; i++) {
		const struct gc_site *gc = &build->gc_sites[i];
		uint32_t key = index * GC_SITE_MAX + i;

		if (bpf_map_update_elem(bpf_map__fd(tracer->skel->maps.gc_generations), &key,
					&gc->generation, BPF_ANY))
			return -errno;
		places[i] = (struct uprobe_place){
			.file_offset = gc->site.file_offset,
			.semaphore = gc->site.semaphore,
			.cookie = SITE_COOKIE(index, i, gc->site.kind, gc->site.vaddr),
		};
	}
	return probe_set_add(&tracer->probes, (struct probe_key){index, tgid, PROBES_GC}, path,
			     places, build->gc_site_count);
}

int tracer__watch_gc(struct tracer *tracer, pid_t tgid, uint64_t address)
{
	const struct watch_address flag = {
		.address = address,
		.bytes = 4,
		.program = bpf_program__fd(tracer->skel->progs.gc_written),
	};
	int err = tracer__prepare_watches(tracer);

	return err ?: watch_set__add(tracer->watches, tgid, WATCH_NUMBER_GC, &flag, 1);
}

bool tracer__inherit_gc(struct tracer *tracer, pid_t parent, pid_t child, uint64_t forked_ns)
{
	return tracer__watch_inherited(tracer, parent, child, WATCH_NUMBER_GC, forked_ns);
}

void tracer__unwatch_gc(struct tracer *tracer, pid_t tgid)
{
	tracer__leave_watch(tracer, tgid, WATCH_NUMBER_GC);
}
