/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From the rules to a verdict on one process, with its evidence. */
#include "limit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "blame.h"
#include "measure.h"
#include "rules.h"

/* What run queue time is made of is told from this share of active time on. */
#define RUNQ_TOLD 0.05
/* From this part of what a rule takes on it nearly holds. */
#define NEAR 0.7

const char *limit_part_name(int part)
{
	return part == LIMIT_ONCPU ? "cpu" : wait_class_name(part);
}

const char *limit_state_name(enum limit_state state)
{
	static const char *const names[] = {
		[LIMIT_UNKNOWN] = "unknown",     [LIMIT_NO] = "no",       [LIMIT_NEAR] = "near",
		[LIMIT_HELD_BACK] = "held_back", [LIMIT_HOLDS] = "holds",
	};

	return names[state];
}

int limit_largest(const uint64_t *parts)
{
	int best = 0;

	for (int i = 1; i < LIMIT_PARTS; i++) {
		if (parts[i] > parts[best])
			best = i;
	}
	return best;
}

static void ask_rules(const struct facts *facts, struct limit *limit)
{
	for (size_t i = 0; i < LIMIT_RULES; i++) {
		const struct limit_rule *rule = &limit_rules[i];
		struct limit_check *check = &limit->checks[i];

		check->rule = rule;
		check->value = rule->measure(facts);
		if (isnan(check->value))
			check->state = LIMIT_UNKNOWN;
		else if (check->value < rule->least)
			check->state = check->value < NEAR * rule->least ? LIMIT_NO : LIMIT_NEAR;
		else if (rule->takes && !rule->takes(facts))
			check->state = LIMIT_HELD_BACK;
		else
			check->state = LIMIT_HOLDS;
		if (check->state == LIMIT_HOLDS && !limit->decided)
			limit->decided = check;
	}
}

static int next_evidence(const struct limit *limit)
{
	int n = 0;

	while (n < LIMIT_EVIDENCE - 1 && *limit->evidence[n])
		n++;
	return n;
}

/* The number that decided. */
static void add_decisive(struct limit *limit)
{
	const struct limit_check *check = limit->decided;
	char *out = limit->evidence[next_evidence(limit)];

	if (check->rule->of)
		snprintf(out, LIMIT_EVIDENCE_BYTES, "%s: %.0f %% %s, %.0f %% is enough",
			 check->rule->name, check->value * 100, check->rule->of,
			 check->rule->least * 100);
	else
		snprintf(out, LIMIT_EVIDENCE_BYTES, "%s: %.2f MB a second, %.2f is enough",
			 check->rule->name, check->value / 1e6, check->rule->least / 1e6);
}

/* Where run queue time is worth a word, what it is made of. */
static void add_runq_evidence(const struct profile_process *process, struct limit *limit)
{
	if (share_of(limit->busy_ns[WAIT_RUNQ], limit->active_ns) >= RUNQ_TOLD)
		snprintf(limit->evidence[next_evidence(limit)], LIMIT_EVIDENCE_BYTES,
			 "run queue: %.3f s preempted, %.3f s woken late",
			 (double)process->preempted_ns / 1e9, (double)process->woken_late_ns / 1e9);
	if (process->throttled_ns)
		snprintf(limit->evidence[next_evidence(limit)], LIMIT_EVIDENCE_BYTES,
			 "CPU quota: throttled %.3f s in %.3f s, %llu times",
			 (double)process->throttled_ns / 1e9, (double)limit->observed_ns / 1e9,
			 (unsigned long long)process->throttle_count);
}

/* What is known of the rule that decided, beyond the number. */
static void add_details(const struct facts *facts, struct limit *limit)
{
	const struct profile_process *process = facts->process;
	char *out = limit->evidence[next_evidence(limit)];

	switch (limit->decided->rule->blame) {
	case BLAME_GIL:
		if (process->gil_after_io)
			snprintf(out, LIMIT_EVIDENCE_BYTES,
				 "after I/O: %llu waits for the GIL, %.2f ms each",
				 (unsigned long long)process->gil_after_io,
				 (double)process->gil_after_io_ns / 1e6 /
					 (double)process->gil_after_io);
		break;
	case BLAME_GC:
		snprintf(out, LIMIT_EVIDENCE_BYTES, "collections: %.3f s of %.3f s on-CPU%s",
			 (double)facts->gc_ns / 1e9, (double)limit->busy_ns[LIMIT_ONCPU] / 1e9,
			 facts->gc && facts->gc->estimated ? " (estimated)" : "");
		break;
	case BLAME_LOOP:
		snprintf(out, LIMIT_EVIDENCE_BYTES,
			 "event loop: held up %.3f s in %.3f s, %.3f s of it in waits",
			 (double)facts->loop_ns / 1e9, (double)limit->observed_ns / 1e9,
			 (double)facts->loop_waits.all / 1e9);
		break;
	case BLAME_QUEUE:
		snprintf(out, LIMIT_EVIDENCE_BYTES,
			 "queue: %llu waits for an item, %.2f ms each; its producer: mostly %s",
			 (unsigned long long)facts->queue_count,
			 (double)facts->queue_ns / 1e6 / (double)facts->queue_count,
			 limit_part_name(facts->producer_part));
		break;
	case BLAME_MEMORY:
		snprintf(out, LIMIT_EVIDENCE_BYTES,
			 "resident: %.1f MB, then %.1f MB; it grew in %u of %u readings",
			 (double)process->rss_begin_bytes / 1e6, (double)process->rss_bytes / 1e6,
			 process->rss_grown, process->rss_readings - 1);
		break;
	case BLAME_CPU:
	case BLAME_WAIT:
		break;
	}
}

