/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "text_machine.h"

#include "../judge/blame.h"
#include "text_line.h"
#include "units.h"

/* Throttling is told of from this share of the time on, what the run queue is made of from this
 * one. */
#define THROTTLED_SHARE 0.001
#define RUNQ_SHARE 0.05
/* Page faults from so many on, and so many a second. */
#define FAULTS_LEAST 2048
#define FAULTS_A_SECOND 1000

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
	int err = put_runq(screen, judged);

	return err ? err : put_faults(screen, profile, judged);
}
