/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Taking processes in and letting them go. */
#include "session_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attach/watch.h"
#include "discover/gc_flag.h"
#include "discover/jit.h"
#include "discover/procfs.h"
#include "discover/threads.h"
#include "clock.h"
#include "scope.h"

/* When to look again at a process whose libpython is not mapped yet. */
static const uint64_t later_ms[] = {2, 5, 10, 20, 50, 100, 200, 500, 1000};
#define RESYNC_NS 1000000000ull
/* Counters of processes that have ended are taken up so often; much goes through them all. */
#define ENDED_NS 200000000ull
/* And what the ring tells of one has been read by then. */
#define ENDED_SETTLED_NS 500000000ull
#define LATER_TRIES (sizeof(later_ms) / sizeof(*later_ms))

struct seeding {
	struct session *session;
	pid_t tgid;
};

static void seed_thread(void *arg, uint64_t thread_id, uint64_t tstate)
{
	const struct seeding *seeding = arg;

	tracer__add_thread(seeding->session->tracer, seeding->tgid, thread_id, tstate);
}

/* False if that was often enough, or there is no memory for it. */
static bool look_later(struct session *session, struct later later)
{
	struct later *grown;

	if (later.tries >= LATER_TRIES)
		return false;
	grown = reallocarray(session->later, session->later_count + 1, sizeof(*grown));
	if (!grown)
		return false;
	later.due_ns = monotonic_ns() + later_ms[later.tries] * 1000000;
	session->later = grown;
	session->later[session->later_count++] = later;
	return true;
}

/*
 * Watch the flag of its collector.  Returns 0 or a negative errno with a reason
 * (GC_REASON_BYTES).
 */
static int watch_gc(struct session *session, const struct process *process, struct later later,
		    char *reason)
{
	const struct build *build = builds__get(session->builds, process->build);
	uint64_t address;
	int err = gc_flag_address(build, process, &address);

	if (session->watches) {
		snprintf(reason, GC_REASON_BYTES, "--watch is to have the watchpoints");
		return -ENOSPC;
	}
	if (!err) {
		err = tracer__watch_gc(session->tracer, process->tgid, address);
		if (err)
			snprintf(reason, GC_REASON_BYTES, "%s", watch_refusal(err));
	} else if (err == -EAGAIN) {
		later.tries++;
		snprintf(reason, GC_REASON_BYTES, "its interpreter is not up%s",
			 look_later(session, later) ? " yet" : "");
	} else {
		snprintf(reason, GC_REASON_BYTES, "its memory cannot be read: %s", strerror(-err));
	}
	return err;
}

/*
 * See its garbage collections, whether or not its calls are probed: by tracepoints, or else by
 * a watchpoint, for which `runtime` must be known.
 */
static void see_gc(struct session *session, const struct process *process, struct later later)
{
	const struct build *build = builds__get(session->builds, process->build);
	enum gc_method method = GC_UNKNOWN;
	char reason[GC_REASON_BYTES] = "";
	int err;

	later.tgid = process->tgid;
	later.gc = true;
	tracer__unwatch_gc(session->tracer, process->tgid);
	if (build->gc_site_count) {
		err = tracer__probe_gc(
			session->tracer, process->build, build,
			session__linked_tgid(session, process->build, process->tgid));
		if (err)
			snprintf(reason, sizeof(reason), "its tracepoints cannot be probed: %s",
				 strerror(-err));
		else
			method = GC_USDT;
	} else if (process->kind != PYTHON_YES) {
		snprintf(reason, sizeof(reason), "it had ended before it could be watched");
	} else if (!build->layout_known || !process->runtime) {
		snprintf(reason, sizeof(reason),
			 "it has no tracepoints, and its layout is unknown");
	} else {
		err = watch_gc(session, process, later, reason);
		if (!err)
			method = GC_WATCHPOINT;
		else if (session->options->samples_hz && err != -ESRCH)
			method = GC_SAMPLES;
	}
	collector__gc_method(session->collector, process->tgid, method, reason);
}

