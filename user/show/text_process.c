/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * One process in the report for people: what it is, what it is limited by, then its
 * functions and its waits.
 */
#include "text_process.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../judge/glob.h"
#include "../judge/idle.h"
#include "../judge/quantile.h"
#include "../judge/repeat.h"
#include "../judge/whole.h"
#include "breakdown.h"
#include "escape.h"
#include "table.h"
#include "text_explain.h"
#include "text_line.h"
#include "text_machine.h"
#include "text_stacks.h"
#include "text_watches.h"
#include "units.h"

#define DEFAULT_TOP 20
/* Idle waits are many and tell little, so fewer unless --top asks for more. */
#define DEFAULT_TOP_IDLE 4
#define DEFAULT_TOP_GILS 8
/* A rate of errors is told where it is one in a hundred of so many calls. */
#define RATE_LEAST 0.01
#define RATE_CALLS 20
/* Slow calls are told of where they are so many, and take so much of their function's time. */
#define TAIL_CALLS 5
#define TAIL_SHARE 0.10
#define MOST_REPEATS 5
/* Of a function's slow calls so many must have a cause that is told. */
#define MOST_CAUSES 2
#define CAUSE_SHARE 0.10

static const struct table_spec function_table = {
	.columns = {{.title = "calls"},
		    {.title = "p50"},
		    {.title = "p95"},
		    {.title = "p99"},
		    {.title = "max"},
		    {.title = "total"},
		    {.title = "self"}},
	.note_title = "of total",
	.name_title = "function",
	.stackable = true,
};

static const struct table_spec wait_table = {
	.columns = {{.title = "class", .left = true},
		    {.title = "count"},
		    {.title = "total"},
		    {.title = "p50"},
		    {.title = "p95"},
		    {.title = "max"},
		    {.title = "syscall", .left = true, .optional = true}},
	.name_title = "waited in",
};

static const struct table_spec blocking_table = {
	.columns = {{.title = "count"}, {.title = "total"}, {.title = "max"}},
	.name_title = "event loop held up by",
};

static const struct table_spec callback_table = {
	.columns = {{.title = "count"}, {.title = "total"}, {.title = "max"}},
	.name_title = "called by the event loop",
};

static const struct table_spec gc_table = {
	.columns = {{.title = "gen"},
		    {.title = "count"},
		    {.title = "total"},
		    {.title = "p50"},
		    {.title = "p95"},
		    {.title = "max"}},
	.name_title = "collected garbage in",
};

static const char *method_text(const char *method)
{
	if (!method || !strcmp(method, "none"))
		return "calls not traced";
	if (!strcmp(method, "usdt"))
		return "calls by USDT probes";
	if (!strcmp(method, "opcode"))
		return "calls by opcode probes";
	return "calls by frame-eval probes";
}

/* " in 12 windows, 4.3 % of the time", where they are not on all the time; else "". */
static const char *windows_text(char *out, size_t size, const struct profile_process *process)
{
	char share[UNIT_BYTES];

	*out = '\0';
	if (process->windowed && process->observed_ns)
		snprintf(out, size, " in %llu window%s, %s of the time",
			 (unsigned long long)process->windows, process->windows == 1 ? "" : "s",
			 format_share(share,
				      (double)process->probed_ns / (double)process->observed_ns));
	return out;
}

/* What it lost to us, and what was left out for it. */
static void cost_text(char *out, size_t size, const struct profile_process *process)
{
	uint64_t cost = process->probe_cost_ns + process->wait_cost_ns;
	char share[UNIT_BYTES];
	size_t used = 0;

	*out = '\0';
	if (cost && process->observed_ns)
		used = snprintf(out, size, " (cost: %s of a core)",
				format_share(share, (double)cost / (double)process->observed_ns));
	if (process->walk_every > 1)
		snprintf(out + used, size - used, ", one in %u stacks of waits read",
			 process->walk_every);
}

