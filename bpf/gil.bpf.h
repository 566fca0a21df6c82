/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For how long any thread waits for a GIL.
 *
 * A thread waits for the GIL in futexes of at most a switch interval (5 ms) each.  Only what is
 * contended is seen: taking or releasing a GIL nobody waits for enters no kernel.
 */
#ifndef PYTRACE_GIL_BPF_H
#define PYTRACE_GIL_BPF_H

#include "common.bpf.h"

#define GIL_GAP_NS 50000 /* between two sleeps of one wait, where nothing else tells */

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

/*
 * One more thread waits.  If the GIL has not changed hands since the last one began to, then
 * nobody has got it meanwhile.  (A function of its own, for its stack is not there while frames are
 * walked: 6.1 adds both up.)
 */
__noinline int gil_wait_begins(struct thread *t, u32 tgid, u64 now)
{
	struct gil_stats *gil;
	bool same = false;

	if (!t)
		return 0;
	gil = gil_of_thread(t, tgid, true);
	if (!gil)
		return 0;
	t->gil_waits = 1;
	if (t->off_flags & WAIT_GIL_TAKEN) {
		same = gil->switches == t->off_gil_switches;
		gil->switches = t->off_gil_switches;
	}
	if (__sync_fetch_and_add(&gil->waiting, 1))
		return 0;
	if (same || now - gil->ended < GIL_GAP_NS) /* they waited on, but for a look at the clock */
		__sync_fetch_and_sub(&gil->contended_ns, gil->ended - gil->since);
	else
		gil->since = now;
	return 0;
}

/*
 * A thread comes to the CPU.  If it has waited for the GIL it has got it, or begins another wait
 * at once.  (A global function, for the verifier goes through those once.)
 */
__noinline int gil_switch_in(struct thread *t, u32 tgid, u64 now)
{
	struct gil_stats *gil;

	if (!t || !t->gil_waits)
		return 0;
	t->gil_waits = 0;
	t->gil_since = now;
	gil = gil_of_thread(t, tgid, false);
	if (!gil || __sync_fetch_and_sub(&gil->waiting, 1) != 1)
		return 0;
	if (now < gil->since)
		now = gil->since;
	__sync_fetch_and_add(&gil->contended_ns, now - gil->since);
	gil->ended = now;
	return 0;
}

#endif
