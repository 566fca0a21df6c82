/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The schema "pytrace-bpf/1": keys may be added, never renamed. */
#include "json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../judge/idle.h"
#include "../judge/interval.h"
#include "../judge/limit.h"
#include "../judge/measure.h"
#include "../judge/repeat.h"
#include "../judge/rules.h"
#include "../judge/select.h"
#include "../judge/whole.h"
#include "json_stacks.h"
#include "json_top.h"
#include "json_value.h"
#include "json_watches.h"

/* Nanoseconds stay whole up to eleven days, and 0.1 is not 0.10000000000000001. */
#define DIGITS 15

static json_t *started(uint64_t realtime_ns)
{
	time_t seconds = (time_t)(realtime_ns / 1000000000);
	struct tm tm;
	char text[32], full[40];

	if (!gmtime_r(&seconds, &tm))
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(full, sizeof(full), "%s.%03uZ", text, (unsigned)(realtime_ns / 1000000 % 1000));
	return json_string(full);
}

/* Every rule in the order in which they are asked, with its number and what it takes. */
static json_t *rules_json(struct json_builder *b, const struct limit *limit)
{
	json_t *array = json_array();

	for (int i = 0; i < LIMIT_RULES; i++) {
		const struct limit_check *check = &limit->checks[i];
		json_t *object = json_object();

		json_put(b, object, "rule", json_string(check->rule->name));
		json_put(b, object, "verdict", json_string(check->rule->verdict));
		json_put(b, object, "value", json_number(check->value));
		json_put(b, object, "least", json_number(check->rule->least));
		json_put(b, object, "of",
			 json_string(check->rule->of ? check->rule->of : "bytes a second"));
		json_put(b, object, "takes", json_name_or_null(check->rule->takes_text));
		json_put(b, object, "state", json_string(limit_state_name(check->state)));
		json_put(b, object, "decided", json_boolean(limit->decided == check));
		json_push(b, array, object);
	}
	return array;
}

static json_t *diagnosis(struct json_builder *b, const struct limit *limit)
{
	json_t *object = json_object(), *evidence = json_array();
	char line[1024];

	json_put(b, object, "verdict", json_string(limit->verdict));
	json_put(b, object, "function", json_name_or_null(limit->function));
	json_put(b, object, "native", json_name_or_null(limit->native));
	json_put(b, object, "caller", json_name_or_null(limit->caller));
	json_put(b, object, "target", json_name_or_null(limit->target));
	json_put(b, object, "holder", json_name_or_null(limit->holder));
	json_put(b, object, "holder_caller", json_name_or_null(limit->holder_caller));
	json_put(b, object, "waker", json_name_or_null(limit->waker));
	json_put(b, object, "cause", json_string(limit->cause));
	for (int i = 0; i < LIMIT_EVIDENCE && *limit->evidence[i]; i++)
		json_push(b, evidence, json_string(limit->evidence[i]));
	json_put(b, object, "evidence", evidence);
	json_put(b, object, "next_step", json_string(limit->next_step));
	json_put(b, object, "summary", json_name(limit_line(limit, line, sizeof(line))));
	json_put(b, object, "rules", rules_json(b, limit));
	return object;
}

static json_t *runq_json(struct json_builder *b, uint64_t preempted_ns, uint64_t woken_late_ns)
{
	json_t *object = json_object();

	json_put(b, object, "preempted", json_seconds((double)preempted_ns));
	json_put(b, object, "woken_late", json_seconds((double)woken_late_ns));
	return object;
}

static json_t *throttling_json(struct json_builder *b, const struct profile_process *process)
{
	json_t *object;

	if (!process->throttled_by)
		return json_null();
	object = json_object();
	json_put(b, object, "seconds", json_seconds((double)process->throttled_ns));
	json_put(b, object, "count", json_count(process->throttle_count));
	json_put(b, object, "cgroup", json_name(process->throttled_by));
	return object;
}

/* Those that ended; null where calls are probed all the time or never. */
static json_t *probe_windows_json(struct json_builder *b, const struct profile_process *process)
{
	json_t *object;

	if (!process->windowed)
		return json_null();
	object = json_object();
	json_put(b, object, "count", json_count(process->windows));
	json_put(b, object, "cut", json_count(process->windows_cut));
	return object;
}

