/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The rules by which a process is said to be limited by one thing. */
#include "limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idle.h"

/* Below this share of one core's time a process is called idle. */
#define IDLE_SHARE 0.02
/* Below this one it is mostly idle, whatever its few active moments are made of. */
#define BUSY_SHARE 0.50
/* A core this full is CPU-bound; less is merely computing. */
#define CORE_FULL 0.70
/* What run queue time is made of is told from this share of active time on. */
#define RUNQ_TOLD 0.05

struct limit_rule {
	int part;
	double share;     /* of active time, at least */
	const char *lead; /* what the line says, up to the share */
	const char *cause;
	const char *next_step;
};

/*
 * The first rule that holds wins.  Contention comes before its own consequence:
 * two spinning threads run 50 % of their time and wait for the GIL the other 50 %,
 * and it is the GIL that a second core would not help against.
 */
static const struct limit_rule limit_rules[] = {
	{WAIT_GIL, 0.25, "GIL-bound: threads waited for the GIL",
	 "threads that want to run Python code wait for the one that does",
	 "look at who computes while others wait; move that work to processes, or into code that "
	 "releases the GIL"},
	{WAIT_RUNQ, 0.25, "short of CPU: runnable but not running",
	 "threads were ready to run and got no core",
	 "look at the host's load and the CPU quota of the process's cgroup"},
	{WAIT_LOCK, 0.40, "waiting on locks or queues",
	 "threads wait for a lock, or for a queue that another thread fills",
	 "look at what is done while that lock is held"},
	{LIMIT_ONCPU, 0.40, "computing:", "the time is spent running code",
	 "look at the functions with the largest self time"},
	{WAIT_NET, 0.40, "waiting on sockets (net)", "a peer takes its time to answer",
	 "look at the waits of class net: which function waits, and how long"},
	{WAIT_DISK, 0.40, "waiting on files (disk)", "reads, writes or syncs of files block",
	 "look at the waits of class disk: which function waits, and in which syscall"},
	{WAIT_PIPE, 0.40, "waiting on pipes or a terminal (pipe)",
	 "the other end of a pipe is slow to write or to read",
	 "look at the process at the other end"},
	{WAIT_CHILD, 0.40, "waiting for child processes (child)",
	 "the process waits for its children to end", "look at what the children do"},
	{WAIT_FAULT, 0.40, "waiting for memory (fault)", "page faults have to be served from disk",
	 "look at the memory of the host and the limit of the process's cgroup"},
};

/* Why threads that are ready to run do not: the first that holds wins, if one does. */
struct runq_rule {
	double share; /* of run queue time, at least */
	const char *lead;
	const char *cause;
	const char *next_step;
};

enum { RUNQ_THROTTLED, RUNQ_PREEMPTED, RUNQ_WOKEN_LATE, RUNQ_CAUSES };

static const struct runq_rule runq_rules[] = {
	/*
	 * Only a third: throttled time is counted once a CPU, however many threads wait there, and
	 * those that are ready when it ends wait for each other as well.
	 */
	[RUNQ_THROTTLED] = {1.0 / 3, "throttled by a CPU quota: runnable but not running",
			    "the CPU quota of its control group was used up, and all in it stopped",
			    "raise the quota (cpu.max) of that control group, or run fewer threads "
			    "in it"},
	[RUNQ_PREEMPTED] = {0.5, "short of CPU: preempted, runnable but not running",
			    "running threads had to give the CPU to others",
			    "look at the host's load: more threads compute than there are CPUs"},
	[RUNQ_WOKEN_LATE] = {0.5, "short of CPU: woken late, runnable but not running",
			     "threads whose wait was over got no CPU at once",
			     "look at what else runs on these CPUs, and at the priorities of both"},
};

#define RULES (sizeof(limit_rules) / sizeof(limit_rules[0]))

const char *limit_part_name(int part)
{
	return part == LIMIT_ONCPU ? "cpu" : wait_class_name(part);
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0.0;
}

/*
 * Where the time went.  A wait not yet over is in a thread's total but may be in no
 * histogram, so of a class in which some waits are for work only those known not to
 * be count as held up; the rest of it is idle.
 */
static void add_up(const struct profile *profile, const struct profile_process *process,
		   struct limit *limit)
{
	uint64_t total[WAIT_CLASSES] = {0}, held[WAIT_CLASSES] = {0};
	bool some_idle[WAIT_CLASSES] = {false};
	uint64_t oncpu = 0;

