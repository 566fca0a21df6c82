/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A worker of a pool that has nothing to do sleeps in a futex just like one that
 * fights for a lock, and a server in accept() just like a client in recv().  Only
 * where in the standard library they wait, who called that, and by which syscall they do, tells
 * them apart.
 */
#include "idle.h"

#include <string.h>

#include "glob.h"
#include "places.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* A function, or any in a file. */
struct place {
	const char *file;     /* end of the path, at a '/'; NULL: any */
	const char *function; /* last component of the name; NULL: any */
};

struct idle_rule {
	enum wait_class wait_class;
	struct place place, caller; /* of that */
	const char *syscall;        /* NULL: any */
};

static const struct idle_rule idle_rules[] = {
	/* Thread.join() and the interpreter's end; up to 3.12, then 3.13+. */
	{WAIT_LOCK, {"threading.py", "_wait_for_tstate_lock"}, {0}, NULL},
	{WAIT_LOCK, {"threading.py", "join"}, {0}, NULL},
	{WAIT_LOCK, {"threading.py", "_shutdown"}, {0}, NULL},
	/* SimpleQueue.get() is C: the pool's own frame is on top. */
	{WAIT_LOCK, {"concurrent/futures/thread.py", "_worker"}, {0}, NULL},
	{WAIT_LOCK, {"queue.py", "get"}, {0}, NULL},
	{WAIT_LOCK, {"multiprocessing/queues.py", "get"}, {0}, NULL},
	{WAIT_LOCK,
	 {"multiprocessing/synchronize.py", "__enter__"},
	 {"multiprocessing/queues.py", "get"},
	 NULL},
	{WAIT_LOCK, {"multiprocessing/pool.py", NULL}, {0}, NULL},
	/* Idle workers of multiprocessing read their task queue's pipe, or look at several. */
	{WAIT_PIPE, {"multiprocessing/connection.py", NULL}, {0}, NULL},
	{WAIT_NET, {"multiprocessing/connection.py", NULL}, {0}, NULL},
	{WAIT_NET, {"selectors.py", "select"}, {"multiprocessing/connection.py", NULL}, NULL},
	/* No client has come. */
	{WAIT_NET, {0}, {0}, "accept"},
	{WAIT_NET, {0}, {0}, "accept4"},
};

/* In these who waits in Condition.wait() is held up: for its turn, room, the slowest of all. */
static const struct place held_up_callers[] = {
	{"threading.py", "acquire"}, /* a semaphore */
	{"threading.py", "_wait"},   /* a barrier */
	{"queue.py", "put"},
};

/* And in these, but for those, waits for work or for what became of it. */
static const struct place idle_callers[] = {
	{"threading.py", NULL}, /* events */
	{"queue.py", NULL},
	{"concurrent/futures/_base.py", NULL},
};

/* They wait for whatever comes next. */
static const struct place event_loops[] = {
	{"asyncio/base_events.py", NULL},
	{"socketserver.py", NULL},
	{"gunicorn/workers/gthread.py", NULL},
	{"cheroot/connections.py", NULL},
};

static bool is_at(const struct place *place, const struct profile_name *name)
{
	if (place->file && (!name->file || !path_ends_with(name->file, place->file)))
		return false;
	return !place->function ||
	       (name->function && !strcmp(last_component(name->function), place->function));
}

static bool is_among(const struct place *places, size_t count, const struct profile_name *name)
{
	for (size_t i = 0; i < count; i++)
		if (is_at(&places[i], name))
			return true;
	return false;
}

static bool rule_matches(const struct idle_rule *rule, const struct profile_wait *wait)
{
	const struct profile_name function = wait_function(wait);

	return rule->wait_class == wait->wait_class && is_at(&rule->place, &function) &&
	       is_at(&rule->caller, &wait->caller) &&
	       (!rule->syscall || (wait->syscall && !strcmp(wait->syscall, rule->syscall)));
}

bool wait_class_is_idle(enum wait_class wait_class)
{
	/* signals, timers and what we have no name for are no evidence of being held up */
	return wait_class == WAIT_SLEEP || wait_class == WAIT_POLL || wait_class == WAIT_OTHER;
}