static json_t *process_json(struct json_builder *b, const struct profile *profile,
			    const struct profile_process *process)
{
	json_t *object = json_object(), *memory = json_object();
	struct limit limit;

	limit_of_process(profile, process, &limit);
	json_put(b, memory, "rss_bytes", json_count(process->rss_bytes));
	json_put(b, memory, "growth_bytes_per_second", json_number(process->rss_growth));
	json_put(b, memory, "begin_bytes", json_count(process->rss_begin_bytes));
	json_put(b, memory, "readings", json_integer(process->rss_readings));
	json_put(b, memory, "grown", json_integer(process->rss_grown));

	json_put(b, object, "tgid", json_integer(process->tgid));
	json_put(b, object, "comm", json_name(process->comm));
	json_put(b, object, "command", json_name(process->command));
	json_put(b, object, "python", json_name_or_null(process->python));
	json_put(b, object, "build", json_name(process->build));
	json_put(b, object, "build_id", json_name(process->build_id));
	json_put(b, object, "service", json_name_or_null(process->service));
	json_put(b, object, "container_id", json_name_or_null(process->container_id));
	json_put(b, object, "calls_method",
		 json_string(process->calls_method ? process->calls_method : "none"));
	json_put(b, object, "reason", json_name_or_null(process->reason));
	json_put(b, object, "gc_method",
		 json_string(process->gc_method ? process->gc_method : "unknown"));
	json_put(b, object, "gc_reason", json_name_or_null(process->gc_reason));
	json_put(b, object, "diagnosis", diagnosis(b, &limit));
	json_put(b, object, "threads", json_integer(process->threads));
	json_put(b, object, "exited", json_boolean(process->exited));
	json_put(b, object, "others", json_count(process->others));
	json_put(b, object, "observed_seconds", json_seconds((double)process->observed_ns));
	json_put(b, object, "probed_seconds", json_seconds((double)process->probed_ns));
	json_put(b, object, "probe_windows", probe_windows_json(b, process));
	json_put(b, object, "cpu_seconds", json_seconds((double)process->oncpu_ns));
	json_put(b, object, "runq_seconds",
		 runq_json(b, process->preempted_ns, process->woken_late_ns));
	json_put(b, object, "throttling", throttling_json(b, process));
	json_put(b, object, "gil", json_process_gil(b, profile, process));
	json_put(b, object, "memory", memory);
	json_put(b, object, "samples", json_count(process->samples));
	json_put(b, object, "probe_hits", json_count(process->probe_hits));
	json_put(b, object, "overhead_share",
		 json_number(share_of(process->probe_cost_ns, process->observed_ns)));
	json_put(b, object, "waits_overhead_share",
		 json_number(share_of(process->wait_cost_ns, process->observed_ns)));
	json_put(b, object, "stacks_read_one_in", json_integer(process->walk_every));
	return object;
}

static json_t *thread_json(struct json_builder *b, const struct profile_thread *thread)
{
	json_t *object = json_object();

	json_put(b, object, "tgid", json_integer(thread->tgid));
	json_put(b, object, "tid", json_integer(thread->tid));
	json_put(b, object, "name", json_name(thread->name));
	json_put(b, object, "oncpu_seconds", json_seconds((double)thread->oncpu_ns));
	json_put(b, object, "wait_seconds", json_wait_seconds(b, thread->wait_ns));
	json_put(b, object, "runq_seconds",
		 runq_json(b, thread->preempted_ns,
			   thread->wait_ns[WAIT_RUNQ] - thread->preempted_ns));
	return object;
}

/* What calls' wall time was spent on; what is no wait was on-CPU. */
static json_t *breakdown(struct json_builder *b, uint64_t wall_ns,
			 const uint64_t wait_ns[WAIT_CLASSES])
{
	json_t *object = json_object(), *waits;
	uint64_t waited = 0;

	for (int c = 0; c < WAIT_CLASSES; c++)
		waited += wait_ns[c];
	json_put(b, object, "oncpu",
		 json_seconds(wall_ns > waited ? (double)(wall_ns - waited) : 0));
	waits = json_wait_seconds(b, wait_ns);
	if (json_object_update(object, waits))
		b->failed = true;
	json_decref(waits);
	return object;
}