	for (size_t i = 0; i < profile->thread_count; i++) {
		const struct profile_thread *thread = &profile->threads[i];

		if (thread->tgid != process->tgid)
			continue;
		oncpu += thread->oncpu_ns;
		for (int c = 0; c < WAIT_CLASSES; c++)
			total[c] += thread->wait_ns[c];
	}
	for (size_t i = 0; i < profile->wait_count; i++) {
		const struct profile_wait *wait = &profile->waits[i];

		if (wait->tgid != process->tgid)
			continue;
		if (wait_is_idle(wait))
			some_idle[wait->wait_class] = true;
		else
			held[wait->wait_class] += wait->time.sum_ns;
	}
	for (int c = 0; c < WAIT_CLASSES; c++) {
		uint64_t busy = total[c];

		if (wait_class_is_idle(c))
			busy = 0;
		else if (some_idle[c])
			busy = held[c] < total[c] ? held[c] : total[c];
		limit->busy_ns[c] = busy;
		limit->idle_ns[c] = total[c] - busy;
		limit->active_ns += busy;
	}
	limit->busy_ns[LIMIT_ONCPU] = process->oncpu_ns ? process->oncpu_ns : oncpu;
	limit->active_ns += limit->busy_ns[LIMIT_ONCPU];
	limit->observed_ns = process->observed_ns ? process->observed_ns : profile->duration_ns;
}

/* Time `function` waited itself, which is in its self time but not on-CPU. */
static uint64_t own_waits(const struct profile *profile, const struct profile_function *function)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < profile->wait_count; i++) {
		const struct profile_wait *wait = &profile->waits[i];

		if (wait->tgid == function->tgid && wait->line == function->line &&
		    wait->function && function->function &&
		    !strcmp(wait->function, function->function) && wait->file && function->file &&
		    !strcmp(wait->file, function->file))
			sum += wait->time.sum_ns;
	}
	return sum;
}

static void find_busiest_function(const struct profile *profile, uint32_t tgid, struct limit *limit)
{
	uint64_t most = 0, own;

	for (size_t i = 0; i < profile->function_count; i++) {
		const struct profile_function *f = &profile->functions[i];

		/* Its waits are only worth adding up if it could still be the one. */
		if (f->tgid != tgid || !f->called || f->self_ns <= most)
			continue;
		own = own_waits(profile, f);
		if (f->self_ns <= own || f->self_ns - own <= most)
			continue;
		most = f->self_ns - own;
		limit->where = f;
		limit->function = f->function;
	}
	limit->where_share = share(most, limit->busy_ns[LIMIT_ONCPU]);
}

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static bool same_function(const struct profile_wait *a, const struct profile_wait *b)
{
	return a->line == b->line && !compare_text(a->function, b->function) &&
	       !compare_text(a->file, b->file);
}

/* Those of one function together, and of these those on one target. */
static int compare_waits(const void *left, const void *right)
{
	const struct profile_wait *a = *(const struct profile_wait *const *)left;
	const struct profile_wait *b = *(const struct profile_wait *const *)right;
	int order = compare_text(a->function, b->function);

	if (!order)
		order = compare_text(a->file, b->file);
	if (!order)
		order = (a->line > b->line) - (a->line < b->line);
	return order ? order : compare_text(a->target, b->target);
}

/* The waits of one part, sorted: an array for free(); NULL without memory. */
static const struct profile_wait **waits_of(const struct profile *profile, uint32_t tgid, int part,
					    bool idle, size_t *count)
{
	const struct profile_wait **found = calloc(profile->wait_count + 1, sizeof(void *));
	size_t n = 0;

	for (size_t i = 0; found && i < profile->wait_count; i++) {
		const struct profile_wait *wait = &profile->waits[i];

		if (wait->tgid == tgid && wait->wait_class == (enum wait_class)part &&
		    wait_is_idle(wait) == idle)
			found[n++] = wait;
	}
	if (found)
		qsort(found, n, sizeof(void *), compare_waits);
	*count = n;
	return found;
}

/* The target that most of these waits were for, if there is one. */
static const char *main_target(const struct profile_wait *const *waits, size_t count, uint64_t all)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		if (i && compare_text(waits[i]->target, waits[i - 1]->target) != 0)
			sum = 0;
		sum += waits[i]->time.sum_ns;
		if (2 * sum > all)
			return waits[i]->target;
	}
	return NULL;
}