/*
 * Conditions, events, semaphores, barriers, queues and Future.result() all wait here.  What a
 * program's own condition is for is not known: threads that do the same and end each other's
 * waits share something that there is not enough of.
 */
static bool is_idle_in_condition(const struct profile_wait *wait)
{
	static const struct place condition = {"threading.py", "wait"};
	const struct profile_name function = wait_function(wait);

	if (wait->wait_class != WAIT_LOCK || !is_at(&condition, &function))
		return false;
	if (!place_is_installed(wait->caller.file)) {
		if (is_among(held_up_callers, COUNT(held_up_callers), &wait->caller))
			return false;
		if (is_among(idle_callers, COUNT(idle_callers), &wait->caller))
			return true;
	}
	return !wait->by_peer;
}

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
	for (size_t i = 0; word && i < count; i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

/* Calls in which one thread waits for many things. */
static bool is_selecting(const char *syscall)
{
	static const char *const names[] = {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll",
					    "ppoll",      "select",      "pselect6"};

	return is_one_of(syscall, names, COUNT(names));
}

bool wait_is_event_loop(const struct profile_wait *wait)
{
	static const struct place selector = {"selectors.py", "select"};
	const struct profile_name function = wait_function(wait);

	if (!is_selecting(wait->syscall) || !wait->file || !wait->function)
		return false;
	if (is_at(&selector, &function))
		return !wait->caller.function ||
		       is_among(event_loops, COUNT(event_loops), &wait->caller);
	/* uvloop is C: on top is who runs it */
	return strstr(wait->file, "/asyncio/") || strstr(wait->file, "/uvloop/");
}

/* A socket whose target's text begins so (discover/target_text.c makes it). */
static bool is_socket(const struct profile_wait *wait, const char *begin)
{
	return wait->wait_class == WAIT_NET && wait->target &&
	       !strncmp(wait->target, begin, strlen(begin));
}

/* For somebody who connects, whatever the call. */
static bool is_listening(const struct profile_wait *wait)
{
	return is_socket(wait, "listening on ");
}

/*
 * For what a client says next, who connected to us: whatever it is, it is asked of us.  (A client
 * that cannot take what it asked for as fast as we send it is another matter.)
 */
static bool is_client_to_speak(const struct profile_wait *wait)
{
	static const char *const receives[] = {"recvfrom", "recvmsg", "recvmmsg", "read", "readv"};

	return is_socket(wait, "client ") && is_one_of(wait->syscall, receives, COUNT(receives));
}

enum wait_class wait_counts_as(const struct profile_wait *wait)
{
	/* there it waits for a child: its output to end, or, with a time-out, itself */
	static const struct place children = {"subprocess.py", NULL};
	const struct profile_name function = wait_function(wait);

	switch (wait->wait_class) {
	case WAIT_SLEEP:
	case WAIT_POLL:
	case WAIT_PIPE:
		return is_at(&children, &function) || is_at(&children, &wait->caller)
			       ? WAIT_CHILD
			       : wait->wait_class;
	default:
		return wait->wait_class;
	}
}

bool wait_is_idle(const struct profile_wait *wait)
{
	if (wait_counts_as(wait) != wait->wait_class ||
	    wait->held_gil_ns * 2 > wait->time.sum_ns) /* the others cannot go on */
		return false;
	if (wait_class_is_idle(wait->wait_class) || wait_is_event_loop(wait) ||
	    is_listening(wait) || is_client_to_speak(wait) || is_idle_in_condition(wait))
		return true;
	for (size_t i = 0; i < COUNT(idle_rules); i++) {
		if (rule_matches(&idle_rules[i], wait))
			return true;
	}
	return false;
}

bool stack_waits_for_request(const struct profile *profile, const struct profile_stack *stack)
{
	return stack->part == WAIT_NET && stack->frame_count >= 2 &&
	       frames_have(profile, stack->frames, 1, "readinto", "socket.py") &&
	       frames_have(profile, stack->frames + 1, 1, "handle_one_request", "http/server.py");
}
