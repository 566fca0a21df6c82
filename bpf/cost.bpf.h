/* SPDX-License-Identifier: GPL-2.0 */
/* What our probes take of a thread's time, so that it can be taken off its calls. */
#ifndef PYTRACE_COST_BPF_H
#define PYTRACE_COST_BPF_H

#include "hit.bpf.h"

#define COST_FIRST 8 /* exits that are all timed */

/*
 * The time from one hit to the next is half a trap, what the target did, and half a
 * trap.  Where the target did next to nothing (calling at once, in a call without
 * calls, between two in a row) it is the cost: follow a low quantile of it (one in nine is below),
 * never above `most`.
 */
static __always_inline u32 low_quantile(u32 cost, u64 took, u32 most)
{
	cost += took < cost ? -(cost / 16) : cost / 128;
	return cost < most ? cost : most;
}

/*
 * What ran since the last hit took so much longer for it, but for no more than a share of it:
 * little code misses little in the caches.  `cost`: what the time between the two hits has of the
 * traps.
 */
static __always_inline u32 slowed(const struct hit *hit, u32 cost)
{
	const struct thread *t = hit->t;
	u64 gap = t->hit_ns ? hit->now - t->hit_ns : ~0ULL;
	u64 most = gap > cost ? (gap - cost) / 2 : 0;

	return most < hit->cost->slowed_ns ? most : hit->cost->slowed_ns;
}

/* The program of an entry ends now: what it took is its thread's loss, not the call's time. */
static __always_inline u64 entry_over(struct hit *hit)
{
	struct thread *t = hit->t;
	struct build_cost *cost = hit->cost;
	u64 end = bpf_ktime_get_ns(), took = end - hit->now;

	if (t->hit_entry)
		cost->trap_ns = low_quantile(cost->trap_ns, hit->now - t->hit_ns, cost->most_ns);
	else
		cost->after_ns = low_quantile(cost->after_ns, hit->now - t->hit_ns,
					      cost->trap_ns + cost->exit_ns);
	t->probe_ns += slowed(hit, t->hit_entry ? cost->trap_ns : cost->after_ns);
	t->hit_entry = 1;
	t->hit_ns = end;
	t->probe_ns += took < COST_OUTLIER_NS ? took : cost->exit_ns;
	return end;
}

/* The next hit tells nothing of what a usual trap costs. */
static __always_inline void gap_tells_nothing(struct thread *t)
{
	t->hit_entry = 1;
	t->hit_ns = 0;
}

/* The end of the program that hears of exceptions: all of it is inside the call. */
static __always_inline void unwind_over(struct hit *hit)
{
	struct thread *t = hit->t;
	u64 end = bpf_ktime_get_ns(), took = end - hit->now;

	t->probe_ns += slowed(hit, hit->cost->trap_ns) + hit->cost->trap_ns +
		       (took < COST_OUTLIER_NS ? took : hit->cost->exit_ns);
	gap_tells_nothing(t);
}

/*
 * Where the instruction under the probe is single-stepped, that comes after our program: inside
 * the call that has begun, or in the caller of the one that has ended.
 */
static __always_inline void step_follows(struct hit *hit)
{
	if (!hit->site || !hit->site->stepped)
		return;
	hit->t->probe_ns += hit->cost->step_ns - hit->cost->most_ns;
	gap_tells_nothing(hit->t);
}

/* An exit begins: its half of the traps is inside the call that ends. */
static __always_inline void exit_begins(struct hit *hit)
{
	struct thread *t = hit->t;
	struct build_cost *cost = hit->cost;

	if (t->hit_entry)
		cost->inner_ns = low_quantile(cost->inner_ns, hit->now - t->hit_ns, cost->most_ns);
	t->probe_ns += cost->inner_ns + slowed(hit, cost->inner_ns);
}

/* It ends; the rest is its caller's.  What the program takes after the accounting is sampled. */
static __always_inline void exit_over(struct hit *hit)
{
	struct thread *t = hit->t;
	struct build_cost *cost = hit->cost;
	u64 took;

	if (cost->samples < COST_FIRST || cost_is_sampled(hit->now)) {
		took = bpf_ktime_get_ns() - hit->now;
		if (!cost->samples++)
			cost->exit_ns = took;
		cost->exit_ns += took < cost->exit_ns ? -(cost->exit_ns / 8) : cost->exit_ns / 8;
	}
	t->probe_ns += cost->after_ns;
	t->hit_entry = 0;
	t->hit_ns = hit->now;
	step_follows(hit);
}

#endif
