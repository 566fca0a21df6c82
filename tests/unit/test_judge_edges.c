/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Reports on services whose trouble is known (profiles/record), changed until a rule of verdicts
 * only just holds, and only just does not: in each, what one rule is about is made so much.
 * Links: user/profile.c, and all of user/judge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../user/judge/places.h"
#include "profile_file.h"

static double observed(const struct profile *p)
{
	return (double)p->processes[0].observed_ns;
}

static double of_threads(const struct profile *p, int wait_class)
{
	double sum = 0;

	for (size_t i = 0; i < p->thread_count; i++)
		sum += (double)p->threads[i].wait_ns[wait_class];
	return sum;
}

static double active(const struct profile *p)
{
	struct limit limit;

	limit_of_process(p, &p->processes[0], &limit);
	return (double)limit.active_ns;
}

/* Enough not to be idle. */
static void hardly_runs(struct profile *p)
{
	p->processes[0].oncpu_ns = 0.1 * observed(p);
}

static void throttled_for(struct profile *p, double share)
{
	p->processes[0].throttled_ns = share * observed(p);
}

static void collects(struct profile *p, double share)
{
	double sum = 0;

	for (size_t i = 0; i < p->gc_count; i++)
		sum += (double)p->gcs[i].time.sum_ns;
	for (size_t i = 0; i < p->gc_count; i++)
		p->gcs[i].time.sum_ns *= share * (double)p->processes[0].oncpu_ns / sum;
}

/* Half of the time that it runs. */
static void collects_of_the_time(struct profile *p, double share)
{
	p->processes[0].oncpu_ns = 2 * share * observed(p);
	collects(p, 0.5);
}

static void gil_is_wanted(struct profile *p, double share)
{
	for (size_t i = 0; i < p->contention_count; i++)
		p->contentions[i].ns = share * observed(p);
}

static bool waits_in_a_callback(const struct profile *p, const struct profile_stack *stack)
{
	return stack->part != STACK_ONCPU &&
	       frames_have(p, stack->frames, stack->frame_count, "_run", "asyncio/events.py");
}

static void waits_in_callbacks(struct profile *p, double share)
{
	double sum = 0;

	hardly_runs(p);
	for (size_t i = 0; i < p->stack_count; i++)
		if (waits_in_a_callback(p, &p->stacks[i]))
			sum += (double)p->stacks[i].ns;
	for (size_t i = 0; i < p->stack_count; i++)
		p->stacks[i].ns *= share * observed(p) / sum;
}

/* Half of it waiting. */
static void callbacks_take(struct profile *p, double share)
{
	double sum = 0;

	for (size_t i = 0; i < p->callback_count; i++)
		sum += (double)p->callbacks[i].sum_ns;
	for (size_t i = 0; i < p->callback_count; i++)
		p->callbacks[i].sum_ns *= share * observed(p) / sum;
	waits_in_callbacks(p, share / 2);
}

static void memory_grows(struct profile *p, double bytes)
{
	hardly_runs(p);
	p->processes[0].rss_growth = bytes;
}

static void memory_grew(struct profile *p, double bytes)
{
	hardly_runs(p);
	p->processes[0].rss_bytes = p->processes[0].rss_begin_bytes + (uint64_t)bytes;
}

static void memory_is_read(struct profile *p, double times)
{
	hardly_runs(p);
	p->processes[0].rss_readings = times;
	p->processes[0].rss_grown = p->processes[0].rss_readings - 1;
}

static void memory_grows_in(struct profile *p, double share)
{
	hardly_runs(p);
	p->processes[0].rss_readings = 101;
	p->processes[0].rss_grown = share * 100;
}

/* What a class of waits then lacks is waited in two others. */
static void waits_are(struct profile *p, int part, double share, int other, int another)
{
	double keep = share * active(p) / of_threads(p, part);

	for (size_t i = 0; i < p->thread_count; i++) {
		uint64_t *ns = p->threads[i].wait_ns, less = (1 - keep) * (double)ns[part];

		ns[part] -= less;
		ns[other] += less / 2;
		ns[another] += less - less / 2;
	}
	for (size_t i = 0; i < p->wait_count; i++)
		if ((int)p->waits[i].wait_class == part)
			p->waits[i].time.sum_ns *= keep;
}

