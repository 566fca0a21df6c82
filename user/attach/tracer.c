/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Loading the kernel side, its maps, and the probes that come and go. */
#include "tracer_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "closer.h"
#include "heads.h"

#define SITE_KINDS (SITE_LEAVE + 1)

static int on_record(void *arg, void *data, size_t size)
{
	struct tracer *tracer = arg;

	return tracer->record ? tracer->record(tracer->record_arg, data, size) : 0;
}

/*
 * `looking`: with the program that may read other tasks' memory, or without it; `watching`: with
 * that of watchpoints.
 */
static int configure(struct tracer *tracer, bool looking, bool watching)
{
	struct pytrace_bpf *skel = tracer->skel;
	const struct tracer_config *config = &tracer->config;
	struct bpf_program *program;
	int err;

	skel->rodata->admit_all = config->admit_all;
	skel->rodata->own_tgid = getpid();
	skel->rodata->callback_least_ns = config->callback_least_ns;
	skel->rodata->ring_wake_bytes = config->ring_bytes / 4;
	err = bpf_map__set_max_entries(skel->maps.ring, config->ring_bytes);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.functions, config->functions);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.function_slots, config->functions);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.free_slots, config->functions);
	if (err)
		return err;
	bpf_program__set_autoload(skel->progs.each_task, looking);
	bpf_program__set_autoload(skel->progs.each_task_unlooked, !looking);
	bpf_program__set_autoload(skel->progs.gc_written, watching);
	bpf_program__set_autoload(skel->progs.watched, watching && config->watch);
	/* (a fifth of the start-up's CPU time is its verification) */
	bpf_program__set_autoload(skel->progs.call_site, config->calls && !config->empty_probes);
	if (config->way != UPROBE_MULTI)
		return 0;
	bpf_object__for_each_program(program, skel->obj)
	{
		if (bpf_program__type(program) != BPF_PROG_TYPE_KPROBE)
			continue;
		err = bpf_program__set_expected_attach_type(program, TRACE_UPROBE_MULTI);
		if (err)
			return err;
	}
	return 0;
}

static int fill_free_slots(struct tracer *tracer)
{
	int fd = bpf_map__fd(tracer->skel->maps.free_slots);

	for (uint32_t slot = 0; slot < tracer->config.functions; slot++)
		if (bpf_map_update_elem(fd, NULL, &slot, BPF_ANY))
			return -errno;
	return 0;
}

/* What an array map has, shared with the kernel: NULL with errno set, or for munmap() of *bytes. */
static void *share(const struct bpf_map *map, size_t *bytes)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *at;

	*bytes = bpf_map__max_entries(map) * (size_t)bpf_map__value_size(map);
	*bytes = (*bytes + page - 1) / page * page;
	at = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	return at == MAP_FAILED ? NULL : at;
}

static int share_maps(struct tracer *tracer)
{
	tracer->stats = share(tracer->skel->maps.functions, &tracer->stats_bytes);
	if (!tracer->stats)
		return -errno;
	tracer->windows = share(tracer->skel->maps.windows, &tracer->windows_bytes);
	if (!tracer->windows)
		return -errno;
	tracer->windows[WINDOW_ALWAYS].end_ns = WINDOW_OPEN_ENDED;
	return 0;
}

static int open_and_load(struct tracer *tracer, bool looking, bool watching)
{
	int err;

	tracer->looking = looking;
	tracer->skel = pytrace_bpf__open();
	if (!tracer->skel)
		return -errno;
	err = configure(tracer, looking, watching);
	if (!err)
		err = pytrace_bpf__load(tracer->skel);
	if (!err)
		return 0;
	pytrace_bpf__destroy(tracer->skel);
	tracer->skel = NULL;
	return err;
}

int tracer__new(const struct tracer_config *config, struct tracer **out)
{
	struct tracer *tracer = calloc(1, sizeof(*tracer));
	int err;

	if (!tracer)
		return -ENOMEM;
	tracer->config = *config;
	err = open_and_load(tracer, true, true);
	if (err)
		err = open_and_load(tracer, false, true);
	if (err) /* before 6.1, whose perf_event programs may not use all our maps */
		err = open_and_load(tracer, false, false);
	if (!err)
		err = fill_free_slots(tracer);
	if (!err)
		err = share_maps(tracer);
	if (err)
		goto cleanup;
	tracer->ring =
		ring_buffer__new(bpf_map__fd(tracer->skel->maps.ring), on_record, tracer, NULL);
	if (!tracer->ring) {
		err = -errno;
		goto cleanup;
	}
	tracer->closer = closer__new();
	if (!tracer->closer) {
		err = -ENOMEM;
		goto cleanup;
	}
	tracer->probes = (struct probe_set){
		.way = config->way,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.closer = tracer->closer,
		.programs =
			{
				[PROBES_CALLS] = bpf_program__fd(
					config->empty_probes ? tracer->skel->progs.call_nothing
							     : tracer->skel->progs.call_site),
				[PROBES_GC] = bpf_program__fd(tracer->skel->progs.gc_site),
			},
	};
	*out = tracer;
	return 0;

cleanup:
	tracer__free(tracer);
	return err;
}

