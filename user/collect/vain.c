// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include "vain.h"

/*
 * Who finds nothing sleeps on at once, some microseconds later, in which the scheduler looks
 * around.  Who found something goes back to Python, and through another system call that asks for
 * more.
 */
#define VAIN_GAP_NS 30000

static bool goes_on(const struct record_wait *vain, const struct record_wait *next)
{
	return next->wait_class == vain->wait_class && next->syscall == vain->syscall &&
	       next->target == vain->target && next->stack == vain->stack &&
	       vain->oncpu_ns + next->oncpu_ns < VAIN_GAP_NS;
}

bool vain_settle(struct thread_total *thread, const struct record_wait *next,
		 struct record_wait *over)
{
	struct record_wait *vain = &thread->vain;

	if (!vain->kind || (next && (next->wait_class == WAIT_RUNQ || goes_on(vain, next))))
		return false;
	*over = *vain;
	over->flags = (over->flags & ~WAIT_IN_VAIN) | WAIT_DONE;
	over->new_ns = over->runq_ns = over->runq_total_ns = over->oncpu_ns = 0;
	vain->kind = 0;
	return true;
}

void vain_join(struct thread_total *thread, struct record_wait *record)
{
	struct record_wait *vain = &thread->vain;

	if (vain->kind && record->wait_class == WAIT_RUNQ)
		vain->oncpu_ns += record->oncpu_ns;
	if (record->wait_class == WAIT_RUNQ || !(record->flags & (WAIT_DONE | WAIT_IN_VAIN)))
		return;
	if (vain->kind)
		record->total_ns += vain->total_ns;
	vain->kind = 0;
	if (record->flags & WAIT_IN_VAIN) {
		*vain = *record;
		vain->oncpu_ns = 0;
	}
}
