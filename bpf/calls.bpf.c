// SPDX-License-Identifier: GPL-2.0
/*
 * Calls: the program of the probe sites.  It keeps its thread's shadow stack
 * true to the interpreter's and accounts what ended.
 */
#include "cost.bpf.h"
#include "enter.bpf.h"
#include "hit.bpf.h"
#include "leave.bpf.h"
#include "loop.bpf.h"

/* Every probe site.  (One program, and so one link: each takes a grace period to close.) */
SEC("uprobe")
int call_site(struct pt_regs *ctx)
{
	enum ending how = ENDED_RETURN;
	struct hit hit;

	if (hit_begin(ctx, &hit))
		return 0;
	switch (hit.kind) {
	case SITE_ENTRY:
	case SITE_THROW:
		enter(&hit, hit.kind == SITE_THROW ? ENTERED_BY_THROW : ENTERED);
		cost_sample(COST_ENTRY, hit.now);
		return 0;
	case SITE_UNWIND:
		unwind(&hit);
		unwind_over(&hit);
		step_follows(&hit);
		return 0;
	case SITE_YIELD:
		how = ENDED_YIELD;
		break;
	case SITE_LEAVE: /* up to 3.10: one probe for every way out */
		how = ending_at_leave(hit.t, hit.l, hit.site, site_frame(ctx, hit.site));
		break;
	}
	exit_begins(&hit);
	leave(&hit, how);
	exit_over(&hit);
	if (hit.t->call_over.pending)
		loop_tell(hit.t, hit.l);
	cost_sample(COST_EXIT, hit.now);
	return 0;
}

/* What a probe costs without us: for calibration and comparison. */
SEC("uprobe")
int call_nothing(struct pt_regs *ctx)
{
	return 0;
}