/* In which function the process waited longest, and there for what. */
static void find_longest_wait(const struct profile *profile, uint32_t tgid, int part, bool idle,
			      struct limit *limit)
{
	const struct profile_wait **waits;
	uint64_t most = 0, sum = 0;
	size_t count, first = 0;

	waits = waits_of(profile, tgid, part, idle, &count);
	for (size_t i = 0; waits && i < count; i++) {
		if (!same_function(waits[first], waits[i])) {
			first = i;
			sum = 0;
		}
		sum += waits[i]->time.sum_ns;
		if (sum <= most)
			continue;
		most = sum;
		limit->wait = waits[i];
		limit->target = main_target(waits + first, i - first + 1, sum);
	}
	free(waits);
	if (limit->wait && limit->wait->function && *limit->wait->function)
		limit->function = limit->wait->function;
	limit->where_share = share(most, idle ? limit->idle_ns[part] : limit->busy_ns[part]);
}

static int largest(const uint64_t *parts)
{
	int best = 0;

	for (int i = 1; i < LIMIT_PARTS; i++) {
		if (parts[i] > parts[best])
			best = i;
	}
	return best;
}

/* Where run queue time is worth a word, what it is made of. */
static void add_runq_evidence(const struct profile_process *process, struct limit *limit, int n)
{
	if (share(limit->busy_ns[WAIT_RUNQ], limit->active_ns) >= RUNQ_TOLD)
		snprintf(limit->evidence[n++], LIMIT_EVIDENCE_BYTES,
			 "run queue: %.3f s preempted, %.3f s woken late",
			 (double)process->preempted_ns / 1e9, (double)process->woken_late_ns / 1e9);
	if (process->throttled_ns)
		snprintf(limit->evidence[n], LIMIT_EVIDENCE_BYTES,
			 "CPU quota: throttled %.3f s in %.3f s, %llu times",
			 (double)process->throttled_ns / 1e9, (double)limit->observed_ns / 1e9,
			 (unsigned long long)process->throttle_count);
}

static void add_evidence(const struct profile_process *process, struct limit *limit)
{
	uint64_t left[2][LIMIT_PARTS];
	int n = 0;

	memcpy(left[0], limit->busy_ns, sizeof(left[0]));
	memcpy(left[1], limit->idle_ns, sizeof(left[1]));
	for (int idle = 0; idle < 2; idle++) {
		/* Two lines are kept for idleness, and two for the run queue. */
		while (n < (idle ? LIMIT_EVIDENCE - 2 : LIMIT_EVIDENCE - 4)) {
			int part = largest(left[idle]);
			uint64_t ns = left[idle][part];

			if (!ns)
				break;
			left[idle][part] = 0;
			snprintf(limit->evidence[n++], LIMIT_EVIDENCE_BYTES,
				 "%s %s: %.3f s of thread time in %.3f s", idle ? "idle" : "active",
				 limit_part_name(part), (double)ns / 1e9,
				 (double)limit->observed_ns / 1e9);
		}
	}
	add_runq_evidence(process, limit, n);
}

static void judge_idle(const struct profile *profile, uint32_t tgid, struct limit *limit)
{
	int part = largest(limit->idle_ns);

	limit->verdict = "idle";
	limit->cause = "its threads sleep or wait for work";
	limit->next_step = "nothing to speed up here; look for what should give it work";
	if (limit->idle_ns[part])
		find_longest_wait(profile, tgid, part, true, limit);
}

/* Parts of run queue time, as far as they are known. */
static void say_runq_cause(const struct profile_process *process, struct limit *limit)
{
	const uint64_t parts[] = {
		[RUNQ_THROTTLED] = process->throttled_ns,
		[RUNQ_PREEMPTED] = process->preempted_ns,
		[RUNQ_WOKEN_LATE] = process->woken_late_ns,
	};

	for (int i = 0; i < RUNQ_CAUSES; i++) {
		if (share(parts[i], limit->busy_ns[WAIT_RUNQ]) < runq_rules[i].share)
			continue;
		limit->lead = runq_rules[i].lead;
		limit->cause = runq_rules[i].cause;
		limit->next_step = runq_rules[i].next_step;
		return;
	}
}

static void judge_active(const struct profile *profile, const struct profile_process *process,
			 struct limit *limit)
{
	uint32_t tgid = process->tgid;