static int put_identity(const struct screen *screen, const struct profile_process *process)
{
	const char *command =
		process->command && *process->command ? process->command : process->comm;
	char cost[128], windows[96], others[64] = "";
	int err;

	cost_text(cost, sizeof(cost), process);
	if (process->others)
		snprintf(others, sizeof(others), " and %llu others of its kind",
			 (unsigned long long)process->others);
	err = text_put_line(screen, STYLE_TITLE, 0, "tgid %u%s  %s", process->tgid, others,
			    command ?: "?");
	if (err)
		return err;
	return text_put_line(
		screen, STYLE_DIM, TEXT_INDENT, "Python %s, %u thread%s, %s%s%s%s%s%s",
		process->python && *process->python ? process->python : "of unknown version",
		process->threads, process->threads == 1 ? "" : "s",
		method_text(process->calls_method), windows_text(windows, sizeof(windows), process),
		cost, process->exited ? ", has ended" : "",
		process->reason && *process->reason ? ": " : "", process->reason ?: "");
}

static int put_limit(const struct screen *screen, const struct limit *limit)
{
	char line[1024], busy[128], idle[128], time[UNIT_BYTES];
	uint64_t idle_sum = 0, all;
	int err;

	err = text_put_line(screen, STYLE_TITLE, TEXT_INDENT, "%s",
			    limit_line(limit, line, sizeof(line)));
	for (int i = 0; i < LIMIT_PARTS; i++)
		idle_sum += limit->idle_ns[i];
	all = limit->active_ns + idle_sum;
	if (err || !all)
		return err;
	format_breakdown(busy, sizeof(busy), limit->busy_ns, all, LIMIT_PARTS);
	format_breakdown(idle, sizeof(idle), limit->idle_ns, all, LIMIT_PARTS);
	format_duration(time, (double)all);
	if (!idle_sum)
		return text_put_line(screen, STYLE_PLAIN, TEXT_INDENT, "Thread time %s: %s", time,
				     busy);
	return text_put_line(screen, STYLE_PLAIN, TEXT_INDENT,
			     "Thread time %s: %s%sidle %.0f%% (%s)", time, busy, *busy ? "; " : "",
			     100.0 * (double)idle_sum / (double)all, idle);
}

/* "12 raised", and how many that is of its calls where it is worth a look. */
static size_t say_exceptions(char *out, size_t size, const struct profile_function *f)
{
	uint64_t ended = f->wall.count;
	char share[UNIT_BYTES];

	if (ended < RATE_CALLS || (double)f->exceptions < RATE_LEAST * (double)ended)
		return snprintf(out, size, ", %llu raised", (unsigned long long)f->exceptions);
	return snprintf(out, size, ", %llu raised (%s)", (unsigned long long)f->exceptions,
			format_share(share, (double)f->exceptions / (double)ended));
}

/* "app.py:41, 12 raised (3.1 %), 1 running": raw, as names are. */
static void function_place(char *out, size_t size, const char *file,
			   const struct profile_function *f)
{
	size_t used = snprintf(out, size, "%s:%u", file, f->line);
	double little = function_littles_law(f);

	if (f->watched_ns && used < size)
		used += snprintf(out + used, size - used, ", watched%s",
				 function_watched_in_turns(f) ? " for a part of the time" : "");
	if (f->windowed && f->called && used < size)
		used += snprintf(out + used, size - used, ", %llu seen",
				 (unsigned long long)f->calls);
	if (littles_law_is_broken(little) && used < size)
		used += snprintf(out + used, size - used,
				 ", calls times their mean are %.1f times the stacks' time",
				 little);
	if (f->exceptions && used < size)
		used += say_exceptions(out + used, size - used, f);
	if (f->segments > f->calls && used < size)
		used += snprintf(out + used, size - used, ", %llu resumed",
				 (unsigned long long)(f->segments - f->calls));
	if (f->wall.censored && used < size)
		used += snprintf(out + used, size - used,
				 f->windowed ? ", %llu not to the end" : ", %llu running",
				 (unsigned long long)f->wall.censored);
	if (f->ended_unseen && used < size)
		used += snprintf(out + used, size - used, ", %llu ended unseen",
				 (unsigned long long)f->ended_unseen);
	if (f->began_before && !f->windowed && used < size)
		snprintf(out + used, size - used, ", %llu begun before",
			 (unsigned long long)f->began_before);
}

