/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From totals to the profile of a window. */
#include "awaited.h"
#include "causes.h"
#include "collector_internal.h"
#include "pauses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "discover/procfs.h"
#include "discover/syscall.h"
#include "discover/target.h"
#include "gil.h"
#include "resident.h"
#include "stacks.h"
#include "windowed.h"

static char *hex(const uint8_t *bytes, size_t size)
{
	char *text = calloc(2 * size + 1, 1);

	for (size_t i = 0; text && i < size; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	return text;
}

/* Estimated cost of the probe hits of one function's calls. */
static uint64_t hits_of(const struct call_counts *counts)
{
	return 2 * counts->segments + counts->exceptions;
}

static uint64_t cost_of(const struct call_counts *counts, const struct window *window)
{
	double entries = counts->segments;
	double exits = hits_of(counts) - counts->segments;

	return entries * window->entry_ns + exits * window->exit_ns;
}

void collector__throttle(struct collector *collector, pid_t tgid, struct throttle *throttle)
{
	struct throttle_cache *cache = &collector->throttle_cache;
	char groups[sizeof(cache->groups)];

	*throttle = (struct throttle){.count = 0};
	if (procfs_read(tgid, "cgroup", groups, sizeof(groups)) <= 0)
		return;
	if (strcmp(groups, cache->groups) != 0) {
		throttle_read(&collector->cpu_hierarchy, groups, &cache->throttle);
		memcpy(cache->groups, groups, sizeof(groups));
	}
	*throttle = cache->throttle;
}

/*
 * What its CPU quota did in this window.  Not known where it changed groups, or its group was gone
 * by its end.
 */
static void fill_throttling(struct profile_process *out, struct collector *collector,
			    struct process_total *total)
{
	const struct throttle *begin = &total->throttle, *end = &total->throttle_last;

	if (total->current)
		collector__throttle(collector, total->process.tgid, &total->throttle_last);
	if (end->cgroup[0] && !strcmp(begin->cgroup, end->cgroup) && end->ns >= begin->ns &&
	    end->count >= begin->count) {
		out->throttled_by = strdup(end->cgroup);
		out->throttled_ns = end->ns - begin->ns;
		out->throttle_count = end->count - begin->count;
	}
	total->throttle = *end;
}

/*
 * Attaching takes that long: what is probed but for this, and for more than half of its time, is
 * probed all the time.
 */
#define UNPROBED_NS 50000000

static int add_process(struct profile *profile, struct collector *collector,
		       struct process_total *total, const struct window *window)
{
	struct profile_process *out = profile__add_process(profile);
	const struct process *process = &total->process;
	const struct build *build = builds__get(collector->builds, process->build);
	uint64_t unprobed, watch_hits = 0;

	if (!out)
		return -1;
	out->tgid = process->tgid;
	out->comm = strdup(process->comm);
	out->command = strdup(process->command);
	out->container_id = strdup(process->container_id);
	out->service = strdup("");
	out->python = strdup(build ? build->version : "");
	out->build = strdup(build ? build->path : "");
	out->build_id = build ? hex(build->build_id, build->build_id_len) : strdup("");
	out->calls_method =
		calls_method_name(build && !process->calls_refused ? build->method : CALLS_NONE);
	out->reason = strdup(process->reason[0] ? process->reason : build ? build->reason : "");
	out->gc_method = gc_method_name(total->gc_method);
	out->gc_reason = strdup(total->gc_reason);
	out->exited = !total->current;
	out->others = total->folded ? total->folded - 1 : 0;
	out->observed_ns = process_total__observed_ns(total, window->start_ns, window->end_ns) +
			   total->folded_ns;
	unprobed = (total->folded ?: 1) * UNPROBED_NS;
	if (unprobed > out->observed_ns / 2)
		unprobed = out->observed_ns / 2;
	out->probed_ns = total->probed_ns;
	if (total->probed_since_ns && total->probed_since_ns < window->end_ns)
		out->probed_ns += window->end_ns - total->probed_since_ns;
	/* (a window that began in the last report's time counts for this one, as a whole) */
	out->windowed =
		total->probing.governed && (total->probing.windows || total->probing.apart ||
					    out->probed_ns + unprobed < out->observed_ns);
	out->windows = total->probing.windows;
	out->windows_cut = total->probing.windows_cut;
	memcpy(out->group_ns, total->probing.group_ns, sizeof(out->group_ns));
	if (total->probed_since_ns && total->probed_since_ns < window->end_ns)
		out->group_ns[total->probing.group % WINDOW_GROUPS] +=
			window->end_ns - total->probed_since_ns;
	out->threads = total->more_threads;
	for (struct thread_total *t = total->threads; t; t = t->hh.next) {
		out->threads++;
		out->oncpu_ns += t->oncpu_ns;
		out->preempted_ns += t->preempted_ns;
		out->woken_late_ns += t->wait_ns[WAIT_RUNQ] - t->preempted_ns;
	}
	for (struct function_total *f = total->functions; f; f = f->hh.next) {
		if (f->watched) {
			watch_hits += hits_of(&f->window);
			continue;
		}
		out->probe_hits += hits_of(&f->window);
		out->probe_cost_ns += cost_of(&f->window, window);
	}
	out->counted_cost_ns = out->probe_cost_ns;
	if (total->probing.hits > out->probe_hits) /* of calls that do not count, too */
		out->probe_cost_ns += (total->probing.hits - out->probe_hits) *
				      (window->entry_ns + window->exit_ns) / 2;
	if (total->gc_method == GC_WATCHPOINT)
		watch_hits += 2 * pauses_count(total);
	out->probe_cost_ns += watch_hits * window->watch_ns;
	out->wait_cost_ns = total->effort.cost_ns;
	out->walk_every = total->effort.walk_every ?: 1;
	out->samples = total->samples;
	out->gil_samples = total->gil_samples;
	out->gil_after_io = total->gil_after_io;
	out->gil_after_io_ns = total->gil_after_io_ns;
	resident_profile(out, total, window->end_ns);
	fill_throttling(out, collector, total);
	return 0;
}

static int add_threads(struct profile *profile, const struct process_total *total)
{
	for (struct thread_total *t = total->threads; t; t = t->hh.next) {
		struct profile_thread *out = profile__add_thread(profile);

		if (!out)
			return -1;
		out->tgid = total->process.tgid;
		out->tid = t->tid;
		out->name = strdup(t->name);
		out->oncpu_ns = t->oncpu_ns;
		memcpy(out->wait_ns, t->wait_ns, sizeof(out->wait_ns));
		out->preempted_ns = t->preempted_ns;
	}
	return 0;
}

/* A sum of what was left without the cost of our probes, which is an estimate. */
static uint64_t never_negative(uint64_t sum)
{
	return (int64_t)sum < 0 ? 0 : sum;
}

/* What functions waited for, once it is known where each is in the profile. */
static void add_repeats(struct profile *profile, const struct process_total *total)
{
	for (struct function_total *f = total->functions; f; f = f->hh.next) {
		const struct awaited_total *most = awaited_most(f);
		struct profile_repeat *out;

		if (!f->profile || !most)
			continue;
		out = &profile->functions[f->profile - 1].repeat;
		out->target = target_total__name(most->key.target);
		out->wait_class = most->key.wait_class;
		out->count = most->count;
		out->below = most->below && most->below->profile ? most->below->profile - 1
								 : NOTHING_BELOW;
	}
}

static int fill_tail(struct profile_tail *out, const struct function_total *f)
{
	const struct tail_counts *tail = &f->window.tail;

	if (!f->tail_least_ns)
		return 0;
	out->of_calls = tail->of_calls;
	out->calls = tail->calls;
	out->above_ns = f->tail_least_ns - 1;
	out->above_most_ns = f->tail_most_ns - 1;
	out->wall_ns = never_negative(tail->wall_ns);
	memcpy(out->wait_ns, tail->wait_ns, sizeof(out->wait_ns));
	return causes_profile(out, f);
}

static int add_functions(struct profile *profile, const struct process_total *total,
			 const struct window *window)
{
	const struct profile_process *process = &profile->processes[profile->process_count - 1];

	for (struct function_total *f = total->functions; f; f = f->hh.next) {
		struct profile_function *out;
		struct function_total *calls = f; /* what is known of them */
		uint64_t watched_ns;
		bool called;

		f->profile = 0;
		if (f->watched)
			continue;
		watched_ns = f->twin ? function_total__watched_ns(f->twin, window->end_ns) : 0;
		if (f->twin && !f->twin->window.segments && watched_ns < process->observed_ns / 20)
			watched_ns = 0; /* its turn was too short to say anything */
		if (watched_ns)
			calls = f->twin;
		called = calls->window.segments || calls->wall.count ||
			 calls->begun != calls->over || calls->window.self_ns ||
			 calls->window.began_before || watched_ns;
		if (!called && !f->stack.inclusive_ns && !f->stack.faults_inclusive &&
		    !f->window.holds)
			continue; /* quiet in this window */
		out = profile__add_function(profile);
		if (!out)
			return -1;
		f->profile = profile->function_count;
		out->tgid = total->process.tgid;
		out->function = strdup(f->name.function);
		out->file = strdup(f->name.file);
		out->line = f->name.line;
		out->called = called;
		out->calls = calls->window.calls;
		out->segments = calls->window.segments;
		out->exceptions = calls->window.exceptions;
		out->ended_unseen = calls->window.ended_unseen;
		out->began_before = calls->window.began_before;
		out->suspended_ns = calls->window.suspended_ns;
		out->self_ns = never_negative(calls->window.self_ns);
		out->probe_hits = hits_of(&calls->window);
		out->probe_ns = calls->window.probe_ns;
		out->probed_ns = process->probed_ns;
		out->observed_ns = process->observed_ns;
		out->counted_cost_ns = process->counted_cost_ns;
		out->sample_ns = window->samples_hz ? 1000000000ull / window->samples_hz : 0;
		out->watched_ns = watched_ns;
		out->suspends = calls->suspends;
		out->windowed = process->windowed && calls == f;
		memcpy(out->wait_ns, calls->window.wait_ns, sizeof(out->wait_ns));
		out->wall = histogram_take(&calls->wall);
		out->wall.sum_ns = never_negative(out->wall.sum_ns);
		if (calls == f)
			windowed_profile(out, f, total);
		else
			out->wall.censored =
				calls->begun > calls->over ? calls->begun - calls->over : 0;
		memcpy(out->stack_ns, f->stack.ns, sizeof(out->stack_ns));
		out->stack_inclusive_ns = f->stack.inclusive_ns;
		out->stack_exclusive_ns = f->stack.exclusive_ns;
		out->faults_inclusive = f->stack.faults_inclusive;
		out->faults_exclusive = f->stack.faults_exclusive;
		out->holds = f->window.holds;
		out->hold_ns = f->window.hold_ns;
		out->hold_max_ns = f->hold_max_ns;
		if (fill_tail(&out->tail, calls))
			return -1;
		out->io_waits = f->io_waits;
	}
	add_repeats(profile, total);
	return 0;
}

static void count_open_waits(struct process_total *total)
{
	for (struct thread_total *t = total->threads; t; t = t->hh.next) {
		struct wait_total *wait;

		gil_settle(total, t); /* the window's end cuts it: its sum is told already */
		if (!t->open)
			continue;
		wait = process_total__wait(total, &t->open_key);
		if (wait)
			wait->time.censored++;
	}
}

/* How many members epoll instances have now, while they can be asked. */
static void look_at_epolls(struct process_total *total)
{
	unsigned long members;

	for (struct target_total *t = total->targets; t; t = t->hh.next) {
		if (!t->epoll || !total->current)
			continue;
		members = epoll_members(total->process.tgid, (int)t->fd);
		if (members)
			t->members = members;
	}
}

static int add_waits(struct profile *profile, struct process_total *total)
{
	for (struct wait_total *w = total->waits; w; w = w->hh.next) {
		const struct function_name *name = w->key.function ? &w->key.function->name : NULL;
		struct profile_wait *out;

		if (!w->time.count && !w->time.censored && !w->time.sum_ns)
			continue;
		out = profile__add_wait(profile);
		if (!out)
			return -1;
		out->tgid = total->process.tgid;
		out->wait_class = w->key.wait_class;
		out->function = strdup(name ? name->function : "");
		out->file = strdup(name ? name->file : "");
		out->line = name ? name->line : 0;
		out->syscall = syscall_name(w->key.syscall);
		if (w->key.caller) {
			out->caller.function = strdup(w->key.caller->name.function);
			out->caller.file = strdup(w->key.caller->name.file);
			out->caller.line = w->key.caller->name.line;
		}
		out->waker = w->key.waker ? strdup(w->key.waker->name.function) : NULL;
		out->by_peer = w->key.by_peer;
		out->target = target_total__name(w->key.target);
		out->block_io = w->block_io;
		out->held_gil = w->held_gil;
		out->held_gil_ns = w->held_gil_ns;
		out->time = histogram_take(&w->time);
	}
	return 0;
}

static int add_callbacks(struct profile *profile, const struct process_total *total)
{
	for (struct callback_total *c = total->callbacks; c; c = c->hh.next) {
		const struct function_name *name = &c->id.function->name;
		struct profile_callback *out = profile__add_callback(profile);

		if (!out)
			return -1;
		out->tgid = total->process.tgid;
		out->function = strdup(name->function);
		out->file = strdup(name->file);
		out->line = name->line;
		out->task = c->id.task[0] ? strdup(c->id.task) : NULL;
		out->count = c->stats.count;
		out->sum_ns = never_negative(c->stats.ns);
		out->max_ns = c->stats.max_ns;
	}
	return 0;
}

static void fill_header(struct profile *profile, const struct window *window)
{
	struct utsname name;
	struct timespec wall, mono;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	profile->version = strdup(PYTRACE_VERSION);
	if (!uname(&name)) {
		profile->host = strdup(name.nodename);
		profile->kernel = strdup(name.release);
	}
	profile->started_realtime_ns = (wall.tv_sec - mono.tv_sec) * 1000000000ll + wall.tv_nsec -
				       mono.tv_nsec + window->start_ns;
	profile->duration_ns = window->end_ns - window->start_ns;
	profile->empty_probe_ns = window->empty_probe_ns;
	profile->entry_ns = window->entry_ns;
	profile->exit_ns = window->exit_ns;
	profile->switch_ns = window->switch_ns;
	profile->sample_ns = window->sample_ns;
	profile->samples_hz = window->samples_hz;
	profile->samples_event = window->samples_event;
	profile->callback_least_ns = window->callback_least_ns;
	profile->own_cpu_ns = own_cpu_ns();
	profile->own_window_cpu_ns = profile->own_cpu_ns - window->own_cpu_ns;
	profile->own_rss_bytes = resident_bytes(getpid());
}

static void begin_window(struct process_total *total, uint64_t now_ns)
{
	process_total__reset(total);
	if (total->probed_since_ns && total->probed_since_ns < now_ns)
		total->probed_since_ns = now_ns;
	for (struct function_total *f = total->functions; f; f = f->hh.next)
		if (f->watched_since_ns && f->watched_since_ns < now_ns)
			f->watched_since_ns = now_ns;
}

/* Go on into the next window, without those that have ended. */
static void drop_ended(struct collector *collector, uint64_t now_ns)
{
	struct process_total **link = &collector->processes, *total;

	while ((total = *link)) {
		if (total->current) {
			begin_window(total, now_ns);
			link = &total->next;
			continue;
		}
		*link = total->next;
		process_total__free(total);
	}
}

void collector__begin(struct collector *collector, uint64_t now_ns)
{
	collector->window_start_ns = now_ns;
	collector->throttle_cache.groups[0] = '\0';
	for (struct process_total *total = collector->processes; total; total = total->next) {
		for (struct thread_total *t = total->threads; t; t = t->hh.next)
			gil_settle(total, t);
		begin_window(total, now_ns);
		if (!total->current)
			continue;
		resident_begin(total, now_ns);
		collector__throttle(collector, total->process.tgid, &total->throttle);
	}
}

struct profile *collector__profile(struct collector *collector, const struct window *window)
{
	struct profile *profile = profile__new();

	if (!profile)
		return NULL;
	fill_header(profile, window);
	collector->throttle_cache.groups[0] = '\0';
	collector__fold_ended(collector, window->end_ns);
	profile->replaced_count = collector->passed;
	for (struct process_total *total = collector->processes; total; total = total->next) {
		uint64_t probed;

		if (process_total__is_passing(total)) { /* and has not ended */
			profile->replaced_count++;
			continue;
		}

		count_open_waits(total);
		stacks_add_up(total);
		awaited_add_up(total);
		look_at_epolls(total);
		if (add_process(profile, collector, total, window))
			goto no_memory;
		probed = profile->processes[profile->process_count - 1].probed_ns;
		if (probed > profile->probed_ns)
			profile->probed_ns = probed;
		if (add_threads(profile, total) || add_functions(profile, total, window) ||
		    add_waits(profile, total) || stacks_profile(profile, total) ||
		    add_callbacks(profile, total) || pauses_add_to(profile, total))
			goto no_memory;
	}
	drop_ended(collector, window->end_ns);
	profile->functions_retired = collector->retired;
	collector->retired = 0;
	collector->passed = 0;
	collector->window_start_ns = window->end_ns;
	return profile;

no_memory:
	profile__free(profile);
	return NULL;
}