/* How long it kept the GIL while others waited, where it had waited for it itself. */
static json_t *gil_holds(struct json_builder *b, const struct profile_function *f)
{
	json_t *object = json_object(), *seconds = json_object();

	json_put(b, object, "count", json_count(f->holds));
	json_put(b, seconds, "sum", json_seconds((double)f->hold_ns));
	json_put(b, seconds, "max", json_seconds((double)f->hold_max_ns));
	json_put(b, object, "seconds", seconds);
	return object;
}

static json_t *cause_json(struct json_builder *b, const struct profile_cause *cause)
{
	json_t *object = json_object();

	json_put(b, object, "class", json_string(wait_class_name(cause->wait_class)));
	json_put(b, object, "function", json_name_or_null(cause->function));
	json_put(b, object, "target", json_name_or_null(cause->target));
	json_put(b, object, "calls", json_count(cause->calls));
	json_put(b, object, "seconds", json_seconds((double)cause->ns));
	return object;
}

static json_t *tail_json(struct json_builder *b, const struct profile_tail *tail)
{
	json_t *object, *causes;

	if (!tail->of_calls)
		return json_null();
	object = json_object();
	causes = json_array();
	for (size_t i = 0; i < tail->cause_count; i++)
		json_push(b, causes, cause_json(b, &tail->causes[i]));
	json_put(b, object, "above_seconds", json_seconds((double)tail->above_ns));
	json_put(b, object, "above_seconds_max", json_seconds((double)tail->above_most_ns));
	json_put(b, object, "calls", json_count(tail->calls));
	json_put(b, object, "of_calls", json_count(tail->of_calls));
	json_put(b, object, "wall_seconds", json_seconds((double)tail->wall_ns));
	json_put(b, object, "breakdown_seconds", breakdown(b, tail->wall_ns, tail->wait_ns));
	json_put(b, object, "causes", causes);
	return object;
}

static json_t *repeated_target(struct json_builder *b, const struct profile *profile,
			       const struct profile_function *f)
{
	json_t *object;

	if (!f->repeat.target || !f->calls)
		return json_null();
	object = json_object();
	json_put(b, object, "target", json_name(f->repeat.target));
	json_put(b, object, "class", json_string(wait_class_name(f->repeat.wait_class)));
	json_put(b, object, "count", json_count(f->repeat.count));
	json_put(b, object, "per_call", json_number(repeats_per_call(f)));
	json_put(b, object, "many", json_boolean(function_repeats(profile, f)));
	return object;
}

/* [low, high]; null for what is beyond what was watched. */
static json_t *interval_json(struct json_builder *b, struct interval interval, double unit)
{
	json_t *array = json_array();

	json_push(b, array, json_number(interval.low / unit));
	json_push(b, array, json_number(interval.high / unit));
	return array;
}

static json_t *wall_json(struct json_builder *b, const struct profile_function *f,
			 const struct intervals *intervals)
{
	json_t *object = json_histogram(b, &f->wall, f->censored);

	for (int k = 0; k < TOLD_QUANTILES; k++)
		json_put(b, object, told_quantiles[k].interval,
			 intervals ? interval_json(b, intervals->quantiles[k], 1e9) : json_null());
	return object;
}

static const struct profile_process *process_of(const struct profile *profile, uint32_t tgid)
{
	for (size_t i = 0; i < profile->process_count; i++)
		if (profile->processes[i].tgid == tgid)
			return &profile->processes[i];
	return NULL;
}