static const char *quantile(char *buffer, const struct histogram *histogram, double q)
{
	return format_duration(buffer, histogram_quantile_ns(histogram, q));
}

/* Of a function's calls; ">2.1 s" where it is longer than anything that was watched. */
static const char *function_quantile(char *buffer, const struct profile_function *f, double q)
{
	double ns = function_quantile_ns(f, q);

	if (!isinf(ns))
		return format_duration(buffer, ns);
	buffer[0] = '>';
	format_duration(buffer + 1, function_longest_ns(f));
	return buffer;
}

static const char *longest(char *buffer, const struct histogram *histogram)
{
	return histogram->count ? format_duration(buffer, (double)histogram->max_ns) : "-";
}

/* ", 31 for the GIL held by resize()" */
static size_t say_cause(char *out, size_t size, const struct profile_cause *cause)
{
	unsigned long long calls = cause->calls;

	if (cause->wait_class == WAIT_GIL && cause->function)
		return snprintf(out, size, ", %llu for the GIL held by %s()", calls,
				cause->function);
	if (cause->wait_class == WAIT_LOCK && cause->function)
		return snprintf(out, size, ", %llu for a lock or queue ended by %s()", calls,
				cause->function);
	if (cause->target)
		return snprintf(out, size, ", %llu for %s", calls, cause->target);
	return 0;
}

/*
 * "slow 4.1 % (41 calls above 12.1 ms): gil 71% net 18%, 31 for the GIL held by resize()", or "".
 */
static const char *say_tail(char *out, size_t size, const struct profile_function *f)
{
	const struct profile_tail *tail = &f->tail;
	char share[UNIT_BYTES], above[UNIT_BYTES], parts[128];
	size_t used;

	*out = '\0';
	if (tail->calls < TAIL_CALLS || (double)tail->wall_ns < TAIL_SHARE * (double)f->wall.sum_ns)
		return out;
	used = snprintf(out, size, "slow %s (%llu calls above %s): %s",
			format_share(share, (double)tail->calls / (double)tail->of_calls),
			(unsigned long long)tail->calls,
			format_duration(above, (double)tail->above_ns),
			tail_breakdown(parts, sizeof(parts), tail));
	for (size_t i = 0; i < tail->cause_count && i < MOST_CAUSES && used < size; i++)
		if ((double)tail->causes[i].calls >= CAUSE_SHARE * (double)tail->calls)
			used += say_cause(out + used, size - used, &tail->causes[i]);
	return out;
}

static int add_function(struct table *table, const struct screen *screen,
			const struct profile_function *f)
{
	char calls[UNIT_BYTES + 1], p50[UNIT_BYTES + 1], p95[UNIT_BYTES + 1], p99[UNIT_BYTES + 1];
	char most[UNIT_BYTES], total[UNIT_BYTES], self[UNIT_BYTES], shares[128];
	char place[TEXT_PLACE_BYTES], short_place[TEXT_PLACE_BYTES], tail[1024], about[UNIT_BYTES];
	const char *file = f->file && *f->file ? f->file : "?";
	struct whole whole;
	struct table_row row = {
		.cells = {calls, function_quantile(p50, f, 0.50), function_quantile(p95, f, 0.95),
			  function_quantile(p99, f, 0.99), longest(most, &f->wall), total, self},
		.note = function_breakdown(shares, sizeof(shares), f),
		.name = f->function,
		.place = place,
		.short_place = short_place,
		.under = say_tail(tail, sizeof(tail), f),
	};

	function_whole(f, &whole);
	format_duration(total, whole.wall_ns);
	format_duration(self, whole.self_ns);
	if (!f->called)
		strcpy(calls, "-"); /* not while it was probed */
	else if (whole.quality == WHOLE_EXACT)
		snprintf(calls, sizeof(calls), "%llu", (unsigned long long)f->calls);
	else
		snprintf(calls, sizeof(calls), "%c%s", whole.quality == WHOLE_ESTIMATED ? '~' : '>',
			 format_about(about, round(whole.calls)));
	function_place(place, sizeof(place), file, f);
	function_place(short_place, sizeof(short_place), file_base(file), f);
	return text_add_named(table, screen, &row);
}