/* The one after which all there is to know of a process that was young is known. */
static struct later second_look(pid_t tgid)
{
	return (struct later){.tgid = tgid, .verify = true, .tries = LATER_TRIES - 1};
}

/*
 * Does the layout hold in this process?  Once it has in one it does in all of the
 * build.  In a process that only begins it cannot be told yet: it is believed and
 * looked at again.
 */
static bool layout_holds(struct session *session, const struct process *process, char *reason)
{
	int err;

	if (session->verified[process->build]) {
		if (session->started && builds__get(session->builds, process->build)->jit)
			look_later(session, second_look(process->tgid));
		return true;
	}
	err = process_verify(session->builds, process, reason);
	if (!err)
		session->verified[process->build] = 1;
	if (!err || (err == -EPROTO && !session->started))
		return !err;
	reason[0] = '\0';
	look_later(session, second_look(process->tgid));
	return true;
}

int session_take(struct session *session, const struct process *process)
{
	const struct build *build = builds__get(session->builds, process->build);
	struct process_entry entry = {
		.runtime = process->runtime,
		.since = monotonic_ns(),
		.build = process->build,
		.flags = PROCESS_TRACED | PROCESS_FOLLOW,
	};
	struct seeding seeding = {.session = session, .tgid = process->tgid};
	struct process taken = *process;
	bool calls =
		session->options->calls && build->method != CALLS_NONE && !process->calls_refused;
	int err;

	if (build->layout_known) {
		if (!layout_holds(session, process, taken.reason)) {
			entry.runtime = 0; /* nothing in it can be believed but its waits */
			taken.calls_refused = true;
			calls = false;
		}
		err = tracer__add_build(session->tracer, process->build, build);
		if (err)
			return err;
	} else {
		entry.runtime = 0;
		calls = false;
	}
	/* not before all its probes are there: hits of some sites alone would mislead */
	if (calls && !session->windows &&
	    tracer__probed(session->tracer, process->build, process->tgid))
		entry.flags |= PROCESS_CALLS;
	err = collector__add_process(session->collector, &taken, entry.since);
	if (!err)
		err = tracer__add_process(session->tracer, process->tgid, &entry);
	if (err)
		return err;
	session->taken++;
	if (entry.runtime)
		process_threads(process->tgid, &build->layout, process->runtime, seed_thread,
				&seeding);
	taken.runtime = entry.runtime;
	see_gc(session, &taken, (struct later){0});
	if (calls)
		session__probe(session, process->build, process->tgid,
			       !session->started || session->options->child);
	if (session->windows)
		windows__step(session->windows); /* the first opens now: a command is held for it */
	return 0;
}

int session_consider(struct session *session, pid_t tgid, bool surely)
{
	struct process process;
	int err = process_inspect(session->builds, tgid, &process);

	if (err)
		return err;
	if (!process.mapped) /* nobody can tell any more what it was */
		return -ESRCH;
	if (!surely && !scope_wants(session->options, &process)) {
		if (process.kind == PYTHON_YES)
			session_stranger(session, &process);
		return CONSIDERED_OTHER;
	}
	if (process.kind == PYTHON_LATER)
		return CONSIDERED_LATER;
	if (process.kind != PYTHON_YES)
		return CONSIDERED_OTHER;
	err = session_take(session, &process);
	return err ?: CONSIDERED_TAKEN;
}

static void free_slot(void *arg, uint32_t place)
{
	tracer__free_slot(arg, place);
}

void session_drain(struct session *session, enum ring_state ring)
{
	collector__drain(session->collector, ring, free_slot, session->tracer);
}

/* Take up the last of processes that have ended. */
static void take_up_ended(struct session *session, uint64_t now)
{
	session->ended = false;
	session->ended_ns = now;
	session_drain(session, RING_UNREAD);
	collector__fold_ended(session->collector, now - ENDED_SETTLED_NS);
}