static json_t *function_json(struct json_builder *b, const struct profile *profile,
			     const struct profile_function *f)
{
	const struct profile_process *process = process_of(profile, f->tgid);
	struct intervals intervals;
	bool known = process && function_intervals(f, process, &intervals);
	json_t *object = json_object();

	json_put(b, object, "tgid", json_integer(f->tgid));
	json_put(b, object, "function", json_name(f->function));
	json_put(b, object, "file", json_name(f->file));
	json_put(b, object, "line", json_integer(f->line));
	json_put(b, object, "method",
		 json_string(f->watched_ns ? "watch"
			     : !f->called  ? "none"
			     : f->windowed ? "window"
					   : "exact"));
	json_put(b, object, "calls", json_count(f->calls));
	json_put(b, object, "calls_per_second", json_number(function_calls_per_second(f)));
	json_put(b, object, "littles_law_ratio", json_number(function_littles_law(f)));
	json_put(b, object, "calls_per_second_interval",
		 known ? interval_json(b, intervals.calls_per_second, 1) : json_null());
	json_put(b, object, "ended_unseen", json_count(f->ended_unseen));
	json_put(b, object, "began_before", json_count(f->began_before));
	json_put(b, object, "exceptions", json_count(f->exceptions));
	json_put(b, object, "segments", json_count(f->segments));
	json_put(b, object, "suspended_seconds",
		 f->suspends ? json_null() : json_seconds((double)f->suspended_ns));
	json_put(b, object, "wall_seconds", wall_json(b, f, known ? &intervals : NULL));
	json_put(b, object, "self_seconds",
		 f->watched_ns ? json_null() : json_seconds((double)f->self_ns));
	json_put(b, object, "probe_seconds", json_seconds((double)f->probe_ns));
	json_put(b, object, "probe_hits", json_count(f->probe_hits));
	json_put(b, object, "breakdown_seconds",
		 f->suspends ? json_null() : breakdown(b, f->wall.sum_ns, f->wait_ns));
	json_put(b, object, "stack_seconds", json_stack_seconds(b, f));
	json_put(b, object, "page_faults", json_page_faults(b, f));
	json_put(b, object, "gil_holds", gil_holds(b, f));
	json_put(b, object, "tail", tail_json(b, &f->tail));
	json_put(b, object, "waits_per_call", json_number(waits_per_call(f)));
	json_put(b, object, "repeated_target", repeated_target(b, profile, f));
	json_put(b, object, "probed_seconds", json_seconds((double)f->probed_ns));
	json_put(b, object, "watched_seconds", json_seconds((double)f->watched_ns));
	return object;
}

static json_t *wait_json(struct json_builder *b, const struct profile_wait *wait)
{
	json_t *object = json_object();

	json_put(b, object, "tgid", json_integer(wait->tgid));
	json_put(b, object, "class", json_string(wait_class_name(wait->wait_class)));
	json_put(b, object, "function", json_name(wait->function));
	json_put(b, object, "file", json_name(wait->file));
	json_put(b, object, "line", json_integer(wait->line));
	json_put(b, object, "syscall", json_name_or_null(wait->syscall));
	json_put(b, object, "target", json_name_or_null(wait->target));
	json_put(b, object, "caller",
		 wait->caller.function ? json_frame(b, &wait->caller) : json_null());
	json_put(b, object, "waker", json_name_or_null(wait->waker));
	json_put(b, object, "by_peer", json_boolean(wait->by_peer));
	json_put(b, object, "count", json_count(wait->time.count));
	json_put(b, object, "block_io", json_count(wait->block_io));
	json_put(b, object, "held_gil", json_count(wait->held_gil));
	json_put(b, object, "held_gil_seconds", json_seconds((double)wait->held_gil_ns));
	json_put(b, object, "idle", json_boolean(wait_is_idle(wait)));
	json_put(b, object, "event_loop", json_boolean(wait_is_event_loop(wait)));
	json_put(b, object, "seconds", json_histogram(b, &wait->time, NULL));
	return object;
}

static json_t *losses(struct json_builder *b, const struct profile *profile)
{
	json_t *object = json_object();

	for (int i = 0; i < LOSS_COUNT; i++)
		json_put(b, object, loss_key(i), json_count(profile->losses[i]));
	return object;
}