/* `uncalled`: those too that are on stacks only. */
static int put_functions(const struct screen *screen, const struct profile_function **functions,
			 size_t count, size_t top, bool uncalled)
{
	struct table *table = table__new(&function_table);
	struct text_rows rows = {.top = top};
	int err = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < count && !err; i++)
		if ((functions[i]->called || (uncalled && functions[i]->stack_inclusive_ns)) &&
		    text_rows_take(&rows))
			err = add_function(table, screen, functions[i]);
	if (!err)
		err = text_put_table(table, screen, &rows, "function");
	table__free(table);
	return err;
}

/* Functions that wait for one thing many times in each call. */
static int put_repeats(const struct screen *screen, const struct text_request *request,
		       const struct profile_function **functions, size_t count)
{
	char line[1024];
	int err = 0;

	for (size_t i = 0, shown = 0; i < count && shown < MOST_REPEATS && !err; i++) {
		if (!function_repeats(request->profile, functions[i]))
			continue;
		if (!shown++)
			fputc('\n', screen->out);
		err = text_put_line(screen, STYLE_TITLE, TEXT_INDENT, "%s",
				    repeat_line(functions[i], line, sizeof(line)));
	}
	return err;
}

/* What and whom it was for and who ended it, as far as that is known. */
static void wait_on(const struct profile_wait *w, char *out, size_t size)
{
	/* more than half of them: a few may be the file system's own business */
	bool block = w->target && w->time.count && 2 * w->block_io > w->time.count;
	bool held = w->time.sum_ns && 2 * w->held_gil_ns > w->time.sum_ns;

	snprintf(out, size, "%s%s%s%s%s%s%s", w->target ? w->target : "",
		 block ? ", block I/O" : "", w->caller.function ? ", for " : "",
		 w->caller.function ? w->caller.function : "", held ? ", holding the GIL" : "",
		 w->waker ? ", ended by " : "", w->waker ? w->waker : "");
}

static int add_wait(struct table *table, const struct screen *screen, const struct profile_wait *w)
{
	char count[UNIT_BYTES], total[UNIT_BYTES], p50[UNIT_BYTES], p95[UNIT_BYTES];
	char most[UNIT_BYTES], class[UNIT_BYTES];
	char place[TEXT_PLACE_BYTES] = "", short_place[TEXT_PLACE_BYTES] = "";
	bool known = w->function && *w->function;
	struct table_row row = {
		.cells = {class, count, format_duration(total, (double)w->time.sum_ns),
			  quantile(p50, &w->time, 0.50), quantile(p95, &w->time, 0.95),
			  longest(most, &w->time), w->syscall ? w->syscall : "-"},
		.name = known ? w->function : "(unknown)",
		.place = place,
		.short_place = short_place,
		.dim = wait_is_idle(w),
	};
	const char *file = w->file && *w->file ? w->file : "?";
	char on[TEXT_PLACE_BYTES / 2];
	const char *gap;

	if (wait_is_event_loop(w))
		snprintf(class, sizeof(class), "event loop");
	else
		snprintf(class, sizeof(class), "%s%s", wait_class_name(w->wait_class),
			 row.dim ? " idle" : "");
	snprintf(count, sizeof(count), "%llu", (unsigned long long)w->time.count);
	wait_on(w, on, sizeof(on));
	gap = *on && *on != ',' ? " " : "";
	if (known) {
		snprintf(place, sizeof(place), "%s:%u%s%s", file, w->line, gap, on);
		snprintf(short_place, sizeof(short_place), "%s:%u%s%s", file_base(file), w->line,
			 gap, on);
	} else {
		snprintf(place, sizeof(place), "%s", on);
	}
	return text_add_named(table, screen, &row);
}