#define WAITS_ARE(name, part, other, another)                                                      \
	static void name(struct profile *p, double share)                                          \
	{                                                                                          \
		waits_are(p, part, share, other, another);                                         \
	}

WAITS_ARE(lock_is, WAIT_LOCK, WAIT_NET, WAIT_DISK)
WAITS_ARE(net_is, WAIT_NET, WAIT_PIPE, WAIT_DISK)
WAITS_ARE(disk_is, WAIT_DISK, WAIT_PIPE, WAIT_NET)
WAITS_ARE(pipe_is, WAIT_PIPE, WAIT_NET, WAIT_DISK)
WAITS_ARE(child_is, WAIT_CHILD, WAIT_NET, WAIT_DISK)
WAITS_ARE(fault_is, WAIT_FAULT, WAIT_NET, WAIT_DISK)

/* It runs as long as it was ready to before, and half of the time. */
static void runq_is(struct profile *p, double share)
{
	p->processes[0].oncpu_ns = of_threads(p, WAIT_RUNQ);
	p->processes[0].observed_ns = 2 * p->processes[0].oncpu_ns;
	waits_are(p, WAIT_RUNQ, share, WAIT_NET, WAIT_DISK);
}

static void core_is(struct profile *p, double share)
{
	p->processes[0].oncpu_ns = share * observed(p);
}

/* The rest of active time it waits: all for sockets, or half for files. */
static void runs(struct profile *p, double share, bool two)
{
	double oncpu = (double)p->processes[0].oncpu_ns, waits = oncpu / share - active(p);
	uint64_t *ns = p->threads[0].wait_ns;

	ns[WAIT_NET] += waits * (two ? 0.5 : 1);
	ns[WAIT_DISK] += waits * (two ? 0.5 : 0);
}

static void runs_or_asks(struct profile *p, double share)
{
	runs(p, share, false);
}

static void runs_or_waits(struct profile *p, double share)
{
	runs(p, share, true);
}

/* So long is it watched that this is its active share. */
static void is_active(struct profile *p, double share)
{
	p->processes[0].observed_ns = active(p) / share;
}

static void is_watched(struct profile *p, double ns)
{
	p->processes[0].observed_ns = ns;
}

/* Of waits for a producer, which alone have a waker, the longest. */
static struct profile_stack *queue_stack(struct profile *p)
{
	struct profile_stack *longest = NULL;

	for (size_t i = 0; i < p->stack_count; i++)
		if (p->stacks[i].waker_count && (!longest || p->stacks[i].ns > longest->ns))
			longest = &p->stacks[i];
	return file_must(longest, "a queue");
}

static void queue_is_waited_for(struct profile *p, double share)
{
	hardly_runs(p);
	queue_stack(p)->ns = share * observed(p);
}

/* Most of a second. */
static void queue_has_waits(struct profile *p, double count)
{
	p->processes[0].observed_ns = 1e9;
	hardly_runs(p);
	queue_stack(p)->count = count;
	queue_stack(p)->ns = queue_stack(p)->count * 150000000;
}

/* Most of ten seconds. */
static void queue_is_filled(struct profile *p, double times_a_second)
{
	p->processes[0].observed_ns = 1e10;
	hardly_runs(p);
	queue_stack(p)->count = 40;
	queue_stack(p)->ns = 40e9 / times_a_second;
}

/* Of causes. */

static void gil_after_io(struct profile *p, double waits)
{
	p->processes[0].gil_after_io = waits;
}

static void gil_after_io_is(struct profile *p, double share)
{
	p->processes[0].gil_after_io_ns = share * of_threads(p, WAIT_GIL);
}

/* So much longer than it runs. */
static void gil_is_kept(struct profile *p, double share)
{
	uint64_t kept = 0;

	for (size_t i = 0; i < p->wait_count; i++)
		kept += p->waits[i].held_gil_ns;
	for (size_t i = 0; i < p->wait_count; i++)
		p->waits[i].held_gil_ns = (double)p->waits[i].held_gil_ns / (double)kept * share *
					  (double)p->contentions[0].ns;
}