static void put_facts(struct json_builder *b, json_t *root, const struct profile *profile)
{
	json_t *cost = json_object(), *own = json_object();

	json_put(b, root, "schema", json_string("pytrace-bpf/1"));
	json_put(b, root, "version", json_name(profile->version));
	json_put(b, root, "host", json_name(profile->host));
	json_put(b, root, "kernel", json_name(profile->kernel));
	json_put(b, root, "started", started(profile->started_realtime_ns));
	json_put(b, root, "duration_seconds", json_seconds((double)profile->duration_ns));
	json_put(b, root, "probed_seconds", json_seconds((double)profile->probed_ns));
	json_put(b, cost, "entry_seconds", json_seconds(profile->entry_ns));
	json_put(b, cost, "exit_seconds", json_seconds(profile->exit_ns));
	json_put(b, cost, "empty_seconds", json_seconds(profile->empty_probe_ns));
	json_put(b, cost, "switch_seconds", json_seconds(profile->switch_ns));
	json_put(b, cost, "sample_seconds", json_seconds(profile->sample_ns));
	json_put(b, root, "probe_cost", cost);
	json_put(b, root, "samples_hz", json_integer(profile->samples_hz));
	json_put(b, root, "samples_event", json_name_or_null(profile->samples_event));
	json_put(b, own, "cpu_seconds", json_seconds((double)profile->own_cpu_ns));
	json_put(b, own, "window_cpu_seconds", json_seconds((double)profile->own_window_cpu_ns));
	json_put(b, own, "rss_bytes", json_count(profile->own_rss_bytes));
	json_put(b, own, "functions_retired", json_count(profile->functions_retired));
	json_put(b, root, "own", own);
	json_put(b, root, "replaced_processes", json_count(profile->replaced_count));
}

static int put_functions(struct json_builder *b, json_t *root, const struct profile *profile,
			 const struct show_options *options)
{
	const struct profile_function **functions;
	json_t *array = json_array();
	struct sort_key key;
	struct json_top top = JSON_TOP(options->top);
	size_t count;
	int err;

	err = sort_key_parse(options->sort, &key);
	if (!err)
		err = select_functions(profile, options->function_glob, &key, &functions, &count);
	if (err) {
		json_decref(array);
		return err;
	}
	for (size_t i = 0; i < count; i++) {
		if (json_top_takes(&top, functions[i]->tgid))
			json_push(b, array, function_json(b, profile, functions[i]));
	}
	free(functions);
	json_put(b, root, "functions", array);
	return 0;
}

static int put_waits(struct json_builder *b, json_t *root, const struct profile *profile,
		     const struct show_options *options)
{
	const struct profile_wait **waits;
	json_t *array = json_array();
	struct json_top top = JSON_TOP(options->top);
	size_t count;
	int err;

	err = select_waits(profile, options->function_glob, &waits, &count);
	if (err) {
		json_decref(array);
		return err;
	}
	for (size_t i = 0; i < count; i++) {
		if (json_top_takes(&top, waits[i]->tgid))
			json_push(b, array, wait_json(b, waits[i]));
	}
	free(waits);
	json_put(b, root, "waits", array);
	return 0;
}

static json_t *callback_json(struct json_builder *b, const struct profile_callback *callback)
{
	json_t *object = json_object(), *seconds = json_object();

	json_put(b, object, "tgid", json_integer(callback->tgid));
	json_put(b, object, "function", json_name(callback->function));
	json_put(b, object, "file", json_name(callback->file));
	json_put(b, object, "line", json_integer(callback->line));
	json_put(b, object, "task", json_name_or_null(callback->task));
	json_put(b, object, "count", json_count(callback->count));
	json_put(b, seconds, "sum", json_seconds((double)callback->sum_ns));
	json_put(b, seconds, "max", json_seconds((double)callback->max_ns));
	json_put(b, object, "seconds", seconds);
	return object;
}

