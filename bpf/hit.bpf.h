/* SPDX-License-Identifier: GPL-2.0 */
/* A hit of a probe site: which thread of which process it is, and what we know of both. */
#ifndef PYTRACE_HIT_BPF_H
#define PYTRACE_HIT_BPF_H

#include "python.bpf.h"
#include "site.bpf.h"
#include "wait.bpf.h"

/* What every handler needs, found once at its start. */
struct hit {
	struct pt_regs *ctx;
	struct site_votes *site;
	struct task_struct *task;
	struct thread *t;
	const struct py_layout *l;
	struct build_cost *cost;
	u64 cookie;
	u64 now;
	u32 kind; /* enum site_kind */
	u32 tgid;
};

/* The process is not in the table: take it in if all are wanted. */
static __always_inline int process_admit(u32 tgid, u32 build, u64 runtime, u64 now)
{
	struct process_entry fresh = {
		.runtime = runtime,
		.since = now,
		.build = build,
		.flags = PROCESS_TRACED | PROCESS_CALLS | PROCESS_FOLLOW,
	};
	struct record_task *record;

	if (!admit_all || tgid == own_tgid)
		return 0;
	if (bpf_map_update_elem(&processes, &tgid, &fresh, BPF_NOEXIST)) {
		if (!bpf_map_lookup_elem(&processes, &tgid))
			lose(LOSS_PROCESSES_FULL);
		return 0;
	}
	record = task_record(RECORD_FIRST_HIT, tgid, now);
	if (!record) {
		lose(LOSS_RING_LIFECYCLE);
		return 0;
	}
	record->build = build;
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* Its switch-in was not seen. */
__noinline int thread_awake(struct thread *t)
{
	if (t)
		switch_in_missed(bpf_get_current_task_btf(), t);
	return 0;
}

/*
 * What the process table says of this thread's process, cached in the thread.
 * The probe itself tells where _PyRuntime is: it stands at a known distance.
 */
__noinline int thread_refresh(struct thread *t, u32 tgid, u64 cookie, u64 ip, u64 now)
{
	u32 build = SITE_COOKIE_BUILD(cookie);
	const struct py_layout *l = layout_of(build);
	struct process_entry *p;
	u64 runtime;

	if (!t || !l)
		return 0;
	runtime = ip - SITE_COOKIE_VADDR(cookie) + l->runtime_vaddr;
	p = bpf_map_lookup_elem(&processes, &tgid);
	if (!p) {
		process_admit(tgid, build, runtime, now);
		p = bpf_map_lookup_elem(&processes, &tgid);
	}
	thread_is_of(bpf_get_current_task_btf(), t, p);
	if (p && !p->runtime) {
		if (!(p->flags & PROCESS_CALLS))
			return 0; /* userspace does not believe its layout */
		p->runtime = runtime;
		p->build = build;
	}
	if (t->runtime != runtime || t->build != build) {
		t->runtime = runtime;
		t->build = build;
		t->tstate = 0;
		t->depth = 0;
	}
	return 0;
}

/* There were more hits than this window may have: it is over. */
__noinline int window_spent(struct probe_window *window, struct thread *t, u64 now)
{
	struct record_task *record;
	struct record_alarm *alarm;

	if (!window || !t || window->end_ns <= now)
		return 0;
	window->end_ns = now;
	alarm = bpf_ringbuf_reserve(&alarms, sizeof(*alarm), 0);
	if (alarm) { /* if not, one is on its way, or the main loop hears of it */
		alarm->number = window->number;
		alarm->slot = t->window_slot;
		alarm->build = t->build;
		alarm->tgid = bpf_get_current_task_btf()->tgid;
		alarm->pad = 0;
		bpf_ringbuf_submit(alarm, BPF_RB_FORCE_WAKEUP);
	}
	record = task_record(RECORD_WINDOW_SPENT, bpf_get_current_task_btf()->tgid, now);
	if (record) /* if not, userspace looks at it soon in any case */
		bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/*
 * Is a probe window of its process open?  At its first hit in one, what a thread had on its shadow
 * stack is of another time.
 */
static __always_inline bool window_is_open(struct thread *t, u64 now)
{
	u32 slot = t->window_slot;
	struct probe_window *window = bpf_map_lookup_elem(&windows, &slot);

	if (!window)
		return false;
	if (slot != WINDOW_ALWAYS && !(++t->hits & (WINDOW_HITS_STEP - 1)) &&
	    __sync_fetch_and_add(&window->hits, WINDOW_HITS_STEP) >= window->hits_max)
		window_spent(window, t, now);
	if (now < window->begin_ns || now >= window->end_ns)
		return false;
	if (t->window != window->number) {
		t->window = window->number;
		t->depth = 0;
	}
	return true;
}

static __always_inline int hit_begin(struct pt_regs *ctx, struct hit *hit)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t;
	u64 create;

	if (calls_over)
		return -1;
	hit->now = bpf_ktime_get_ns();
	hit->ctx = ctx;
	hit->cookie = bpf_get_attach_cookie(ctx);
	hit->kind = SITE_COOKIE_KIND(hit->cookie);
	create = hit->kind == SITE_ENTRY || hit->kind == SITE_THROW ? BPF_LOCAL_STORAGE_GET_F_CREATE
								    : 0;
	hit->task = task;
	hit->tgid = task->tgid;
	t = bpf_task_storage_get(&threads, task, NULL, create);
	if (!t) {
		if (create)
			lose(LOSS_STORAGE);
		return -1;
	}
	hit->t = t;
	if (t->off_ns)
		thread_awake(t);
	if (t->epoch != process_epoch || t->build != SITE_COOKIE_BUILD(hit->cookie) || !t->runtime)
		thread_refresh(t, hit->tgid, hit->cookie, ctx->ip, hit->now);
	if (!(t->flags & PROCESS_CALLS) || !window_is_open(t, hit->now))
		return -1;
	hit->l = layout_of(t->build);
	if (!hit->l)
		return -1;
	hit->site = site_of(hit->cookie);
	hit->cost = bpf_map_lookup_elem(&build_costs, &t->build);
	if (!hit->cost)
		return -1;
	if (!t->tstate && thread_find(t, hit->l)) {
		if (create)
			lose(LOSS_UNKNOWN_THREAD);
		return -1;
	}
	return 0;
}

#endif
