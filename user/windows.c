/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Opening and closing the probe windows that each process's governor asks for. */
#include "windows.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "attach/governor.h"
#include "clock.h"

/* A window that stays open is accounted for so often. */
#define ACCOUNT_NS 250000000ull
/* Opening and closing them takes this share of a core at most, for all processes together. */
#define OWN_SHARE 0.01
/* To begin with, and after a quiet time, it may be so much at once. */
#define OWN_BURST_NS 50e6
/* Closing takes twice what opening does: the kernel looks at each process that runs the build. */
#define OPENED_AND_CLOSED 3
#define NS_A_SECOND 1000000000ull
/* Call probes get this part of the budget even where waits have spent all of it. */
#define LEAST_PART 0.1
/* Our programs at a hit, until they have been timed. */
#define PROGRAM_NS 400

enum window_state { WINDOW_CLOSED, WINDOW_OPEN, WINDOW_SETTLING };

struct governed {
	pid_t tgid;
	size_t build;
	uint32_t slot;
	enum window_state state;
	struct governor governor;
	uint64_t due_ns;   /* for what comes next in this state */
	uint64_t since_ns; /* what came before in this window has been accounted for */
	uint64_t hits;     /* and these */
	uint64_t end_hits; /* when it ended */
	uint64_t planned_end_ns;
};

struct windows {
	struct tracer *tracer;
	struct collector *collector;
	const struct builds *builds;
	double budget, empty_probe_ns;
	struct governed *list;
	size_t count;
	uint32_t *free_slots;
	size_t free_count;
	bool over;       /* the run is: windows that end now end at no particular time */
	double own_ns;   /* so much of our CPU time may go into opening some now */
	uint64_t own_at; /* as of then */
};

struct windows *windows__new(struct tracer *tracer, struct collector *collector,
			     const struct builds *builds, double budget, double empty_probe_ns)
{
	struct windows *windows = calloc(1, sizeof(*windows));

	if (!windows)
		return NULL;
	windows->list = calloc(MAX_PROCESSES, sizeof(*windows->list));
	windows->free_slots = calloc(MAX_PROCESSES, sizeof(*windows->free_slots));
	if (!windows->list || !windows->free_slots) {
		windows__free(windows);
		return NULL;
	}
	windows->tracer = tracer;
	windows->collector = collector;
	windows->builds = builds;
	windows->budget = budget;
	windows->empty_probe_ns = empty_probe_ns;
	for (uint32_t slot = MAX_PROCESSES - 1; slot > WINDOW_ALWAYS; slot--)
		windows->free_slots[windows->free_count++] = slot;
	windows->own_ns = OWN_BURST_NS;
	windows->own_at = monotonic_ns();
	return windows;
}

void windows__free(struct windows *windows)
{
	if (!windows)
		return;
	free(windows->list);
	free(windows->free_slots);
	free(windows);
}

static struct governed *find(const struct windows *windows, pid_t tgid)
{
	for (size_t i = 0; i < windows->count; i++)
		if (windows->list[i].tgid == tgid)
			return &windows->list[i];
	return NULL;
}

int64_t windows__add(struct windows *windows, pid_t tgid, size_t build, bool soon)
{
	struct governed *g = find(windows, tgid);
	uint64_t now = monotonic_ns();

	if (g && g->build == build)
		return g->slot;
	if (g)
		windows__remove(windows, tgid);
	if (!windows->free_count)
		return -ENOSPC;
	g = &windows->list[windows->count++];
	*g = (struct governed){.tgid = tgid, .build = build};
	g->slot = windows->free_slots[--windows->free_count];
	governor_init(&g->governor, windows->budget, (now ^ (uint64_t)tgid << 32) | 1, soon, now);
	g->due_ns = governor_due_ns(&g->governor);
	return g->slot;
}

void windows__remove(struct windows *windows, pid_t tgid)
{
	struct governed *g = find(windows, tgid);

	if (!g)
		return;
	if (g->state == WINDOW_OPEN)
		tracer__end_window(windows->tracer, g->build, tgid, g->slot);
	windows->free_slots[windows->free_count++] = g->slot;
	*g = windows->list[--windows->count];
}

void windows__others(struct windows *windows, pid_t tgid, double share)
{
	struct governed *g = find(windows, tgid);
	double left = fmax(windows->budget - share, LEAST_PART * windows->budget);

	if (g)
		governor_set_budget(&g->governor, monotonic_ns(), left);
}

/* What a hit costs its process. */
static double hit_ns(const struct windows *windows)
{
	double entry_ns, exit_ns;

	tracer__hit_costs(windows->tracer, &entry_ns, &exit_ns);
	return windows->empty_probe_ns +
	       (entry_ns > 0 && exit_ns > 0 ? (entry_ns + exit_ns) / 2 : PROGRAM_NS);
}

/* Tell the governor what the window took since it was last told, until then. */
static void account(struct windows *windows, struct governed *g, uint64_t until_ns, bool over)
{
	uint64_t hits = tracer__window(windows->tracer, g->slot).hits;
	uint64_t inside = over ? g->end_hits : hits;
	double each_ns = hit_ns(windows);
	struct governor_cost cost = {
		.probed_ns = until_ns > g->since_ns ? until_ns - g->since_ns : 0,
		.lost_ns = (double)(inside - g->hits) * each_ns,
		.closing_ns = (double)(hits - inside) * each_ns,
		.over = over,
	};

	governor_account(&g->governor, monotonic_ns(), &cost);
	g->since_ns = until_ns;
	g->hits = hits;
}

