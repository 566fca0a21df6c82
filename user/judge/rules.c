/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The table of rules, and what each is measured by. */
#include "rules.h"

#include <math.h>
#include <string.h>

/* Memory: in fewer readings there is no telling a leak from a start. */
#define MEMORY_READINGS 4
#define MEMORY_LEAST_BYTES (8 << 20)
/* A convoy: so many waits for the GIL after I/O, so much of all of them. */
#define CONVOY_WAITS 20

static double of_elapsed(const struct facts *facts, uint64_t ns)
{
	return share_of(ns, facts->observed_ns);
}

static double of_active(const struct facts *facts, int part)
{
	return share_of(facts->busy_ns[part], facts->active_ns);
}

static bool is_busy(const struct facts *facts)
{
	return of_elapsed(facts, facts->active_ns) >= BUSY_SHARE;
}

/* Its threads had to wait for the group's quota: no longer than they were ready to run. */
static double throttled(const struct facts *facts)
{
	uint64_t ns = facts->process->throttled_ns, runq = facts->busy_ns[WAIT_RUNQ];

	if (!facts->process->throttled_by)
		return 0;
	return of_elapsed(facts, ns < runq ? ns : runq);
}

static double collecting(const struct facts *facts)
{
	return facts->gc_known ? share_of(facts->gc_ns, facts->busy_ns[LIMIT_ONCPU]) : NAN;
}

static bool collects_long(const struct facts *facts)
{
	return of_elapsed(facts, facts->gc_ns) >= 0.05;
}

/* Without a thread that waited nobody wanted it. */
static double gil_wanted(const struct facts *facts)
{
	return facts->gil_known ? of_elapsed(facts, facts->gil_ns) : 0;
}

static double loop_held_up(const struct facts *facts)
{
	return of_elapsed(facts, facts->loop_ns);
}

static double memory_growth(const struct facts *facts)
{
	return facts->process->rss_readings >= 2 ? facts->process->rss_growth : NAN;
}

static bool grows_steadily(const struct facts *facts)
{
	const struct profile_process *process = facts->process;

	return process->rss_readings >= MEMORY_READINGS &&
	       process->rss_bytes >= process->rss_begin_bytes + MEMORY_LEAST_BYTES &&
	       process->rss_grown * 4 >= (process->rss_readings - 1) * 3;
}

static double queue_waited(const struct facts *facts)
{
	return of_elapsed(facts, facts->queue_ns);
}

static bool queue_is_used(const struct facts *facts)
{
	return facts->queue_count >= 5;
}

static double core(const struct facts *facts)
{
	return of_elapsed(facts, facts->busy_ns[LIMIT_ONCPU]);
}

static bool mostly_runs(const struct facts *facts)
{
	return of_active(facts, LIMIT_ONCPU) >= 0.40;
}

#define SHARE_OF_ACTIVE(name, part)                                                                \
	static double name(const struct facts *facts)                                              \
	{                                                                                          \
		return of_active(facts, part);                                                     \
	}

SHARE_OF_ACTIVE(runq_share, WAIT_RUNQ)
SHARE_OF_ACTIVE(lock_share, WAIT_LOCK)
SHARE_OF_ACTIVE(cpu_share, LIMIT_ONCPU)
SHARE_OF_ACTIVE(net_share, WAIT_NET)
SHARE_OF_ACTIVE(disk_share, WAIT_DISK)
SHARE_OF_ACTIVE(pipe_share, WAIT_PIPE)
SHARE_OF_ACTIVE(child_share, WAIT_CHILD)
SHARE_OF_ACTIVE(fault_share, WAIT_FAULT)

#define ELAPSED "of the time"
#define ACTIVE "of active time"
#define IF_BUSY is_busy, "threads active half of the time"

/*
 * Contention comes before its own consequence: two spinning threads run 50 % of their time and
 * wait for the GIL the other 50 %, and it is the GIL that a second core would not help against.
 * Likewise what stops everybody (a quota, the collector) before who then waits for whom.
 */