void tracer__free(struct tracer *tracer)
{
	if (!tracer)
		return;
	sampler__free(tracer->sampler);
	sampler__free(tracer->fault_sampler);
	guard__free(tracer->guard);
	probe_set_free(&tracer->probes);
	watch_set__free(tracer->watches);
	closer__free(tracer->closer);
	ring_buffer__free(tracer->ring);
	if (tracer->stats)
		munmap(tracer->stats, tracer->stats_bytes);
	if (tracer->windows)
		munmap(tracer->windows, tracer->windows_bytes);
	pytrace_bpf__destroy(tracer->skel);
	free(tracer);
}

int tracer__attach_events(struct tracer *tracer)
{
	struct pytrace_bpf *skel = tracer->skel;
	struct {
		struct bpf_program *program;
		struct bpf_link **link;
	} events[] = {
		{skel->progs.on_exit, &skel->links.on_exit},
		{skel->progs.on_child_exit, &skel->links.on_child_exit},
		{skel->progs.on_fork, &skel->links.on_fork},
		{skel->progs.on_exec, &skel->links.on_exec},
		{skel->progs.on_waking, &skel->links.on_waking},
		{skel->progs.on_switch, &skel->links.on_switch},
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		*events[i].link = bpf_program__attach(events[i].program);
		if (!*events[i].link)
			return -errno;
	}
	return 0;
}

int tracer__sample(struct tracer *tracer, unsigned int hz)
{
	int err =
		sampler__new(bpf_program__fd(tracer->skel->progs.on_sample), hz, &tracer->sampler);

	if (err)
		return err;
	return sampler__new_faults(bpf_program__fd(tracer->skel->progs.on_fault), FAULTS_PER_SAMPLE,
				   &tracer->fault_sampler);
}

void tracer__sample_rate(struct tracer *tracer, unsigned int hz)
{
	if (tracer->sampler)
		sampler__rate(tracer->sampler, hz);
}

const char *tracer__samples_event(const struct tracer *tracer)
{
	return tracer->sampler ? sampler__event(tracer->sampler) : NULL;
}

int tracer__add_build(struct tracer *tracer, size_t index, const struct build *build)
{
	struct build_cost cost = tracer__build_cost(tracer, build);
	struct py_layout layout = build->layout;
	uint32_t key = index;

	if (index >= MAX_BUILDS)
		return -E2BIG;
	if (tracer->added[index])
		return 0; /* its costs have been refined since */
	layout_derive(&layout);
	if (bpf_map_update_elem(bpf_map__fd(tracer->skel->maps.layouts), &key, &layout, BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(tracer->skel->maps.gc_flags), &key, &build->gc_flag,
				BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(tracer->skel->maps.build_costs), &key, &cost, BPF_ANY))
		return -errno;
	for (uint32_t i = 0; i < build->site_count && i < SITE_MAX; i++) {
		struct site_votes votes = {.stepped = build->sites[i].stepped};
		uint32_t site = index * SITE_MAX + i;

		if (bpf_map_update_elem(bpf_map__fd(tracer->skel->maps.site_votes), &site, &votes,
					BPF_ANY))
			return -errno;
	}
	tracer->added[index] = true;
	return 0;
}

void tracer__path_of(const struct build *build, char path[BUILD_FD_PATH])
{
	snprintf(path, BUILD_FD_PATH, "/proc/self/fd/%d", build->fd);
}

int tracer__probe(struct tracer *tracer, size_t index, const struct build *build, pid_t tgid)
{
	struct uprobe_place places[SITE_MAX];
	size_t count = 0;
	char path[BUILD_FD_PATH];

	tracer__path_of(build, path);
	/* exits first: an entry seen without its exit would be an open call for ever */
	for (int kind = SITE_KINDS - 1; kind >= 0; kind--) {
		for (size_t i = 0; i < build->site_count && i < SITE_MAX; i++) {
			const struct site *site = &build->sites[i];

			if (site->kind != (enum site_kind)kind)
				continue;
			places[count++] = (struct uprobe_place){
				.file_offset = site->file_offset,
				.semaphore = site->semaphore,
				.cookie = SITE_COOKIE(index, i, kind, site->vaddr),
			};
		}
	}
	return probe_set_add(&tracer->probes, (struct probe_key){index, tgid, PROBES_CALLS}, path,
			     places, count);
}

