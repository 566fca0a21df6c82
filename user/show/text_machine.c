/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "text_machine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../judge/blame.h"
#include "../judge/gil_use.h"
#include "text_line.h"
#include "units.h"

/* Throttling is told of from this share of the time on, what the run queue is made of from this
 * one. */
#define THROTTLED_SHARE 0.001
#define RUNQ_SHARE 0.05
/*
 * The GIL is told of where it is wanted for this share of the time, or was kept ten times as long
 * as Python code keeps it that others want; and who kept it from that time on.
 */
#define GIL_SHARE 0.05
#define GIL_KEPT_NS 5000000
/* Memory is told of where it changed so much. */
#define MEMORY_CHANGE (8 << 20)
/* Page faults from so many on, and so many a second. */
#define FAULTS_LEAST 2048
#define FAULTS_A_SECOND 1000

/* "GIL wanted 43 % of the time, held about 97 %; longest held by resize(): 104 ms" */
static int put_gil(const struct screen *screen, const struct profile *profile,
		   const struct profile_process *process)
{
	char wanted[UNIT_BYTES], share[UNIT_BYTES], time[UNIT_BYTES], held[64] = "";
	struct gil_use use;
	uint64_t kept_ns;

	gil_use(profile, process, &use);
	kept_ns = use.longest ? use.longest->hold_max_ns : 0;
	if (use.wanted < GIL_SHARE && kept_ns < 10 * GIL_KEPT_NS)
		return 0;
	format_share(wanted, use.wanted);
	if (!isnan(use.held))
		snprintf(held, sizeof(held), ", held about %s", format_share(share, use.held));
	if (kept_ns < GIL_KEPT_NS)
		return text_put_line(screen, STYLE_PLAIN, TEXT_INDENT,
				     "GIL wanted %s of the time%s", wanted, held);
	return text_put_line(screen, STYLE_PLAIN, TEXT_INDENT,
			     "GIL wanted %s of the time%s; longest held by %s(): %s", wanted, held,
			     use.longest->function ?: "?", format_duration(time, (double)kept_ns));
}

/* What stopped threads that could have run, where that is worth a word. */
static int put_runq(const struct screen *screen, const struct judged *judged)
{
	const struct profile_process *process = judged->process;
	const struct limit *limit = &judged->limit;
	uint64_t runq = limit->busy_ns[WAIT_RUNQ];
	char time[UNIT_BYTES], other[UNIT_BYTES], whole[UNIT_BYTES];
	int err = 0;

	if (process->throttled_by &&
	    (double)process->throttled_ns >= THROTTLED_SHARE * (double)limit->observed_ns &&
	    process->throttled_ns)
		err = text_put_line(screen, STYLE_PLAIN, TEXT_INDENT,
				    "Throttled %s (%llu times) in %s by the CPU quota of %s",
				    format_duration(time, (double)process->throttled_ns),
				    (unsigned long long)process->throttle_count,
				    format_duration(whole, (double)limit->observed_ns),
				    process->throttled_by);
	if (err || !runq || (double)runq < RUNQ_SHARE * (double)limit->active_ns)
		return err;
	return text_put_line(screen, STYLE_PLAIN, TEXT_INDENT,
			     "Run queue %s: preempted %s, woken late %s",
			     format_duration(whole, (double)runq),
			     format_duration(time, (double)process->preempted_ns),
			     format_duration(other, (double)process->woken_late_ns));
}

/* "Memory 145 MB, +12.3 MB/s", where a verdict does not tell it. */
static int put_memory(const struct screen *screen, const struct judged *judged)
{
	const struct profile_process *process = judged->process;
	char all[UNIT_BYTES], rate[UNIT_BYTES];

	if (process->rss_readings < 2 || !strcmp(judged->limit.verdict, "memory") ||
	    llabs((long long)(process->rss_bytes - process->rss_begin_bytes)) < MEMORY_CHANGE)
		return 0;
	return text_put_line(screen, STYLE_PLAIN, TEXT_INDENT, "Memory %s, %c%s/s",
			     format_bytes(all, (double)process->rss_bytes),
			     process->rss_growth < 0 ? '-' : '+',
			     format_bytes(rate, fabs(process->rss_growth)));
}

/* Where its memory grew, or came back from where it had been given to. */
static int put_faults(const struct screen *screen, const struct profile *profile,
		      const struct judged *judged)
{
	char all[UNIT_BYTES], share[UNIT_BYTES];
	const struct profile_name *most;
	struct tally faults;
	uint64_t count;

	most = faults_most(profile, judged->process->tgid, &faults, &count);
	if (!most || faults.all < FAULTS_LEAST ||
	    (double)faults.all < FAULTS_A_SECOND * (double)judged->limit.observed_ns / 1e9)
		return 0;
	return text_put_line(screen, STYLE_PLAIN, TEXT_INDENT, "Page faults, about %s: %s in %s()",
			     format_about(all, (double)faults.all),
			     format_share(share, (double)count / (double)faults.all),
			     most->function);
}

int text_put_machine(const struct screen *screen, const struct profile *profile,
		     const struct judged *judged)
{
	int err = put_gil(screen, profile, judged->process);

	if (!err)
		err = put_runq(screen, judged);
	if (!err)
		err = put_memory(screen, judged);
	return err ? err : put_faults(screen, profile, judged);
}