static int put_waits(const struct screen *screen, const struct profile_wait **waits, size_t count,
		     size_t top, size_t top_idle)
{
	struct table *table = table__new(&wait_table);
	struct text_rows rows = {.top = top};
	size_t idle = 0;
	int err = 0;

	if (!table)
		return -ENOMEM;
	/* The idle ones are last. */
	for (size_t i = 0; i < count && !err; i++) {
		if (wait_is_idle(waits[i]) && idle++ >= top_idle)
			rows.hidden++;
		else if (text_rows_take(&rows))
			err = add_wait(table, screen, waits[i]);
	}
	if (!err)
		err = text_put_table(table, screen, &rows, "wait");
	table__free(table);
	return err;
}

static int add_callback(struct table *table, const struct screen *screen,
			const struct profile_callback *c)
{
	char count[UNIT_BYTES], total[UNIT_BYTES], most[UNIT_BYTES];
	char name[TEXT_PLACE_BYTES], place[TEXT_PLACE_BYTES] = "",
				     short_place[TEXT_PLACE_BYTES] = "";
	struct table_row row = {
		.cells = {count, format_duration(total, (double)c->sum_ns),
			  format_duration(most, (double)c->max_ns)},
		.name = name,
		.place = place,
		.short_place = short_place,
	};

	snprintf(count, sizeof(count), "%llu", (unsigned long long)c->count);
	if (c->task)
		snprintf(name, sizeof(name), "%s (task %s)", c->function ?: "?", c->task);
	else
		snprintf(name, sizeof(name), "%s", c->function ?: "?");
	if (c->file && *c->file) {
		snprintf(place, sizeof(place), "%s:%u", c->file, c->line);
		snprintf(short_place, sizeof(short_place), "%s:%u", file_base(c->file), c->line);
	}
	return text_add_named(table, screen, &row);
}

/* Those of the process `tgid`. */
static int put_callbacks(const struct screen *screen, const struct text_request *request,
			 uint32_t tgid, size_t top)
{
	struct table *table =
		table__new(request->all_callbacks ? &callback_table : &blocking_table);
	struct text_rows rows = {.top = top};
	int err = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < request->callback_count && !err; i++)
		if (request->callbacks[i]->tgid == tgid && text_rows_take(&rows))
			err = add_callback(table, screen, request->callbacks[i]);
	if (!err)
		err = text_put_table(table, screen, &rows, "callback");
	table__free(table);
	return err;
}

/* Are its calls counted? */
static bool has_calls(const struct profile_process *process)
{
	return process->probed_ns && process->calls_method &&
	       strcmp(process->calls_method, "none") != 0;
}

static int add_gc(struct table *table, const struct screen *screen, const struct profile_gc *gc)
{
	char generation[UNIT_BYTES] = "?", count[UNIT_BYTES], total[UNIT_BYTES], p50[UNIT_BYTES];
	char p95[UNIT_BYTES], most[UNIT_BYTES], name[TEXT_PLACE_BYTES];
	char place[TEXT_PLACE_BYTES] = "", short_place[TEXT_PLACE_BYTES] = "";
	bool known = gc->function && *gc->function;
	struct table_row row = {
		.cells = {generation, count, format_duration(total, (double)gc->time.sum_ns),
			  quantile(p50, &gc->time, 0.50), quantile(p95, &gc->time, 0.95),
			  longest(most, &gc->time)},
		.name = name,
		.place = place,
		.short_place = short_place,
	};

	if (gc->generation >= 0)
		snprintf(generation, sizeof(generation), "%d", gc->generation);
	snprintf(count, sizeof(count), gc->estimated ? "?" : "%llu",
		 (unsigned long long)gc->time.count);
	snprintf(name, sizeof(name), "%s%s", known ? gc->function : "(unknown)",
		 gc->time.censored ? " (going on)" : "");
	if (known) {
		snprintf(place, sizeof(place), "%s:%u", gc->file, gc->line);
		snprintf(short_place, sizeof(short_place), "%s:%u", file_base(gc->file), gc->line);
	}
	return text_add_named(table, screen, &row);
}