/* No more than a fifth of the time. */
static void runq_throttled(struct profile *p, double share)
{
	p->processes[0].observed_ns = 2 * of_threads(p, WAIT_RUNQ);
	p->processes[0].throttled_by = file_must(strdup("/app.slice"), "memory");
	p->processes[0].throttled_ns = share * of_threads(p, WAIT_RUNQ);
}

static void runq_preempted(struct profile *p, double share)
{
	p->processes[0].preempted_ns = share * of_threads(p, WAIT_RUNQ);
	p->processes[0].woken_late_ns = 0;
}

static void runq_woken_late(struct profile *p, double share)
{
	p->processes[0].woken_late_ns = share * of_threads(p, WAIT_RUNQ);
	p->processes[0].preempted_ns = 0;
}

#define MIB (1 << 20)
#define SET(function) #function, function

/* As docs/how-it-works.md has them. */
static const struct edge {
	const char *file;
	const char *name;
	void (*set)(struct profile *profile, double value);
	double least;
	const char *above, *below; /* the rule, or the verdict without one */
	const char *above_words, *below_words;
} edges[] = {
	{"throttled", SET(throttled_for), 0.20, "throttled", "runq", NULL, NULL},
	{"gc_storm", SET(collects), 0.30, "gc", "cpu", NULL, NULL},
	{"gc_storm", SET(collects_of_the_time), 0.05, "gc", "ok", NULL, NULL},
	{"spinners", SET(gil_is_wanted), 0.20, "gil", "cpu", NULL, NULL},
	{"blocked_loop", SET(callbacks_take), 0.20, "loop", "ok", NULL, NULL},
	{"waits-blocked_loop", SET(waits_in_callbacks), 0.20, "loop", "ok", NULL, NULL},
	{"memory", SET(memory_grows), 1 * MIB, "memory", "ok", NULL, NULL},
	{"memory", SET(memory_grew), 8 * MIB, "memory", "ok", NULL, NULL},
	{"memory", SET(memory_is_read), 4, "memory", "ok", NULL, NULL},
	{"memory", SET(memory_grows_in), 0.75, "memory", "ok", NULL, NULL},
	{"preempted", SET(runq_is), 0.25, "runq", "computing", NULL, NULL},
	{"preempted", SET(is_active), 0.50, "runq", "ok", NULL, NULL},
	{"locks", SET(lock_is), 0.40, "lock", "mixed", NULL, NULL},
	{"locks", SET(is_active), 0.50, "lock", "ok", NULL, NULL},
	{"cpu", SET(core_is), 0.70, "cpu", "computing", NULL, NULL},
	{"cpu", SET(runs_or_asks), 0.40, "cpu", "net", NULL, NULL},
	{"slow_queue", SET(queue_is_waited_for), 0.40, "queue", "ok", NULL, NULL},
	{"slow_queue", SET(queue_has_waits), 5, "queue", "ok", NULL, NULL},
	{"slow_queue", SET(queue_is_filled), 5, "queue", "ok", NULL, NULL},
	{"computing", SET(runs_or_waits), 0.40, "computing", "mixed", NULL, NULL},
	{"computing", SET(is_active), 0.50, "computing", "ok", NULL, NULL},
	{"slow_peer", SET(net_is), 0.40, "net", "mixed", NULL, NULL},
	{"slow_peer", SET(is_active), 0.50, "net", "ok", NULL, NULL},
	{"slow_disk", SET(disk_is), 0.40, "disk", "mixed", NULL, NULL},
	{"slow_disk", SET(is_active), 0.50, "disk", "ok", NULL, NULL},
	{"slow_pipe", SET(pipe_is), 0.40, "pipe", "mixed", NULL, NULL},
	{"slow_pipe", SET(is_active), 0.50, "pipe", "ok", NULL, NULL},
	{"child", SET(child_is), 0.40, "child", "mixed", NULL, NULL},
	{"child", SET(is_active), 0.50, "child", "ok", NULL, NULL},
	{"cold_pages", SET(fault_is), 0.40, "fault", "mixed", NULL, NULL},
	{"cold_pages", SET(is_active), 0.50, "fault", "ok", NULL, NULL},
	{"mixed", SET(is_active), 0.50, "mixed", "ok", NULL, NULL},
	{"healthy", SET(is_active), 0.02, "ok", "idle", NULL, NULL},
	{"spinners", SET(is_watched), 1e8, "gil", "unknown", NULL, NULL},
	{"idle", SET(is_watched), 1e8, "idle", "unknown", NULL, NULL},
	{"convoy", SET(gil_after_io), 20, "gil", "gil", "convoy", "GIL-bound: "},
	{"convoy", SET(gil_after_io_is), 0.5, "gil", "gil", "convoy", "GIL-bound: "},
	{"pydll", SET(gil_is_kept), 0.5, "gil", "gil", "native code", "GIL-bound"},
	{"preempted", SET(runq_throttled), 1.0 / 3, "runq", "runq", "quota: ", "preempted"},
	{"preempted", SET(runq_preempted), 0.5, "runq", "runq", "preempted", "CPU: runnable"},
	{"woken_late", SET(runq_woken_late), 0.5, "runq", "runq", "woken late", "CPU: runnable"},
};

