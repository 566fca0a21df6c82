/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the tracer's own files share. */
#ifndef PYTRACE_TRACER_INTERNAL_H
#define PYTRACE_TRACER_INTERNAL_H

#include "tracer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "calibrate.h"
#include "closer.h"
#include "guard.h"
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
	struct guard *guard; /* NULL: there are no windows */
	struct sampler *sampler, *fault_sampler;
	struct probe_set probes;
	struct watch_set *watches; /* NULL: not tried, or ... */
	int no_watches;            /* why there are none, a negative errno */
	struct function_stats *stats;
	size_t stats_bytes;
	struct probe_window *windows; /* MAX_PROCESSES, shared with the kernel */
	size_t windows_bytes;
	struct hit_cost hit, stepped_hit; /* once calibrated */
	bool added[MAX_BUILDS];
};

#define BUILD_FD_PATH 64

/* The path of a build's open file: right in any mount namespace, and for a deleted one. */
void tracer__path_of(const struct build *build, char path[BUILD_FD_PATH]);

/* Run a program over what its iterator goes through (opts NULL: all).  0 or a negative errno. */
int tracer__iterate(const struct bpf_program *program, const struct bpf_iter_attach_opts *opts);

/* Of a map whose keys are a struct frame_key or like one: each key of a process, which `fn` may
 * delete. */
typedef void (*key_fn)(void *arg, int map, const struct frame_key *key);
void tracer__each_of(int map, pid_t tgid, key_fn fn, void *arg);

/* Numbers of a process's watches (watch.h): its collector's flag, and from this on functions. */
#define WATCH_NUMBER_GC 0

/* May there be hardware watchpoints?  Tried when they are first needed.  0 or why not. */
int tracer__prepare_watches(struct tracer *tracer);

/* The stacks of its greenlets that are switched out. */
void tracer__forget_parked(struct tracer *tracer, pid_t tgid);

/* What is calibrated of a build's probes before the kernel side follows them. */
struct build_cost tracer__build_cost(struct tracer *tracer, const struct build *build);

#endif