/* Pauses of the garbage collector in the process. */
static int put_gcs(const struct screen *screen, const struct text_request *request,
		   const struct profile_process *process, size_t top)
{
	struct table *table = table__new(&gc_table);
	struct text_rows rows = {.top = top};
	int err = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < request->gc_count && !err; i++)
		if (request->gcs[i]->tgid == process->tgid && text_rows_take(&rows))
			err = add_gc(table, screen, request->gcs[i]);
	if (!err)
		err = text_put_table(table, screen, &rows, "row");
	if (!err && process->gc_reason && *process->gc_reason)
		err = text_put_line(
			screen, STYLE_DIM, TEXT_INDENT, "Garbage collections are %s: %s",
			strcmp(process->gc_method, "samples") ? "not seen"
							      : "estimated from samples",
			process->gc_reason);
	table__free(table);
	return err;
}

int text_process(const struct screen *screen, const struct text_request *request,
		 const struct judged *judged)
{
	size_t top = request->options->top > 0 ? (size_t)request->options->top : DEFAULT_TOP;
	size_t top_idle = request->options->top > 0 ? top : DEFAULT_TOP_IDLE;
	size_t top_gils = request->options->top > 0 ? top : DEFAULT_TOP_GILS;
	uint32_t tgid = judged->process->tgid;
	size_t first_function = 0, functions = 0, first_wait = 0, waits = 0;
	int err;

	while (first_function < request->function_count &&
	       request->functions[first_function]->tgid != tgid)
		first_function++;
	while (first_function + functions < request->function_count &&
	       request->functions[first_function + functions]->tgid == tgid)
		functions++;
	while (first_wait < request->wait_count && request->waits[first_wait]->tgid != tgid)
		first_wait++;
	while (first_wait + waits < request->wait_count &&
	       request->waits[first_wait + waits]->tgid == tgid)
		waits++;
	if (request->options->function_glob && !functions && !waits)
		return TEXT_PROCESS_HIDDEN;

	fputc('\n', screen->out);
	err = put_identity(screen, judged->process);
	if (!err)
		err = put_limit(screen, &judged->limit);
	if (!err && request->options->explain)
		err = text_explain(screen, &judged->limit);
	if (!err)
		err = text_put_machine(screen, request->profile, judged);
	if (!err && !functions && !request->options->function_glob && has_calls(judged->process))
		err = text_put_line(screen, STYLE_PLAIN, TEXT_INDENT, "No call was seen.");
	if (!err)
		/* what windows did not see called runs all the same */
		err = put_functions(screen, request->functions + first_function, functions, top,
				    judged->process->windowed && has_calls(judged->process));
	if (!err && !has_calls(judged->process))
		err = text_stack_functions(screen, request->functions + first_function, functions,
					   top);
	if (!err)
		err = text_gils(screen, request, tgid, top_gils);
	if (!err)
		err = put_repeats(screen, request, request->functions + first_function, functions);
	if (!err)
		err = put_waits(screen, request->waits + first_wait, waits, top, top_idle);
	if (!err)
		err = put_callbacks(screen, request, tgid, top);
	if (!err)
		err = put_gcs(screen, request, judged->process, top);
	if (!err)
		err = text_watches(screen, request->profile, tgid);
	return err;
}
