/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* See watches.h. */
#include "watches.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "discover/bytecode.h"
#include "judge/glob.h"

#define LOOK_NS 20000000ull /* so often it is looked at what they cost, and who waits */
#define TRIED_AT_ONCE 32
#define TURN_NS 10000000000ull /* where there are more than slots, each is watched so long */
#define HITS_A_CALL 2
#define PROGRAM_NS 2000.0 /* of ours, at a hit */
#define AHEAD_SECONDS 1.0 /* of the budget may be spent at once */
#define SAVED_SECONDS 5.0 /* and kept for later, at the most */
#define REASON_BYTES 160
#define MAX_WATCHED 65536

enum watched_state {
	WATCHED_WAITING, /* for its turn */
	WATCHED_ON,
	WATCHED_NOT, /* and never will be: `reason` */
};

struct watched {
	pid_t tgid;
	pid_t group; /* the process whose watchpoints these are: an inherited one's forebear */
	uint64_t code;
	uint32_t check;
	uint32_t number; /* of the watch in its group */
	char *function, *file;
	uint32_t line;
	enum watched_state state;
	bool gone; /* its process is */
	char reason[REASON_BYTES];
	struct function_watch watch;
	size_t returns, returns_watched;
	uint64_t since_ns; /* it has this state */
	uint64_t entries, looked_ns;
	double tokens; /* calls it may have before the budget is spent */
	double share;
};

struct watches {
	struct tracer *tracer;
	struct collector *collector;
	const struct builds *builds;
	char *const *globs;
	size_t glob_count;
	bool *glob_seen;
	double budget;
	struct watched **all;
	size_t count;
	uint32_t numbers;
	size_t next; /* who waits is tried from here on */
	uint64_t looked_ns;
};

static void seen(void *arg, pid_t tgid, const struct function_name *name,
		 const struct function_key *key);

struct watches *watches__new(struct tracer *tracer, struct collector *collector,
			     const struct builds *builds, char *const *globs, size_t glob_count,
			     double budget)
{
	struct watches *watches = calloc(1, sizeof(*watches));

	if (!watches)
		return NULL;
	*watches = (struct watches){
		.tracer = tracer,
		.collector = collector,
		.builds = builds,
		.globs = globs,
		.glob_count = glob_count,
		.glob_seen = calloc(glob_count + 1, sizeof(bool)),
		.budget = budget,
	};
	if (!watches->glob_seen) {
		free(watches);
		return NULL;
	}
	collector__on_function(collector, seen, watches);
	return watches;
}

static void watched_free(struct watched *w)
{
	free(w->function);
	free(w->file);
	free(w);
}

void watches__free(struct watches *watches)
{
	if (!watches)
		return;
	for (size_t i = 0; i < watches->count; i++)
		watched_free(watches->all[i]);
	free(watches->all);
	free(watches->glob_seen);
	free(watches);
}

static struct watched *find(const struct watches *watches, pid_t tgid, uint64_t code)
{
	for (size_t i = 0; i < watches->count; i++)
		if (watches->all[i]->tgid == tgid && watches->all[i]->code == code &&
		    !watches->all[i]->gone)
			return watches->all[i];
	return NULL;
}

/* One more, or NULL. */
static struct watched *add(struct watches *watches, pid_t tgid, const char *function,
			   const char *file, uint32_t line)
{
	struct watched **all, *w;

	if (watches->count >= MAX_WATCHED)
		return NULL;
	all = reallocarray(watches->all, watches->count + 1, sizeof(struct watched *));
	if (!all)
		return NULL;
	watches->all = all;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->tgid = w->group = tgid;
	w->function = strdup(function);
	w->file = strdup(file);
	w->line = line;
	w->since_ns = monotonic_ns();
	if (!w->function || !w->file) {
		watched_free(w);
		return NULL;
	}
	all[watches->count++] = w;
	return w;
}

static void tell(struct watches *watches, const struct watched *w, bool on, uint64_t since_ns)
{
	const struct watching_note note = {
		.function = w->function,
		.file = w->file,
		.line = w->line,
		.on = on,
		.suspends = w->watch.points[0].flags & WATCH_GENERATOR,
	};

	collector__watched(watches->collector, w->tgid, &note, since_ns);
}

static void refuse(struct watched *w, const char *reason)
{
	w->state = WATCHED_NOT;
	w->since_ns = monotonic_ns();
	snprintf(w->reason, sizeof(w->reason), "%s", reason);
}