static enum limit_state state_of(const struct limit *limit, const char *rule)
{
	for (int i = 0; i < LIMIT_RULES; i++)
		if (!strcmp(limit->checks[i].rule->name, rule))
			return limit->checks[i].state;
	return LIMIT_HOLDS; /* a verdict without one */
}

/*
 * So much of the least value makes that outcome (NULL: any), and the line or the cause say so.
 * Returns what became of the rule that holds from there on.
 */
static enum limit_state judge_at(const struct edge *edge, double part, const char *wanted,
				 const char *words)
{
	char path[128], line[1024];
	struct profile_file file;
	struct limit limit;
	enum limit_state became;

	snprintf(path, sizeof(path), PROFILE_FOLDER "debian-3.13-%s.json.gz", edge->file);
	profile_file__open(&file, path);
	edge->set(file.profile, part * edge->least);
	limit_of_process(file.profile, &file.profile->processes[0], &limit);
	limit_line(&limit, line, sizeof(line));
	if (wanted && strcmp(limit_outcome(&limit), wanted) != 0)
		fail_msg("%s, %s %g: %s, not %s: %s", edge->file, edge->name, part * edge->least,
			 limit_outcome(&limit), wanted, line);
	if (words && !strstr(line, words) && !strstr(limit.cause, words))
		fail_msg("%s, %s %g: \"%s\" lacks \"%s\"", edge->file, edge->name,
			 part * edge->least, line, words);
	became = state_of(&limit, edge->above);
	profile_file__close(&file);
	return became;
}

static void rules_have_their_edges(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		const struct edge *edge = &edges[i];
		enum limit_state near, far;

		judge_at(edge, 1.01, edge->above, edge->above_words);
		near = judge_at(edge, 0.99, edge->below, edge->below_words);
		far = judge_at(edge, 0.69, NULL, NULL);
		if (near == LIMIT_HOLDS)
			continue; /* what changed is none of the rule's own conditions */
		if (edge->set == queue_is_filled && near == LIMIT_NO && far == LIMIT_NO)
			continue; /* who is told when to make something is no producer at all */
		if (near != (far == LIMIT_NO ? LIMIT_NEAR : LIMIT_HELD_BACK) ||
		    (far != LIMIT_NO && far != LIMIT_HELD_BACK))
			fail_msg("%s, %s: %s, then %s", edge->file, edge->name,
				 limit_state_name(near), limit_state_name(far));
	}
}

static bool has_an_edge(const char *name)
{
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		if (!strcmp(edges[i].above, name) && strcmp(edges[i].below, name) != 0)
			return true;
	return false;
}

static void every_outcome_has_an_edge(void **state)
{
	static const char *const without_a_rule[] = {"mixed", "ok", "idle"};

	(void)state;
	for (int i = 0; i < LIMIT_RULES; i++)
		if (!has_an_edge(limit_rules[i].name))
			fail_msg("no edge of the rule %s", limit_rules[i].name);
	for (size_t i = 0; i < sizeof(without_a_rule) / sizeof(without_a_rule[0]); i++)
		assert_true(has_an_edge(without_a_rule[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_have_their_edges),
		cmocka_unit_test(every_outcome_has_an_edge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
