/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A verdict as a sentence. */
#include "limit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "idle.h"
#include "measure.h"
#include "rules.h"

/* A sentence that grows, cut at its size. */
struct sentence {
	char *text;
	size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void say(struct sentence *s, const char *format, ...)
{
	va_list arguments;
	int n;

	if (s->used >= s->size)
		return;
	va_start(arguments, format);
	n = vsnprintf(s->text + s->used, s->size - s->used, format, arguments);
	va_end(arguments);
	if (n > 0)
		s->used += n;
}

static double core(const struct limit *limit)
{
	return share_of(limit->busy_ns[LIMIT_ONCPU], limit->observed_ns);
}

/* What a process does that is idle mostly in this part. */
static const char *idle_text(int part, const struct profile_wait *wait)
{
	if (wait && wait_is_event_loop(wait))
		return "in its event loop (poll)";
	switch (part) {
	case WAIT_SLEEP:
		return "asleep (sleep)";
	case WAIT_LOCK:
		return "waiting for work (lock)";
	case WAIT_POLL:
		return "waiting for events (poll)";
	case WAIT_NET:
		return "waiting for connections (net)";
	case WAIT_PIPE:
		return "waiting for work (pipe)";
	default:
		return "waiting";
	}
}

/*
 * ", most of it in read(), called from fetch(), for 10.0.3.7:5432", or ", most of it in pack()
 * (libz.so.1.3.1: deflate)", if anything is known.
 */
static void say_where(struct sentence *s, const struct limit *limit)
{
	if (!limit->function || !*limit->function || limit->where_share < 0.10)
		return;
	say(s, ", %s in %s()", limit->where_share >= 0.5 ? "most of it" : "the largest part",
	    limit->function);
	if (limit->native)
		say(s, " (%s)", limit->native);
	if (limit->caller)
		say(s, ", called from %s()", limit->caller);
	if (limit->target)
		say(s, ", for %s", limit->target);
	if (limit->waker && *limit->waker)
		say(s, ", ended by %s()", limit->waker);
}

static void say_mixed(struct sentence *s, const struct limit *limit)
{
	uint64_t left[LIMIT_PARTS];

	say(s, "no single limit:");
	memcpy(left, limit->busy_ns, sizeof(left));
	for (int i = 0; i < 3; i++) {
		int part = limit_largest(left);

		if (share_of(left[part], limit->active_ns) < 0.01)
			break;
		say(s, "%s %s %.0f %%", i ? "," : "", limit_part_name(part),
		    share_of(left[part], limit->active_ns) * 100);
		left[part] = 0;
	}
	say(s, " of active time");
}

static void say_gil(struct sentence *s, const struct limit *limit)
{
	say(s, "%s %.0f %% of the time", limit->lead, limit->decided->value * 100);
	if (limit->holder && limit->holder_caller)
		say(s, ", held by %s(), called from %s(), in %.0f %% of that", limit->holder,
		    limit->holder_caller, limit->holder_share * 100);
	else if (limit->holder)
		say(s, ", held by %s() in %.0f %% of that", limit->holder,
		    limit->holder_share * 100);
	else
		say(s, ", held by whom is not known");
	if (limit->function && *limit->function)
		say(s, "; %s waited in %s()", limit->where_share >= 0.5 ? "most" : "many",
		    limit->function);
	say(s, "; on-CPU %.0f %% of a core", core(limit) * 100);
}

static void say_loop(struct sentence *s, const struct limit *limit)
{
	say(s, "%s %.0f %% of the time", limit->lead, limit->decided->value * 100);
	say_where(s, limit);
	if (limit->longest_ns)
		say(s, "; %.0f ms at once", (double)limit->longest_ns / 1e6);
}

static void say_memory(struct sentence *s, const struct limit *limit)
{
	say(s, "%s %.1f MB a second, from %.0f to %.0f MB", limit->lead,
	    limit->decided->value / 1e6, (double)limit->rss_begin_bytes / 1e6,
	    (double)limit->rss_bytes / 1e6);
	if (!limit->function || limit->where_share < 0.10)
		return;
	if (limit->faults)
		say(s, "; %.0f %% of its page faults were in %s()", limit->where_share * 100,
		    limit->function);
	else
		say(s, "; it ran mostly in %s()", limit->function);
}

static void say_rule(struct sentence *s, const struct limit *limit)
{
	const struct limit_rule *rule = limit->decided->rule;

	if (rule->blame == BLAME_GIL) {
		say_gil(s, limit);
	} else if (rule->blame == BLAME_LOOP) {
		say_loop(s, limit);
	} else if (rule->blame == BLAME_QUEUE) {
		say(s, "%s %s() waited %.0f %% of the time for what %s() puts there", limit->lead,
		    limit->function, limit->decided->value * 100, limit->waker);
	} else if (!rule->of) {
		say_memory(s, limit);
	} else if (!strcmp(rule->verdict, "cpu")) {
		say(s, "%s %.0f %% of a core", limit->lead, core(limit) * 100);
		say_where(s, limit);
	} else {
		say(s, "%s %.0f %% %s", limit->lead, limit->decided->value * 100, rule->of);
		say_where(s, limit);
		say(s, "; on-CPU %.0f %% of a core", core(limit) * 100);
	}
}

const char *limit_line(const struct limit *limit, char *line, size_t size)
{
	double active = share_of(limit->active_ns, limit->observed_ns);
	int part = limit_largest(limit->busy_ns);
	struct sentence s = {line, size, 0};

	if (limit->decided) {
		say_rule(&s, limit);
	} else if (!strcmp(limit->verdict, "unknown")) {
		say(&s, "not enough data: %s", limit->cause);
	} else if (!strcmp(limit->verdict, "idle")) {
		int idle = limit_largest(limit->idle_ns);

		say(&s, "idle: active %.1f %% of the time, otherwise %s", active * 100,
		    limit->idle_ns[idle] ? idle_text(idle, limit->wait) : "waiting");
		say_where(&s, limit);
	} else if (!strcmp(limit->verdict, "ok")) {
		say(&s, "mostly idle: active %.0f %% of the time, %.0f %% of that %s", active * 100,
		    share_of(limit->busy_ns[part], limit->active_ns) * 100,
		    part == LIMIT_ONCPU ? "on-CPU" : limit_part_name(part));
		say_where(&s, limit);
	} else {
		say_mixed(&s, limit);
	}
	return line;
}