/* Its group's slots that are taken by us. */
static size_t slots_taken(const struct watches *watches, pid_t tgid)
{
	size_t taken = 0;

	for (size_t i = 0; i < watches->count; i++)
		if (watches->all[i]->tgid == tgid && watches->all[i]->state == WATCHED_ON)
			taken += watches->all[i]->watch.count;
	return taken;
}

static void add_point(struct watched *w, const struct code_places *places, enum watch_kind kind,
		      uint32_t at)
{
	struct watch_point *point = &w->watch.points[w->watch.count];

	*point = (struct watch_point){
		.code = w->code,
		.units = places->units,
		.check = w->check,
		.at = at,
		.kind = kind,
		.hits_max = UINT64_MAX,
		.since_ns = monotonic_ns(),
	};
	memcpy(point->handled, places->handled, sizeof(point->handled));
	w->watch.addresses[w->watch.count++] =
		kind == WATCH_RAISE ? places->raised : places->units + at;
}

/*
 * Its entry, exceptions, and as many of its returns as there is room for, the last first.  (Where
 * calls are seen by tracepoints, these read at each call what is read when an exception passes:
 * then only the return that follows shows that there was none.)
 */
static void plan(struct watched *w, const struct build *build, const struct code_places *places,
		 size_t slots)
{
	uint16_t flags = places->generator ? WATCH_GENERATOR : 0;
	bool raises = places->return_count + 2 <= slots || build->method != CALLS_USDT;

	w->watch.count = w->returns_watched = 0;
	w->returns = places->return_count;
	add_point(w, places, WATCH_ENTRY, places->entry);
	if (raises && (slots > 2 || !places->return_count))
		add_point(w, places, WATCH_RAISE, 0);
	for (size_t i = places->return_count; i-- > 0 && w->watch.count < slots;) {
		add_point(w, places, WATCH_RETURN, places->returns[i]);
		w->returns_watched++;
	}
	if (w->watch.count == w->returns + 2)
		flags |= WATCH_ALL_ENDS;
	for (size_t i = 0; i < w->watch.count; i++)
		w->watch.points[i].flags = flags;
}

/* The group of watchpoints that the process has or is to have; 0: it is not traced. */
static pid_t group_of(struct watches *watches, pid_t tgid)
{
	struct process_entry entry;

	if (!tracer__has_process(watches->tracer, tgid, &entry) || !entry.runtime)
		return 0;
	if (!entry.watch_group) {
		entry.watch_group = tgid;
		tracer__update_process(watches->tracer, tgid, &entry);
	}
	return (pid_t)entry.watch_group;
}

static double call_ns(const struct watches *watches)
{
	return HITS_A_CALL * (tracer__watch_ns(watches->tracer) + PROGRAM_NS);
}

/* Calls a second it may have. */
static double allowed(const struct watches *watches, const struct watched *w)
{
	size_t others = 0;

	for (size_t i = 0; i < watches->count; i++)
		others += watches->all[i]->tgid == w->tgid && watches->all[i]->state == WATCHED_ON;
	return watches->budget * 1e9 / call_ns(watches) / (double)(others ?: 1);
}

static void allow(struct watches *watches, struct watched *w)
{
	if (isinf(watches->budget))
		return;
	tracer__allow_entries(watches->tracer, w->group, &w->watch,
			      w->entries + (uint64_t)(w->tokens > 0 ? w->tokens : 0));
}

/* 0, -EAGAIN: no slot is free, or it never will be watched and the reason is in it. */
static int watch(struct watches *watches, struct watched *w)
{
	const struct process *process = collector__process(watches->collector, w->tgid);
	const struct build *build = process ? builds__get(watches->builds, process->build) : NULL;
	size_t taken = slots_taken(watches, w->tgid);
	struct code_places places;
	const char *why = NULL;
	int err;

	if (taken + 2 > WATCH_ADDRESSES_MAX)
		return -EAGAIN;
	if (!build || !(w->group = group_of(watches, w->tgid))) {
		refuse(w, "its process is not traced so far");
		return -ESRCH;
	}
	err = code_places_read(w->tgid, build, w->code, &places, &why);
	if (err) {
		refuse(w, why ?: "it is gone");
		return err;
	}
	/* fewer than are wanted, where a debugger or the collector's flag has some */
	for (size_t slots = WATCH_ADDRESSES_MAX - taken;; slots = w->watch.count - 1) {
		if (slots < 2 && taken)
			return -EAGAIN;
		if (slots < 2)
			break; /* with the last -ENOSPC */
		if (taken && slots < places.return_count + 2 && slots < WATCH_ADDRESSES_MAX)
			return -EAGAIN;
		plan(w, build, &places, slots);
		w->number = ++watches->numbers;
		err = tracer__watch_function(watches->tracer, w->tgid, w->group, w->number,
					     &w->watch);
		if (err != -ENOSPC)
			break;
	}
	if (err) {
		refuse(w, watch_refusal(err));
		return err;
	}
	w->state = WATCHED_ON;
	w->since_ns = w->looked_ns = monotonic_ns();
	w->entries = 0;
	w->tokens = allowed(watches, w) * AHEAD_SECONDS;
	allow(watches, w);
	tell(watches, w, true, w->since_ns);
	return 0;
}