bool tracer__probed(struct tracer *tracer, size_t index, pid_t tgid)
{
	return probe_set_has(&tracer->probes, (struct probe_key){index, tgid, PROBES_CALLS});
}

void tracer__unprobe(struct tracer *tracer, size_t index, pid_t tgid)
{
	probe_set_remove(&tracer->probes, (struct probe_key){index, tgid, PROBES_CALLS});
	probe_set_remove(&tracer->probes, (struct probe_key){index, tgid, PROBES_GC});
}

void tracer__unprobe_process(struct tracer *tracer, pid_t tgid)
{
	probe_set_remove_process(&tracer->probes, tgid);
	tracer__unwatch_gc(tracer, tgid);
}

void tracer__end_calls(struct tracer *tracer)
{
	tracer->skel->data->calls_over = 1;
}

int tracer__add_process(struct tracer *tracer, pid_t tgid, const struct process_entry *entry)
{
	uint32_t key = tgid;

	if (bpf_map_update_elem(bpf_map__fd(tracer->skel->maps.processes), &key, entry, BPF_ANY))
		return -errno;
	tracer->skel->data->process_epoch++;
	return 0;
}

int tracer__update_process(struct tracer *tracer, pid_t tgid, const struct process_entry *entry)
{
	uint32_t key = tgid;

	if (bpf_map_update_elem(bpf_map__fd(tracer->skel->maps.processes), &key, entry, BPF_EXIST))
		return -errno;
	tracer->skel->data->process_epoch++;
	return 0;
}

int tracer__remove_process(struct tracer *tracer, pid_t tgid)
{
	uint32_t key = tgid;

	if (bpf_map_delete_elem(bpf_map__fd(tracer->skel->maps.processes), &key))
		return -errno;
	tracer->skel->data->process_epoch++;
	return 0;
}

bool tracer__has_process(struct tracer *tracer, pid_t tgid, struct process_entry *entry)
{
	uint32_t key = tgid;

	return !bpf_map_lookup_elem(bpf_map__fd(tracer->skel->maps.processes), &key, entry);
}

pid_t tracer__next_process(struct tracer *tracer, pid_t tgid)
{
	uint32_t key = tgid, next;

	if (bpf_map_get_next_key(bpf_map__fd(tracer->skel->maps.processes), tgid ? &key : NULL,
				 &next))
		return 0;
	return next;
}

void tracer__add_thread(struct tracer *tracer, pid_t tgid, uint64_t thread_id, uint64_t tstate)
{
	struct thread_key key = {.thread_id = thread_id, .tgid = tgid};

	bpf_map_update_elem(bpf_map__fd(tracer->skel->maps.thread_states), &key, &tstate, BPF_ANY);
}

int tracer__iterate(const struct bpf_program *program, const struct bpf_iter_attach_opts *opts)
{
	struct bpf_link *link = bpf_program__attach_iter(program, opts);
	char discard[64];
	int fd, err = 0;

	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0) {
		err = -errno;
		goto cleanup;
	}
	while (read(fd, discard, sizeof(discard)) > 0)
		;
	close(fd);
cleanup:
	bpf_link__destroy(link);
	return err;
}

int tracer__flush(struct tracer *tracer)
{
	return tracer__iterate(tracer->looking ? tracer->skel->progs.each_task
					       : tracer->skel->progs.each_task_unlooked,
			       NULL);
}

int tracer__poll(struct tracer *tracer, record_fn fn, void *arg, int timeout_ms)
{
	int err;

	tracer->record = fn;
	tracer->record_arg = arg;
	if (timeout_ms) {
		err = ring_buffer__poll(tracer->ring, timeout_ms);
		if (err < 0)
			return err;
	}
	return ring_buffer__consume(tracer->ring);
}

struct function_stats *tracer__stats(struct tracer *tracer)
{
	return tracer->stats;
}

size_t tracer__functions(const struct tracer *tracer)
{
	return tracer->config.functions;
}

void tracer__retire_slots(struct tracer *tracer, const uint32_t *places, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bpf_map_delete_elem(bpf_map__fd(tracer->skel->maps.function_slots),
				    &tracer->stats[places[i]].key);
	tracer->skel->data->slots_epoch++;
}