static void add_evidence(const struct facts *facts, struct limit *limit)
{
	uint64_t left[2][LIMIT_PARTS];
	int n;

	if (limit->decided) {
		add_decisive(limit);
		add_details(facts, limit);
	}
	memcpy(left[0], limit->busy_ns, sizeof(left[0]));
	memcpy(left[1], limit->idle_ns, sizeof(left[1]));
	for (int idle = 0; idle < 2; idle++) {
		/* Two lines are kept for idleness, and two for the run queue. */
		for (n = next_evidence(limit); n < LIMIT_EVIDENCE - (idle ? 2 : 4); n++) {
			int part = limit_largest(left[idle]);
			uint64_t ns = left[idle][part];

			if (!ns)
				break;
			left[idle][part] = 0;
			snprintf(limit->evidence[n], LIMIT_EVIDENCE_BYTES,
				 "%s %s: %.3f s of thread time in %.3f s", idle ? "idle" : "active",
				 limit_part_name(part), (double)ns / 1e9,
				 (double)limit->observed_ns / 1e9);
		}
	}
	add_runq_evidence(facts->process, limit);
}

static void judge_by_rule(const struct facts *facts, struct limit *limit)
{
	const struct limit_rule *rule = limit->decided->rule;
	const struct limit_cause *cause = limit_cause_of(rule, facts);

	limit->verdict = rule->verdict;
	limit->lead = cause ? cause->lead : rule->lead;
	limit->cause = cause ? cause->cause : rule->cause;
	limit->next_step = cause ? cause->next_step : rule->next_step;
	blame(facts, rule, limit);
}

static void judge_idle(const struct facts *facts, struct limit *limit)
{
	int part = limit_largest(limit->idle_ns);

	limit->verdict = "idle";
	limit->cause = "its threads sleep or wait for work";
	limit->next_step = "nothing to speed up here; look for what should give it work";
	if (limit->idle_ns[part])
		blame_wait(facts, part, true, limit);
}

/* It has something to do now and then, and nothing that holds it up. */
static void judge_ok(const struct facts *facts, struct limit *limit)
{
	int part = limit_largest(limit->busy_ns);

	limit->verdict = "ok";
	limit->cause = "it is idle most of the time, and nothing holds it up for long";
	limit->next_step = "nothing that the process as a whole would need; look at single "
			   "functions and their slow calls";
	if (part == LIMIT_ONCPU)
		blame(facts, &(struct limit_rule){.blame = BLAME_CPU}, limit);
	else
		blame_wait(facts, part, false, limit);
}

static void judge_unknown(struct limit *limit)
{
	limit->verdict = "unknown";
	limit->cause = limit->active_ns || limit->idle_ns[limit_largest(limit->idle_ns)]
			       ? "it was watched for less than 0.1 s"
			       : "no thread of it ran or ended a wait while it was watched";
	limit->next_step = "watch it for longer";
	limit->decided = NULL;
}

void limit_of_process(const struct profile *profile, const struct profile_process *process,
		      struct limit *limit)
{
	struct facts facts;

	*limit = (struct limit){0};
	measure(profile, process, limit, &facts);
	ask_rules(&facts, limit);
	limit->rss_begin_bytes = process->rss_begin_bytes;
	limit->rss_bytes = process->rss_bytes;
	if (limit->observed_ns < LEAST_OBSERVED_NS ||
	    (!limit->active_ns && !limit->idle_ns[limit_largest(limit->idle_ns)])) {
		judge_unknown(limit);
	} else if (limit->decided) {
		judge_by_rule(&facts, limit);
	} else if (share_of(limit->active_ns, limit->observed_ns) < IDLE_SHARE) {
		judge_idle(&facts, limit);
	} else if (share_of(limit->active_ns, limit->observed_ns) < BUSY_SHARE) {
		judge_ok(&facts, limit);
	} else {
		limit->verdict = "mixed";
		limit->cause = "no single thing takes most of the time";
		limit->next_step =
			"look at the functions with the largest total and their breakdown";
	}
	add_evidence(&facts, limit);
}