/* Its watchpoints go, in all processes that have them. */
static void unwatch(struct watches *watches, const struct watched *which, enum watched_state state,
		    const char *reason)
{
	pid_t group = which->group;
	uint32_t number = which->number;

	for (size_t i = 0; i < watches->count; i++) {
		struct watched *w = watches->all[i];

		if (w->group != group || w->number != number || w->state != WATCHED_ON)
			continue;
		tracer__unwatch_function(watches->tracer, w->tgid, w->group, w->number, &w->watch);
		tell(watches, w, false, monotonic_ns());
		w->state = state;
		w->share = 0;
		w->since_ns = monotonic_ns();
		snprintf(w->reason, sizeof(w->reason), "%s", reason);
	}
}

/* Its code object is gone: there is nothing to say of it. */
static void drop(struct watches *watches, struct watched *w)
{
	size_t at = 0;

	if (w->state == WATCHED_ON)
		unwatch(watches, w, WATCHED_NOT, "its code object is gone");
	while (watches->all[at] != w)
		at++;
	watches->all[at] = watches->all[--watches->count];
	watched_free(w);
}

static void seen(void *arg, pid_t tgid, const struct function_name *name,
		 const struct function_key *key)
{
	struct watches *watches = arg;
	bool matches = false;
	struct watched *w;

	for (size_t i = 0; i < watches->glob_count; i++)
		if (glob_matches(watches->globs[i], name->function, name->file, name->line))
			matches = watches->glob_seen[i] = true;
	if (!matches)
		return;
	w = find(watches, tgid, key->code);
	if (w && w->check == key->check)
		return;
	if (w) /* another code object is at its address */
		drop(watches, w);
	w = add(watches, tgid, name->function, name->file, name->line);
	if (!w)
		return;
	w->code = key->code;
	w->check = key->check;
}

/* What it cost lately: too much, and it goes. */
static void look_at(struct watches *watches, struct watched *w, uint64_t now)
{
	uint64_t entries = tracer__watch_entries(watches->tracer, w->group, &w->watch);
	double seconds = ((double)now - (double)w->looked_ns) / 1e9, rate = allowed(watches, w);
	double made = (double)(entries - w->entries);
	char reason[REASON_BYTES];

	if (seconds <= 0)
		return;
	w->share = made / seconds * call_ns(watches) / 1e9;
	w->tokens = fmin(w->tokens + rate * seconds, rate * SAVED_SECONDS) - made;
	w->entries = entries;
	w->looked_ns = now;
	if (w->tokens >= 1 || isinf(watches->budget)) {
		allow(watches, w);
		return;
	}
	snprintf(reason, sizeof(reason),
		 "it is called too often: %.0f times a second would cost its process more than "
		 "%.3g %% of its time",
		 made / seconds, 100 * watches->budget);
	unwatch(watches, w, WATCHED_NOT, reason);
}

/* One that waits for slots of its process gets those of the one that had them longest. */
static void take_turns(struct watches *watches, const struct watched *waiting, uint64_t now)
{
	struct watched *longest = NULL;

	for (size_t i = 0; i < watches->count; i++) {
		struct watched *w = watches->all[i];

		if (w->tgid == waiting->tgid && w->state == WATCHED_ON &&
		    now >= w->since_ns + TURN_NS && (!longest || w->since_ns < longest->since_ns))
			longest = w;
	}
	if (longest)
		unwatch(watches, longest, WATCHED_WAITING, "others have their turn");
}

/* Those that wait, a few at a time: there may be thousands. */
static void try_waiting(struct watches *watches, uint64_t now)
{
	size_t left = watches->count;

	for (unsigned int tried = 0; left-- > 0 && tried < TRIED_AT_ONCE;) {
		struct watched *w = watches->all[watches->next++ % watches->count];

		if (w->gone || w->state != WATCHED_WAITING)
			continue;
		tried++;
		if (watch(watches, w) == -EAGAIN)
			take_turns(watches, w, now);
	}
}