void session_take_up_ended(struct session *session)
{
	uint64_t now = monotonic_ns();

	if (session->ended && now - session->ended_ns >= ENDED_NS)
		take_up_ended(session, now);
}

/* It ended, or became something else, then. */
static void let_go(struct session *session, pid_t tgid, uint64_t end_ns)
{
	if (!collector__knows(session->collector, tgid))
		return;
	collector__end_process(session->collector, tgid, end_ns);
	tracer__callbacks(session->tracer, tgid, collector__callback, session->collector);
	tracer__gils(session->tracer, tgid, monotonic_ns(), collector__gil, session->collector);
	session->ended = true;
	if (session->watches)
		watches__ended(session->watches, tgid);
	if (session->windows)
		windows__remove(session->windows, tgid);
	tracer__unprobe_process(session->tracer, tgid);
	tracer__forget_process(session->tracer, tgid);
}

/* Go on with its waits only. */
static void refuse_calls(struct session *session, const struct process *process)
{
	struct process_entry entry;

	collector__update_process(session->collector, process);
	collector__probed(session->collector, process->tgid, false, monotonic_ns());
	collector__governed(session->collector, process->tgid, false);
	if (session->windows)
		windows__remove(session->windows, process->tgid);
	if (!tracer__has_process(session->tracer, process->tgid, &entry))
		return;
	entry.flags &= ~(unsigned int)PROCESS_CALLS;
	tracer__update_process(session->tracer, process->tgid, &entry);
}

/*
 * Its layout does not hold: of what was read of it nothing can be believed, and nothing more
 * is read.  Its waits and samples go on without.
 */
static void disbelieve(struct session *session, struct process *process)
{
	struct process_entry entry;

	process->calls_refused = true;
	process->runtime = 0;
	refuse_calls(session, process);
	tracer__unprobe(session->tracer, process->build, process->tgid);
	if (tracer__has_process(session->tracer, process->tgid, &entry)) {
		entry.runtime = 0;
		tracer__update_process(session->tracer, process->tgid, &entry);
	}
	see_gc(session, process, (struct later){0});
}

/* A second look at a process that was too young for the first: now it must prove right. */
static void verify_again(struct session *session, pid_t tgid)
{
	struct process process;
	int err;

	if (!collector__knows(session->collector, tgid) ||
	    process_inspect(session->builds, tgid, &process) || process.kind != PYTHON_YES)
		return;
	if (process.calls_refused)
		refuse_calls(session, &process);
	if (session->verified[process.build])
		return;
	err = process_verify(session->builds, &process, process.reason);
	if (!err)
		session->verified[process.build] = 1;
	else if (err == -EPROTO)
		disbelieve(session, &process);
	else if (err == -EAGAIN) /* it is not up yet */
		look_later(session, second_look(tgid));
}

/* Its interpreter was not up: perhaps it is now. */
static void see_gc_again(struct session *session, struct later later)
{
	struct process process;
	struct process_entry entry;

	if (!collector__knows(session->collector, later.tgid) ||
	    !tracer__has_process(session->tracer, later.tgid, &entry) || !entry.runtime ||
	    process_inspect(session->builds, later.tgid, &process) || process.kind != PYTHON_YES)
		return;
	see_gc(session, &process, later);
}

/*
 * After an exec, or while its libpython is looked for since one.  Its links outlast the exec:
 * they are the task's, and good for the same build.
 */
static void look_at_exec(struct session *session, struct later later)
{
	struct process_entry before = {0}, after = {0};
	pid_t tgid = later.tgid;
	bool known = collector__knows(session->collector, tgid);
	bool had = tracer__has_process(session->tracer, tgid, &before);
	int considered = session_consider(session, tgid, later.surely);

	if (considered == CONSIDERED_LATER || (considered < 0 && considered != -ESRCH && !known)) {
		later.tries++;
		if (look_later(session, later) || !known)
			return;
	}
	if (considered == CONSIDERED_TAKEN) {
		bool same = had && tracer__has_process(session->tracer, tgid, &after) &&
			    after.build == before.build;

		if (had && !same)
			tracer__unprobe(session->tracer, before.build, tgid);
		if (later.tries && !same && !session->everything && !session->windows)
			session->losses[LOSS_FORK_GAP]++; /* it ran before it was found */
	} else if (known && considered >= 0) {
		tracer__remove_process(session->tracer, tgid);
		let_go(session, tgid, later.tries ? monotonic_ns() : later.exec_ns);
		/* at once: what it is now may have functions where it had some */
		take_up_ended(session, monotonic_ns());
		collector__replaced(session->collector, tgid);
	} else if (known) { /* and what it became is gone */
		collector__replaced(session->collector, tgid);
	}
}

