/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A worker of a pool that has nothing to do sleeps in a futex just like one that
 * fights for a lock, and a server in accept() just like a client in recv().  Only
 * where in the standard library they wait, and by which syscall, tells them apart.
 */
#include "idle.h"

#include <string.h>

#include "glob.h"
#include "places.h"

struct idle_rule {
	enum wait_class wait_class;
	const char *file;     /* end of the path, at a '/'; NULL: any */
	const char *function; /* last component of the name; NULL: any */
	const char *syscall;  /* NULL: any */
};

static const struct idle_rule idle_rules[] = {
	{WAIT_SLEEP, NULL, NULL, NULL},
	{WAIT_POLL, NULL, NULL, NULL},
	/* Signals, timers and what we have no name for: no evidence of being held up. */
	{WAIT_OTHER, NULL, NULL, NULL},
	/* Conditions, events, queue.Queue and Future.result() all wait here. */
	{WAIT_LOCK, "threading.py", "wait", NULL},
	{WAIT_LOCK, "threading.py", "wait_for", NULL},
	/* Thread.join() and the interpreter's end; up to 3.12, then 3.13+. */
	{WAIT_LOCK, "threading.py", "_wait_for_tstate_lock", NULL},
	{WAIT_LOCK, "threading.py", "join", NULL},
	{WAIT_LOCK, "threading.py", "_shutdown", NULL},
	/* SimpleQueue.get() is C: the pool's own frame is on top. */
	{WAIT_LOCK, "concurrent/futures/thread.py", "_worker", NULL},
	{WAIT_LOCK, "queue.py", "get", NULL},
	{WAIT_LOCK, "multiprocessing/queues.py", "get", NULL},
	{WAIT_LOCK, "multiprocessing/synchronize.py", "__enter__", NULL},
	{WAIT_LOCK, "multiprocessing/pool.py", NULL, NULL},
	/* Idle workers of multiprocessing read their task queue's pipe. */
	{WAIT_PIPE, "multiprocessing/connection.py", NULL, NULL},
	{WAIT_NET, "multiprocessing/connection.py", NULL, NULL},
	/* No client has come. */
	{WAIT_NET, NULL, NULL, "accept"},
	{WAIT_NET, NULL, NULL, "accept4"},
};

static bool rule_matches(const struct idle_rule *rule, const struct profile_wait *wait)
{
	if (rule->wait_class != wait->wait_class)
		return false;
	if (rule->file && (!wait->file || !path_ends_with(wait->file, rule->file)))
		return false;
	if (rule->function &&
	    (!wait->function || strcmp(last_component(wait->function), rule->function)))
		return false;
	return !rule->syscall || (wait->syscall && !strcmp(wait->syscall, rule->syscall));
}

bool wait_class_is_idle(enum wait_class wait_class)
{
	for (size_t i = 0; i < sizeof(idle_rules) / sizeof(idle_rules[0]); i++) {
		const struct idle_rule *rule = &idle_rules[i];

		if (rule->wait_class == wait_class && !rule->file && !rule->function &&
		    !rule->syscall)
			return true;
	}
	return false;
}

/* Calls in which one thread waits for many things. */
static bool is_selecting(const char *syscall)
{
	static const char *const names[] = {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll",
					    "ppoll",      "select",      "pselect6"};

	for (size_t i = 0; syscall && i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(syscall, names[i]))
			return true;
	return false;
}

bool wait_is_event_loop(const struct profile_wait *wait)
{
	if (!is_selecting(wait->syscall) || !wait->file || !wait->function)
		return false;
	if (path_ends_with(wait->file, "selectors.py"))
		return !strcmp(last_component(wait->function), "select");
	/* uvloop is C: on top is who runs it */
	return strstr(wait->file, "/asyncio/") || strstr(wait->file, "/uvloop/");
}

/* For somebody who connects, whatever the call (discover/target_text.c makes the text). */
static bool is_listening(const struct profile_wait *wait)
{
	return wait->wait_class == WAIT_NET && wait->target &&
	       !strncmp(wait->target, "listening on ", strlen("listening on "));
}

bool wait_is_idle(const struct profile_wait *wait)
{
	if (wait_is_event_loop(wait) || is_listening(wait))
		return true;
	for (size_t i = 0; i < sizeof(idle_rules) / sizeof(idle_rules[0]); i++) {
		if (rule_matches(&idle_rules[i], wait))
			return true;
	}
	return false;
}

bool stack_is_idle(const struct profile *profile, const struct profile_stack *stack)
{
	/* A server that keeps a connection: its client has sent no further request. */
	return stack->part == WAIT_NET && stack->frame_count >= 2 &&
	       frames_have(profile, stack->frames, 1, "readinto", "socket.py") &&
	       frames_have(profile, stack->frames + 1, 1, "handle_one_request", "http/server.py");
}
