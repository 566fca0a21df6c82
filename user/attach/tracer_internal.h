/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the tracer's own files share. */
#ifndef PYTRACE_TRACER_INTERNAL_H
#define PYTRACE_TRACER_INTERNAL_H

#include "tracer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "closer.h"
#include "probes.h"
#include "pytrace.skel.h"
#include "sampler.h"

struct tracer {
	struct tracer_config config;
	struct pytrace_bpf *skel;
	bool looking; /* into the memory of tasks that sleep */
	struct ring_buffer *ring;
	record_fn record;
	void *record_arg;
	struct closer *closer;
	struct sampler *sampler, *fault_sampler;
	struct probe_set probes;
	struct watch_set *watches; /* NULL: not tried, or ... */
	int no_watches;            /* why there are none, a negative errno */
	struct function_stats *stats;
	size_t stats_bytes;
	struct probe_window *windows; /* MAX_PROCESSES, shared with the kernel */
	size_t windows_bytes;
	double empty_probe_ns, stepped_probe_ns; /* once calibrated */
	bool added[MAX_BUILDS];
};

#define BUILD_FD_PATH 64

/* The path of a build's open file: right in any mount namespace, and for a deleted one. */
void tracer__path_of(const struct build *build, char path[BUILD_FD_PATH]);

/* Delete what a map, whose keys are a struct frame_key or like one, has of a process. */
void tracer__forget_in(int fd, pid_t tgid);

#endif