const struct limit_rule limit_rules[LIMIT_RULES] = {
	{"throttled", "runq", throttled, 0.20, NULL, NULL, ELAPSED, WAIT_RUNQ, BLAME_WAIT,
	 "throttled by a CPU quota: stopped",
	 "the CPU quota of its control group was used up, and all in it stopped",
	 "raise the quota (cpu.max) of that control group, or run fewer threads in it"},
	{"gc", "gc", collecting, 0.30, collects_long, "collections 5 % of the time",
	 "of on-CPU time", LIMIT_ONCPU, BLAME_GC, "garbage collection:",
	 "the collector goes through the objects again and again, and all threads wait meanwhile",
	 "make fewer containers there, or collect less often: gc.freeze() after the start, a higher "
	 "gc.set_threshold()"},
	{"gil", "gil", gil_wanted, 0.20, NULL, NULL, ELAPSED, WAIT_GIL, BLAME_GIL,
	 "GIL-bound: threads waited for the GIL",
	 "threads that want to run Python code wait for the one that does",
	 "look at what the holder computes while others wait; move that work to processes, or into "
	 "code that releases the GIL"},
	{"loop", "loop", loop_held_up, 0.20, NULL, NULL, ELAPSED, LIMIT_ONCPU, BLAME_LOOP,
	 "event loop held up",
	 "a callback of the event loop blocks or computes, and every other task waits",
	 "await an asynchronous call instead, or move it to a thread: asyncio.to_thread(), "
	 "loop.run_in_executor()"},
	{"memory", "memory", memory_growth, 1 << 20, grows_steadily,
	 "8 MiB more, in three of four readings", NULL, LIMIT_ONCPU, BLAME_MEMORY,
	 "memory growth:", "its resident memory grew all the time it was watched",
	 "watch it for longer; if it goes on, look at what keeps objects: tracemalloc tells where "
	 "they were made"},
	{"runq", "runq", runq_share, 0.25, IF_BUSY, ACTIVE, WAIT_RUNQ, BLAME_WAIT,
	 "short of CPU: runnable but not running", "threads were ready to run and got no core",
	 "look at the host's load and the CPU quota of the process's cgroup"},
	{"lock", "lock", lock_share, 0.40, IF_BUSY, ACTIVE, WAIT_LOCK, BLAME_WAIT,
	 "lock-bound: waiting on locks or queues",
	 "threads wait for a lock, or for a queue that another thread fills",
	 "look at what is done while that lock is held"},
	{"cpu", "cpu", core, 0.70, mostly_runs, "on-CPU 40 % of active time", "of a core",
	 LIMIT_ONCPU, BLAME_CPU, "CPU-bound: on-CPU", "the time is spent running code",
	 "look at the functions with the largest self time"},
	{"queue", "lock", queue_waited, 0.40, queue_is_used, "5 waits", ELAPSED, WAIT_LOCK,
	 BLAME_QUEUE, "waiting on a queue:",
	 "the thread that fills the queue takes longer than the one that empties it",
	 "look at what the producer does, or run several of it"},
	{"computing", "cpu", cpu_share, 0.40, IF_BUSY, ACTIVE, LIMIT_ONCPU, BLAME_CPU,
	 "computing: on-CPU", "the time is spent running code",
	 "look at the functions with the largest self time"},
	{"net", "net", net_share, 0.40, IF_BUSY, ACTIVE, WAIT_NET, BLAME_WAIT,
	 "I/O-bound: waiting on sockets (net)", "a peer takes its time to answer",
	 "look at the waits of class net: which function waits, and how long"},
	{"disk", "disk", disk_share, 0.40, IF_BUSY, ACTIVE, WAIT_DISK, BLAME_WAIT,
	 "I/O-bound: waiting on files (disk)", "reads, writes or syncs of files block",
	 "look at the waits of class disk: which function waits, and in which syscall"},
	{"pipe", "pipe", pipe_share, 0.40, IF_BUSY, ACTIVE, WAIT_PIPE, BLAME_WAIT,
	 "I/O-bound: waiting on pipes or a terminal (pipe)",
	 "the other end of a pipe is slow to write or to read",
	 "look at the process at the other end"},
	{"child", "child", child_share, 0.40, IF_BUSY, ACTIVE, WAIT_CHILD, BLAME_WAIT,
	 "waiting for child processes (child)", "the process waits for its children to end",
	 "look at what the children do"},
	{"fault", "fault", fault_share, 0.40, IF_BUSY, ACTIVE, WAIT_FAULT, BLAME_WAIT,
	 "waiting for memory (fault)", "page faults have to be served from disk",
	 "look at the memory of the host and the limit of the process's cgroup"},
};

/* Most of the time somebody wants it, one has it that sleeps or waits itself. */
static bool gil_kept_asleep(const struct facts *facts)
{
	return facts->gil_held_ns * 2 > facts->gil_ns;
}

static bool convoy(const struct facts *facts)
{
	return facts->process->gil_after_io >= CONVOY_WAITS &&
	       facts->process->gil_after_io_ns * 2 >= facts->busy_ns[WAIT_GIL];
}

/*
 * Only a third: throttled time is counted once a CPU, however many threads wait there, and
 * those that are ready when it ends wait for each other as well.
 */
static bool runq_throttled(const struct facts *facts)
{
	return share_of(facts->process->throttled_ns, facts->busy_ns[WAIT_RUNQ]) >= 1.0 / 3;
}

static bool runq_preempted(const struct facts *facts)
{
	return share_of(facts->process->preempted_ns, facts->busy_ns[WAIT_RUNQ]) >= 0.5;
}

static bool runq_woken_late(const struct facts *facts)
{
	return share_of(facts->process->woken_late_ns, facts->busy_ns[WAIT_RUNQ]) >= 0.5;
}

static const struct limit_cause causes[] = {
	{"gil", gil_kept_asleep, "GIL-bound: threads waited for the GIL",
	 "native code that holds it waits or sleeps, and so stops every thread",
	 "have that native code release the GIL while it waits (Py_BEGIN_ALLOW_THREADS; of ctypes, "
	 "CDLL does so and PyDLL does not)"},
	{"gil", convoy, "GIL-bound, a convoy: threads waited for the GIL",
	 "after each read or write a thread waits for one that computes to be told to let go, 5 ms",
	 "move what the holder computes to a process; a shorter sys.setswitchinterval() makes the "
	 "waits shorter"},
	{"runq", runq_throttled, "throttled by a CPU quota: runnable but not running",
	 "the CPU quota of its control group was used up, and all in it stopped",
	 "raise the quota (cpu.max) of that control group, or run fewer threads in it"},
	{"runq", runq_preempted, "short of CPU: preempted, runnable but not running",
	 "running threads had to give the CPU to others",
	 "look at the host's load: more threads compute than there are CPUs"},
	{"runq", runq_woken_late, "short of CPU: woken late, runnable but not running",
	 "threads whose wait was over got no CPU at once",
	 "look at what else runs on these CPUs, and at the priorities of both"},
};

const struct limit_cause *limit_cause_of(const struct limit_rule *rule, const struct facts *facts)
{
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		if (!strcmp(causes[i].rule, rule->name) && causes[i].holds(facts))
			return &causes[i];
	return NULL;
}