	for (size_t i = 0; i < RULES; i++) {
		const struct limit_rule *rule = &limit_rules[i];

		if (share(limit->busy_ns[rule->part], limit->active_ns) < rule->share)
			continue;
		limit->verdict = limit_part_name(rule->part);
		limit->lead = rule->lead;
		limit->cause = rule->cause;
		limit->next_step = rule->next_step;
		if (rule->part == WAIT_RUNQ)
			say_runq_cause(process, limit);
		if (rule->part != LIMIT_ONCPU)
			find_longest_wait(profile, tgid, rule->part, false, limit);
		else
			find_busiest_function(profile, tgid, limit);
		return;
	}
	limit->verdict = "mixed";
	limit->cause = "no single thing takes most of the time";
	limit->next_step = "look at the functions with the largest total and their breakdown";
}

void limit_of_process(const struct profile *profile, const struct profile_process *process,
		      struct limit *limit)
{
	*limit = (struct limit){0};
	add_up(profile, process, limit);
	add_evidence(process, limit);
	if (!limit->active_ns && !limit->idle_ns[largest(limit->idle_ns)]) {
		limit->verdict = "unknown";
		limit->cause = "no thread of it ran or ended a wait while it was watched";
		limit->next_step = "watch it for longer";
	} else if (share(limit->active_ns, limit->observed_ns) < IDLE_SHARE) {
		judge_idle(profile, process->tgid, limit);
	} else {
		judge_active(profile, process, limit);
	}
}

static const struct limit_rule *rule_of(const struct limit *limit)
{
	for (size_t i = 0; i < RULES; i++) {
		if (!strcmp(limit->verdict, limit_part_name(limit_rules[i].part)))
			return &limit_rules[i];
	}
	return NULL;
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

/* ", most of it in burn()", if anything is known. */
static void say_where(const struct limit *limit, char *out, size_t size)
{
	*out = '\0';
	if (limit->function && limit->where_share >= 0.10)
		snprintf(out, size, ", %s in %s()%s%s",
			 limit->where_share >= 0.5 ? "most of it" : "the largest part",
			 limit->function, limit->target ? ", for " : "", limit->target ?: "");
}

static void say_mixed(const struct limit *limit, char *line, size_t size)
{
	uint64_t left[LIMIT_PARTS];
	size_t used = snprintf(line, size, "no single limit:");

	memcpy(left, limit->busy_ns, sizeof(left));
	for (int i = 0; i < 3 && used < size; i++) {
		int part = largest(left);

		if (share(left[part], limit->active_ns) < 0.01)
			break;
		used += snprintf(line + used, size - used, "%s %s %.0f %%", i ? "," : "",
				 limit_part_name(part), share(left[part], limit->active_ns) * 100);
		left[part] = 0;
	}
	if (used < size)
		snprintf(line + used, size - used, " of active time");
}

const char *limit_line(const struct limit *limit, char *line, size_t size)
{
	const struct limit_rule *rule = rule_of(limit);
	double active = share(limit->active_ns, limit->observed_ns);
	double core = share(limit->busy_ns[LIMIT_ONCPU], limit->observed_ns);
	char where[512];

	say_where(limit, where, sizeof(where));
	if (!strcmp(limit->verdict, "unknown")) {
		snprintf(line, size, "nothing seen: %s", limit->cause);
	} else if (!strcmp(limit->verdict, "idle")) {
		snprintf(line, size, "idle: active %.1f %% of the time, otherwise %s%s",
			 active * 100,
			 limit->idle_ns[largest(limit->idle_ns)]
				 ? idle_text(largest(limit->idle_ns), limit->wait)
				 : "waiting",
			 where);
	} else if (!rule) {
		say_mixed(limit, line, size);
	} else if (active < BUSY_SHARE) {
		snprintf(line, size,
			 "mostly idle: active %.0f %% of the time, %.0f %% of that %s%s",
			 active * 100, share(limit->busy_ns[rule->part], limit->active_ns) * 100,
			 rule->part == LIMIT_ONCPU ? "on-CPU" : limit_part_name(rule->part), where);
	} else if (rule->part == LIMIT_ONCPU) {
		snprintf(line, size, "%s on-CPU %.0f %% of a core%s",
			 core >= CORE_FULL ? "CPU-bound:" : limit->lead, core * 100, where);
	} else {
		snprintf(line, size, "%s %.0f %% of active time%s; on-CPU %.0f %% of a core",
			 limit->lead, share(limit->busy_ns[rule->part], limit->active_ns) * 100,
			 where, core * 100);
	}
	return line;
}