void session_look_again(struct session *session)
{
	uint64_t now = monotonic_ns();

	for (size_t i = session->later_count; i-- > 0;) {
		struct later later = session->later[i];

		if (later.due_ns > now)
			continue;
		session->later[i] = session->later[--session->later_count];
		if (later.gc)
			see_gc_again(session, later);
		else if (later.verify)
			verify_again(session, later.tgid);
		else
			look_at_exec(session, later);
	}
}

uint64_t session_due_ns(const struct session *session)
{
	uint64_t due = session->windows ? windows__due_ns(session->windows) : UINT64_MAX;

	for (size_t i = 0; i < session->later_count; i++)
		if (session->later[i].due_ns < due)
			due = session->later[i].due_ns;
	return due;
}

/* It may have gone on since: to another exec, or to its end. */
static void on_exec(struct session *session, const struct record_task *record)
{
	bool known = collector__knows(session->collector, record->tgid);

	/* the command of -c, held there: who holds it takes it in */
	if (session->options->child && procfs_tracer(record->tgid) == getpid())
		return;
	tracer__unwatch_gc(session->tracer, record->tgid);
	if (session->watches)
		watches__ended(session->watches, record->tgid);
	look_at_exec(session, (struct later){
				      .tgid = record->tgid,
				      .exec_ns = record->ns,
				      .surely = known && !session->options->all_python,
			      });
}

/* A forked child has inherited its parent's watchpoint. */
static void see_gc_of_child(struct session *session, const struct process *process,
			    const struct record_task *record)
{
	const struct build *build = builds__get(session->builds, process->build);

	if (!build->gc_site_count &&
	    tracer__inherit_gc(session->tracer, record->parent, record->tgid, record->ns))
		collector__gc_method(session->collector, record->tgid, GC_WATCHPOINT, "");
	else
		see_gc(session, process, (struct later){0});
}

/* Where its parent's layout did not hold, the child's does not either. */
static void inherit_doubt(struct session *session, struct process *child)
{
	struct process_entry entry;

	if (child->kind != PYTHON_YES ||
	    !builds__get(session->builds, child->build)->layout_known ||
	    !tracer__has_process(session->tracer, child->tgid, &entry) || entry.runtime)
		return;
	snprintf(child->reason, sizeof(child->reason),
		 "its parent's memory does not fit the layout");
	child->calls_refused = true;
	child->runtime = 0;
}