static void open_window(struct windows *windows, struct governed *g)
{
	struct governor_plan plan = governor_plan(&g->governor, monotonic_ns());
	const struct build *build = builds__get(windows->builds, g->build);
	struct probe_window window;
	int err;

	err = tracer__open_window(windows->tracer, g->build, build, g->tgid, g->slot,
				  plan.length_ns, (uint64_t)(plan.may_lose_ns / hit_ns(windows)));
	if (err) { /* it is gone, or will be heard of */
		g->due_ns = monotonic_ns() + NS_A_SECOND;
		return;
	}
	window = tracer__window(windows->tracer, g->slot);
	collector__window_opened(windows->collector, g->tgid, window.begin_ns);
	if (g->governor.always && g->governor.rate >= 0)
		collector__window_proved(windows->collector, g->tgid);
	g->state = WINDOW_OPEN;
	g->since_ns = window.begin_ns;
	g->hits = 0;
	g->planned_end_ns = window.end_ns;
	g->due_ns = g->governor.always ? window.begin_ns + ACCOUNT_NS : window.end_ns;
}

static void end_window(struct windows *windows, struct governed *g)
{
	uint64_t end;

	g->end_hits = tracer__window(windows->tracer, g->slot).hits;
	tracer__end_window(windows->tracer, g->build, g->tgid, g->slot);
	end = tracer__window(windows->tracer, g->slot).end_ns;
	collector__window_ended(windows->collector, g->tgid,
				end < g->planned_end_ns && !windows->over);
	g->state = WINDOW_SETTLING;
	g->due_ns = monotonic_ns() + WINDOW_SETTLES_NS;
}

static void settle_window(struct windows *windows, struct governed *g)
{
	struct probe_window window;

	tracer__settle_window(windows->tracer, g->tgid, g->slot, collector__censored,
			      windows->collector);
	tracer__poll(windows->tracer, collector__record, windows->collector, 0);
	window = tracer__window(windows->tracer, g->slot);
	account(windows, g, window.end_ns, true);
	collector__window_settled(windows->collector, g->tgid, window.end_ns, window.hits);
	g->state = WINDOW_CLOSED;
	g->due_ns = governor_due_ns(&g->governor);
}

/* A window that stays open as long as it costs little. */
static void go_on(struct windows *windows, struct governed *g)
{
	uint64_t now = monotonic_ns();

	account(windows, g, now, false);
	if (!g->governor.always) {
		end_window(windows, g);
		return;
	}
	collector__window_proved(windows->collector, g->tgid);
	tracer__allow_hits(windows->tracer, g->slot,
			   (uint64_t)(governor_allowance_ns(&g->governor, now) / hit_ns(windows)));
	g->due_ns = now + ACCOUNT_NS;
}

static bool may_open(struct windows *windows)
{
	uint64_t now = monotonic_ns();

	windows->own_ns += (double)(now - windows->own_at) * OWN_SHARE;
	windows->own_at = now;
	if (windows->own_ns > OWN_BURST_NS)
		windows->own_ns = OWN_BURST_NS;
	return windows->own_ns > 0;
}

/* When it may again. */
static uint64_t may_open_ns(const struct windows *windows)
{
	return windows->own_ns > 0 ? 0
				   : windows->own_at + (uint64_t)(1 - windows->own_ns / OWN_SHARE);
}

static void step(struct windows *windows, struct governed *g, uint64_t now)
{
	if (g->state == WINDOW_OPEN && tracer__window(windows->tracer, g->slot).end_ns <= now)
		end_window(windows, g);
	else if (g->due_ns > now)
		return;
	else if (g->state == WINDOW_OPEN)
		go_on(windows, g);
	else if (g->state == WINDOW_SETTLING)
		settle_window(windows, g);
}

/* The closed one that has been due for longest; NULL: none is. */
static struct governed *next_to_open(struct windows *windows, uint64_t now)
{
	struct governed *next = NULL;

	for (size_t i = 0; i < windows->count; i++) {
		struct governed *g = &windows->list[i];

		if (g->state == WINDOW_CLOSED && g->due_ns <= now &&
		    (!next || g->due_ns < next->due_ns))
			next = g;
	}
	return next;
}

void windows__step(struct windows *windows)
{
	struct governed *g;
	uint64_t before;

	for (size_t i = 0; i < windows->count; i++)
		step(windows, &windows->list[i], monotonic_ns());
	while (may_open(windows) && (g = next_to_open(windows, monotonic_ns()))) {
		before = own_thread_cpu_ns();
		open_window(windows, g);
		windows->own_ns -= (double)(own_thread_cpu_ns() - before) * OPENED_AND_CLOSED;
	}
}

uint64_t windows__due_ns(const struct windows *windows)
{
	uint64_t due = UINT64_MAX, opens = may_open_ns(windows);

	for (size_t i = 0; i < windows->count; i++) {
		const struct governed *g = &windows->list[i];
		uint64_t at = g->state == WINDOW_CLOSED && g->due_ns < opens ? opens : g->due_ns;

		if (at < due)
			due = at;
	}
	return due;
}

void windows__end(struct windows *windows)
{
	struct timespec wait = {.tv_nsec = WINDOW_SETTLES_NS};

	windows->over = true;
	for (size_t i = 0; i < windows->count; i++)
		if (windows->list[i].state == WINDOW_OPEN)
			end_window(windows, &windows->list[i]);
	nanosleep(&wait, NULL);
	for (size_t i = 0; i < windows->count; i++)
		if (windows->list[i].state == WINDOW_SETTLING)
			settle_window(windows, &windows->list[i]);
}