static int put_asyncio(struct json_builder *b, json_t *root, const struct profile *profile,
		       const struct show_options *options)
{
	const struct profile_callback **callbacks;
	json_t *object, *array;
	struct json_top top = JSON_TOP(options->top);
	size_t count;
	int err;

	err = select_callbacks(profile, options->function_glob, &callbacks, &count);
	if (err)
		return err;
	object = json_object();
	array = json_array();
	for (size_t i = 0; i < count; i++) {
		if (json_top_takes(&top, callbacks[i]->tgid))
			json_push(b, array, callback_json(b, callbacks[i]));
	}
	free(callbacks);
	json_put(b, object, "least_seconds", json_seconds((double)profile->callback_least_ns));
	json_put(b, object, "callbacks", array);
	json_put(b, root, "asyncio", object);
	return 0;
}

static json_t *gc_json(struct json_builder *b, const struct profile_gc *gc)
{
	json_t *object = json_object();

	json_put(b, object, "tgid", json_integer(gc->tgid));
	json_put(b, object, "generation",
		 gc->generation < 0 ? json_null() : json_integer(gc->generation));
	json_put(b, object, "function", json_name(gc->function));
	json_put(b, object, "file", json_name(gc->file));
	json_put(b, object, "line", json_integer(gc->line));
	json_put(b, object, "method", json_string(gc->method ? gc->method : "unknown"));
	json_put(b, object, "count", gc->estimated ? json_null() : json_count(gc->time.count));
	json_put(b, object, "seconds", json_histogram(b, &gc->time, NULL));
	return object;
}

static int put_gcs(struct json_builder *b, json_t *root, const struct profile *profile,
		   const struct show_options *options)
{
	const struct profile_gc **gcs;
	json_t *array;
	struct json_top top = JSON_TOP(options->top);
	size_t count;
	int err;

	err = select_gcs(profile, options->function_glob, &gcs, &count);
	if (err)
		return err;
	array = json_array();
	for (size_t i = 0; i < count; i++) {
		if (json_top_takes(&top, gcs[i]->tgid))
			json_push(b, array, gc_json(b, gcs[i]));
	}
	free(gcs);
	json_put(b, root, "gc", array);
	return 0;
}

static int build(struct json_builder *b, json_t *root, const struct profile *profile,
		 const struct show_options *options)
{
	json_t *processes = json_array(), *threads = json_array();
	int err;

	put_facts(b, root, profile);
	for (size_t i = 0; i < profile->process_count; i++)
		json_push(b, processes, process_json(b, profile, &profile->processes[i]));
	json_put(b, root, "processes", processes);
	for (size_t i = 0; i < profile->thread_count; i++)
		json_push(b, threads, thread_json(b, &profile->threads[i]));
	json_put(b, root, "threads", threads);
	err = put_functions(b, root, profile, options);
	if (!err)
		err = put_waits(b, root, profile, options);
	if (!err)
		err = put_asyncio(b, root, profile, options);
	json_put(b, root, "gil", json_gils(b, profile, options->top));
	json_put(b, root, "stacks", json_stacks(b, profile, options->top));
	json_put(b, root, "page_faults", json_faults(b, profile, options->top));
	if (!err)
		err = put_gcs(b, root, profile, options);
	json_put(b, root, "watches", json_watches(b, profile));
	json_put(b, root, "losses", losses(b, profile));
	return err ? err : b->failed ? -ENOMEM : 0;
}

/* jansson says only that writing failed, so the reason is kept here. */
struct sink {
	FILE *out;
	int err;
};

static int write_piece(const char *bytes, size_t size, void *data)
{
	struct sink *sink = data;

	errno = 0;
	if (fwrite(bytes, 1, size, sink->out) == size)
		return 0;
	sink->err = errno ? -errno : -EIO;
	return -1;
}

int show_json(FILE *out, const struct profile *profile, const struct show_options *options)
{
	const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(DIGITS);
	struct json_builder builder = {.failed = false};
	struct sink sink = {.out = out};
	json_t *root = json_object();
	int err;

	if (!root)
		return -ENOMEM;
	err = build(&builder, root, profile, options);
	if (err)
		goto cleanup;
	if (json_dump_callback(root, write_piece, &sink, flags)) {
		err = sink.err ? sink.err : -ENOMEM;
		goto cleanup;
	}
	errno = 0;
	if (fputc('\n', out) == EOF || fflush(out))
		err = errno ? -errno : -EIO;
cleanup:
	json_decref(root);
	return err;
}