/* The kernel side has taken the child in already, as a copy of its parent. */
static void on_fork(struct session *session, const struct record_task *record)
{
	const struct process *parent = collector__process(session->collector, record->parent);
	struct process process;
	const struct build *build;

	if (parent) { /* it is as its parent until an exec, of which there is a record, too */
		process = *parent;
		process.parent = record->parent;
		process.threads = 1;
	} else if (process_inspect(session->builds, record->tgid, &process)) {
		memset(&process, 0, sizeof(process)); /* gone already: its numbers still count */
		memcpy(process.comm, record->comm, sizeof(process.comm));
		process.comm[sizeof(process.comm) - 1] = '\0';
		process.kind = PYTHON_NO;
	}
	process.tgid = record->tgid;
	if (process.kind != PYTHON_YES) { /* gone, or a zombie: it was what its parent is */
		process.build = record->build;
		jit_inherit(builds__get(session->builds, record->build),
			    session->options->calls && !(record->flags & PROCESS_CALLS), &process);
	}
	if (session->options->all_python && !parent && process.kind == PYTHON_YES &&
	    !scope_wants(session->options, &process)) {
		tracer__remove_process(session->tracer, record->tgid);
		return;
	}
	if (record->flags & PROCESS_CALLS && !session->windows && !session->everything &&
	    !session->shared[record->build])
		session->losses[LOSS_FORK_GAP]++;
	inherit_doubt(session, &process);
	if (collector__add_process(session->collector, &process, record->ns ?: monotonic_ns()))
		return;
	see_gc_of_child(session, &process, record);
	if (session->watches)
		watches__forked(session->watches, record->parent, record->tgid,
				record->ns ?: monotonic_ns());
	if (process.kind != PYTHON_YES || !session->options->calls)
		return;
	build = builds__get(session->builds, process.build);
	if (process.calls_refused)
		refuse_calls(session, &process);
	else if (build->method != CALLS_NONE)
		session__probe(session, process.build, record->tgid, false);
}

static void on_first_hit(struct session *session, const struct record_task *record)
{
	struct process process;

	if (process_inspect(session->builds, record->tgid, &process)) {
		memset(&process, 0, sizeof(process));
		process.build = record->build;
	}
	process.tgid = record->tgid;
	if (!process.comm[0]) {
		memcpy(process.comm, record->comm, sizeof(process.comm));
		process.comm[sizeof(process.comm) - 1] = '\0';
	}
	if (!collector__add_process(session->collector, &process, record->ns)) {
		session->taken++;
		collector__probed(session->collector, record->tgid, true, record->ns);
		see_gc(session, &process, (struct later){0});
	}
	if (process.calls_refused)
		refuse_calls(session, &process);
}

void session_lifecycle(void *arg, const struct record_task *record)
{
	struct session *session = arg;

	switch (record->kind) {
	case RECORD_EXEC:
		on_exec(session, record);
		break;
	case RECORD_FORK:
		on_fork(session, record);
		break;
	case RECORD_FIRST_HIT:
		on_first_hit(session, record);
		break;
	case RECORD_EXIT:
		let_go(session, record->tgid, monotonic_ns());
		break;
	}
}

void session_resync(struct session *session)
{
	uint64_t losses = tracer__lifecycle_losses(session->tracer), now = monotonic_ns();
	struct process_entry entry;
	pid_t *tgids;
	size_t count;

	/* now and then anyway: one may have ended between our look at it and its being traced */
	if (losses == session->lifecycle_losses && now - session->resynced_ns < RESYNC_NS)
		return;
	session->lifecycle_losses = losses;
	session->resynced_ns = now;
	tgids = collector__living_tgids(session->collector, ANY_BUILD, &count);
	for (size_t i = 0; i < count; i++)
		if (procfs_has_ended(tgids[i]))
			tracer__remove_process(session->tracer, tgids[i]);
		else if (tracer__has_process(session->tracer, tgids[i], &entry))
			tgids[i] = 0;
	/* what the ring still holds of those that ended comes first */
	tracer__poll(session->tracer, collector__record, session->collector, 0);
	for (size_t i = 0; i < count; i++)
		if (tgids[i])
			let_go(session, tgids[i], monotonic_ns());
	free(tgids);
	for (pid_t tgid = 0; (tgid = tracer__next_process(session->tracer, tgid));) {
		struct record_task record = {.kind = RECORD_FORK, .tgid = tgid};

		if (collector__knows(session->collector, tgid) ||
		    !tracer__has_process(session->tracer, tgid, &entry))
			continue;
		record.ns = entry.since;
		record.build = entry.build;
		record.flags = entry.flags;
		on_fork(session, &record);
	}
}

void session_losses(const struct session *session, uint64_t losses[LOSS_COUNT])
{
	tracer__losses(session->tracer, losses);
	for (int i = 0; i < LOSS_COUNT; i++)
		losses[i] += session->losses[i];
	collector__add_losses(session->collector, losses);
}
