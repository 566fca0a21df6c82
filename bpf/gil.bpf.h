/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For how long any thread waits for a GIL.
 *
 * A thread waits for the GIL in futexes of at most a switch interval (5 ms) each.  When it comes
 * to the CPU after one it has it, or waits again at once.  Only what is contended is seen: taking
 * or releasing a GIL nobody waits for enters no kernel.
 */
#ifndef PYTRACE_GIL_BPF_H
#define PYTRACE_GIL_BPF_H

#include "common.bpf.h"

static __always_inline struct gil_stats *gil_of_thread(struct thread *t, u32 tgid, bool create)
{
	struct gil_id key = {.gil = t->gil, .tgid = tgid};
	struct gil_stats fresh = {}, *gil = bpf_map_lookup_elem(&gils, &key);

	if (gil || !create)
		return gil;
	bpf_map_update_elem(&gils, &key, &fresh, BPF_NOEXIST);
	gil = bpf_map_lookup_elem(&gils, &key);
	if (!gil)
		lose(LOSS_GILS_FULL);
	return gil;
}

/* One more thread waits. */
static __always_inline void gil_wait_begins(struct thread *t, u32 tgid, u64 now)
{
	struct gil_stats *gil = gil_of_thread(t, tgid, true);

	if (!gil)
		return;
	t->gil_waits = 1;
	if (!__sync_fetch_and_add(&gil->waiting, 1))
		gil->since = now;
}

/* It has got it (or given up). */
static __always_inline void gil_wait_ends(struct thread *t, u32 tgid, u64 now)
{
	struct gil_stats *gil = gil_of_thread(t, tgid, false);

	t->gil_waits = 0;
	if (!gil)
		return;
	if (__sync_fetch_and_sub(&gil->waiting, 1) == 1 && now > gil->since)
		__sync_fetch_and_add(&gil->contended_ns, now - gil->since);
}

/* Its GIL is this one from now on. */
static __always_inline void thread_has_gil(struct thread *t, u32 tgid, u64 gil)
{
	if (t->gil == gil)
		return;
	if (t->gil_waits)
		gil_wait_ends(t, tgid, bpf_ktime_get_ns());
	t->gil_since = 0;
	t->gil = gil;
}

/* A thread that waited for the GIL comes to the CPU. */
static __always_inline void gil_switch_in(struct thread *t, u64 now)
{
	if (t->gil_waits && t->off_class == WAIT_GIL)
		t->gil_since = now;
}

#endif