void tracer__free_slot(struct tracer *tracer, uint32_t place)
{
	struct function_stats *stats = &tracer->stats[place];
	int slots = bpf_map__fd(tracer->skel->maps.function_slots);
	uint32_t number = SLOT_AGAIN(stats->slot), owner;

	/* (it may have another slot by now) */
	if (!bpf_map_lookup_elem(slots, &stats->key, &owner) && owner == stats->slot)
		bpf_map_delete_elem(slots, &stats->key);
	if (SLOT_AGAIN(number) < number) /* no number is one that means none */
		number = place;
	memset(stats, 0, sizeof(*stats));
	stats->slot = NO_FUNCTION; /* until it is given away again */
	bpf_map_update_elem(bpf_map__fd(tracer->skel->maps.free_slots), NULL, &number, BPF_ANY);
}

void tracer__each_of(int map, pid_t tgid, key_fn fn, void *arg)
{
	struct frame_key key, next;
	bool more = !bpf_map_get_next_key(map, NULL, &next);

	while (more) {
		key = next;
		more = !bpf_map_get_next_key(map, &key, &next);
		if (key.tgid == (uint32_t)tgid)
			fn(arg, map, &key);
	}
}

static void forget(void *arg, int map, const struct frame_key *key)
{
	(void)arg;
	bpf_map_delete_elem(map, key);
}

void tracer__forget_parked(struct tracer *tracer, pid_t tgid)
{
	tracer__each_of(bpf_map__fd(tracer->skel->maps.parked), tgid, forget, NULL);
	tracer__each_of(bpf_map__fd(tracer->skel->maps.parked_below), tgid, forget, NULL);
}

void tracer__forget_process(struct tracer *tracer, pid_t tgid)
{
	_Static_assert(sizeof(struct gil_id) == sizeof(struct frame_key), "a pointer and a tgid");
	tracer__each_of(bpf_map__fd(tracer->skel->maps.gils), tgid, forget, NULL);
	tracer__forget_parked(tracer, tgid);
	tracer__each_of(bpf_map__fd(tracer->skel->maps.watched_calls), tgid, forget, NULL);
}

void tracer__gils(struct tracer *tracer, pid_t tgid, uint64_t now_ns, gil_fn fn, void *arg)
{
	int fd = bpf_map__fd(tracer->skel->maps.gils);
	struct gil_stats stats;
	struct gil_id id;
	bool more = !bpf_map_get_next_key(fd, NULL, &id);

	while (more) {
		struct gil_id at = id;

		more = !bpf_map_get_next_key(fd, &at, &id);
		if ((tgid && at.tgid != (uint32_t)tgid) || bpf_map_lookup_elem(fd, &at, &stats))
			continue;
		if (stats.waiting && stats.since < now_ns)
			stats.contended_ns += now_ns - stats.since;
		fn(arg, &at, stats.contended_ns);
	}
}

void tracer__end_callbacks(struct tracer *tracer)
{
	tracer->skel->data->callback_window++;
}

void tracer__callbacks(struct tracer *tracer, pid_t tgid, callback_fn fn, void *arg)
{
	int fd = bpf_map__fd(tracer->skel->maps.callbacks);
	struct callback_key key, next;
	struct callback_stats stats;
	bool more = !bpf_map_get_next_key(fd, NULL, &next);

	while (more) {
		key = next;
		more = !bpf_map_get_next_key(fd, &key, &next);
		if (tgid ? key.tgid != (uint32_t)tgid
			 : key.window == tracer->skel->data->callback_window)
			continue;
		if (!bpf_map_lookup_elem(fd, &key, &stats))
			fn(arg, &key, &stats);
		bpf_map_delete_elem(fd, &key);
	}
}

void tracer__renew_targets(struct tracer *tracer)
{
	tracer->skel->data->target_generation++;
}

static uint64_t loss_count(struct tracer *tracer, uint32_t cause)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values = calloc(cpus > 0 ? cpus : 1, sizeof(*values));
	uint64_t sum = 0;

	if (values && !bpf_map_lookup_elem(bpf_map__fd(tracer->skel->maps.losses), &cause, values))
		for (int cpu = 0; cpu < cpus; cpu++)
			sum += values[cpu];
	free(values);
	return sum;
}

void tracer__losses(struct tracer *tracer, uint64_t losses[LOSS_COUNT])
{
	for (uint32_t cause = 0; cause < LOSS_COUNT; cause++)
		losses[cause] = loss_count(tracer, cause);
}

uint64_t tracer__lifecycle_losses(struct tracer *tracer)
{
	return loss_count(tracer, LOSS_RING_LIFECYCLE);
}
