/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Probe windows: call probes that come on for a stretch and go. */
#include "tracer_internal.h"

#include "clock.h"

/* The kernel side reads these while we write: `end_ns` last, and what is over stays over. */
static void store(__u64 *to, uint64_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

struct spent {
	const struct tracer *tracer;
	const struct record_alarm *alarm;
};

/* Is it the window of that alarm that is over, and no later one? */
static bool is_still_spent(const void *arg)
{
	const struct spent *spent = arg;
	const struct probe_window *window = &spent->tracer->windows[spent->alarm->slot];

	return __atomic_load_n(&window->number, __ATOMIC_ACQUIRE) == spent->alarm->number;
}

static void on_alarm(void *arg, const struct record_alarm *alarm)
{
	struct tracer *tracer = arg;
	struct spent spent = {tracer, alarm};

	if (alarm->slot >= MAX_PROCESSES)
		return;
	probe_set_remove_now(&tracer->probes,
			     (struct probe_key){alarm->build, (pid_t)alarm->tgid, PROBES_CALLS},
			     is_still_spent, &spent);
}

int tracer__guard_windows(struct tracer *tracer)
{
	tracer->guard = guard__new(bpf_map__fd(tracer->skel->maps.alarms), on_alarm, tracer);
	return tracer->guard ? 0 : -ENOMEM;
}

int tracer__open_window(struct tracer *tracer, size_t index, const struct build *build, pid_t tgid,
			uint32_t slot, uint64_t length_ns, uint64_t hits_max)
{
	struct probe_window *window = &tracer->windows[slot];
	uint64_t now;
	int err;

	/* what hits while the probes are put in, in no window, counts for what it costs */
	store(&window->hits, 0);
	store(&window->hits_max, UINT64_MAX);
	/* before that: what spent the last one is not to take these out */
	store(&window->number, window->number + 1);
	err = tracer__probe(tracer, index, build, tgid);
	if (err)
		return err;
	now = monotonic_ns();
	store(&window->begin_ns, now);
	tracer__allow_hits(tracer, slot, hits_max);
	store(&window->end_ns,
	      length_ns == WINDOW_OPEN_ENDED ? WINDOW_OPEN_ENDED : now + length_ns);
	return 0;
}

void tracer__allow_hits(struct tracer *tracer, uint32_t slot, uint64_t hits)
{
	struct probe_window *window = &tracer->windows[slot];
	uint64_t before = __atomic_load_n(&window->hits, __ATOMIC_RELAXED);

	store(&window->hits_max, before + hits);
}

void tracer__end_window(struct tracer *tracer, size_t index, pid_t tgid, uint32_t slot)
{
	struct probe_window *window = &tracer->windows[slot];
	uint64_t now = monotonic_ns();

	if (window->end_ns > now)
		store(&window->end_ns, now);
	probe_set_remove(&tracer->probes, (struct probe_key){index, tgid, PROBES_CALLS});
}

struct ending {
	censored_fn fn;
	void *arg;
};

/* A call of a generator that is suspended. */
static void end_suspended(void *arg, int map, const struct frame_key *key)
{
	const struct ending *ending = arg;
	struct generator generator;

	if (bpf_map_lookup_elem(map, key, &generator))
		return;
	if (generator.function != NO_FUNCTION)
		ending->fn(ending->arg, (pid_t)key->tgid, generator.function, generator.wall_ns);
	bpf_map_delete_elem(map, key);
}

void tracer__settle_window(struct tracer *tracer, pid_t tgid, uint32_t slot, censored_fn fn,
			   void *arg)
{
	union bpf_iter_link_info info = {.task.pid = (uint32_t)tgid};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct ending ending = {fn, arg};

	tracer->skel->data->ending_slot = slot;
	tracer__iterate(tracer->skel->progs.end_window, &opts);
	tracer__each_of(bpf_map__fd(tracer->skel->maps.generators), tgid, end_suspended, &ending);
	tracer__forget_parked(tracer, tgid);
}

struct probe_window tracer__window(const struct tracer *tracer, uint32_t slot)
{
	const struct probe_window *window = &tracer->windows[slot];

	return (struct probe_window){
		.number = window->number,
		.begin_ns = window->begin_ns,
		.hits = __atomic_load_n(&window->hits, __ATOMIC_RELAXED),
		.hits_max = window->hits_max,
		.end_ns = __atomic_load_n(&window->end_ns, __ATOMIC_ACQUIRE),
	};
}