void watches__step(struct watches *watches)
{
	uint64_t now = monotonic_ns();

	if (now - watches->looked_ns < LOOK_NS)
		return;
	watches->looked_ns = now;
	try_waiting(watches, now);
	for (size_t i = 0; i < watches->count; i++) {
		struct watched *w = watches->all[i];

		if (w->state == WATCHED_ON && w->group == w->tgid)
			look_at(watches, w, now);
	}
}

void watches__forked(struct watches *watches, pid_t parent, pid_t child, uint64_t forked_ns)
{
	size_t count = watches->count;
	struct process_entry entry;

	if (!tracer__has_process(watches->tracer, child, &entry))
		return;
	for (size_t i = 0; i < count; i++) {
		struct watched *of = watches->all[i], *w;

		if (of->tgid != parent || of->state != WATCHED_ON || of->gone ||
		    (uint32_t)of->group != entry.watch_group || find(watches, child, of->code) ||
		    !tracer__watch_inherited(watches->tracer, parent, child, of->number, forked_ns))
			continue;
		w = add(watches, child, of->function, of->file, of->line);
		if (!w)
			return;
		w->code = of->code;
		w->check = of->check;
		w->group = of->group;
		w->number = of->number;
		w->watch = of->watch;
		w->returns = of->returns;
		w->returns_watched = of->returns_watched;
		w->state = WATCHED_ON;
		w->looked_ns = w->since_ns;
		tell(watches, w, true, forked_ns);
	}
}

/* Does a living process have this watch? */
static bool is_had(const struct watches *watches, const struct watched *w)
{
	for (size_t i = 0; i < watches->count; i++)
		if (watches->all[i]->group == w->group && watches->all[i]->number == w->number &&
		    watches->all[i]->state == WATCHED_ON && !watches->all[i]->gone)
			return true;
	return false;
}

void watches__ended(struct watches *watches, pid_t tgid)
{
	for (size_t i = 0; i < watches->count; i++) {
		struct watched *w = watches->all[i];

		if (w->tgid != tgid || w->gone)
			continue;
		w->gone = true;
		if (w->state != WATCHED_ON)
			continue;
		tell(watches, w, false, monotonic_ns());
		if (is_had(watches, w))
			tracer__leave_watch(watches->tracer, tgid, w->number);
		else
			tracer__unwatch_function(watches->tracer, tgid, w->group, w->number,
						 &w->watch);
		w->share = 0;
	}
}

double watches__share(const struct watches *watches, pid_t tgid)
{
	double share = 0;

	for (size_t i = 0; i < watches->count; i++)
		if (watches->all[i]->tgid == tgid && watches->all[i]->state == WATCHED_ON)
			share += watches->all[i]->share;
	return share;
}

/* Those of processes that have ended have been told now. */
static void drop_gone(struct watches *watches)
{
	size_t kept = 0;

	for (size_t i = 0; i < watches->count; i++)
		if (watches->all[i]->gone)
			watched_free(watches->all[i]);
		else
			watches->all[kept++] = watches->all[i];
	watches->count = kept;
}

int watches__profile(struct watches *watches, struct profile *profile, uint64_t now_ns)
{
	for (size_t i = 0; i < watches->count; i++) {
		const struct watched *w = watches->all[i];
		struct profile_watch *out = profile__add_watch(profile);

		if (!out)
			return -ENOMEM;
		out->tgid = w->tgid;
		out->function = strdup(w->function);
		out->file = strdup(w->file);
		out->line = w->line;
		out->watched = w->state == WATCHED_ON && !w->gone;
		out->reason = strdup(w->state == WATCHED_ON && w->gone ? "its process has ended"
				     : w->state == WATCHED_WAITING && !w->reason[0]
					     ? "its turn has not come"
					     : w->reason);
		out->since_ns = out->watched && now_ns > w->since_ns ? now_ns - w->since_ns : 0;
		out->returns = w->returns;
		out->returns_watched = w->returns_watched;
	}
	for (size_t i = 0; i < watches->glob_count; i++) {
		struct profile_watch *out;

		if (watches->glob_seen[i])
			continue;
		out = profile__add_watch(profile);
		if (!out)
			return -ENOMEM;
		out->glob = strdup(watches->globs[i]);
		out->reason = strdup("no function of that name was seen so far");
	}
	drop_gone(watches);
	return 0;
}
