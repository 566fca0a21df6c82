/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who holds the GIL when a wait for it begins, and how long one keeps it that others wait for.
 */
#ifndef PYTRACE_GIL_HOLDER_BPF_H
#define PYTRACE_GIL_HOLDER_BPF_H

#include "gil.bpf.h"
#include "walk.bpf.h"

/*
 * The function that the GIL's holder is in, by its thread state; `t` is the current thread.
 * `sure`: the state is there, and no other than that of who holds it.
 */
__noinline u32 gil_holder_function(struct thread *t, const struct py_layout *l, u64 tstate,
				   u32 sure)
{
	u32 walker = WALKER_SCHEDULER, tgid = bpf_get_current_task_btf()->tgid;
	struct function_key key = {.tgid = tgid};
	struct walk *scratch = bpf_map_lookup_elem(&walks, &walker);
	u32 *slot, function, tick = tick_of(bpf_ktime_get_ns());

	if (!t || !l || !scratch || !tstate ||
	    read_code_frame(l, scratch->head, current_frame(NULL, l, tstate)))
		return NO_FUNCTION;
	key.code = frame_code(l, scratch->head);
	if (!key.code)
		return NO_FUNCTION;
	function = walked_surely(t, key.code, tick);
	if (function != NO_FUNCTION)
		return function;
	key.check = code_check(NULL, l, key.code, scratch->head);
	function = walked_lately(t, l, &key, tick);
	if (function != NO_FUNCTION)
		return function;
	if (sure) {
		function = walk_new_function(l, &key, t);
		return function == NO_CODE ? NO_FUNCTION : function;
	}
	/* the thread state may be gone, and this be no code object */
	slot = bpf_map_lookup_elem(&function_slots, &key);
	return slot ? *slot : NO_FUNCTION;
}

/* What a GIL says of itself. */
struct gil_head {
	u64 holder; /* the thread state that has it, or had it last */
	u32 locked;
	u32 switches; /* how often it has changed hands, 0: not known */
};

/* One read: its condition variable comes behind all this. */
static __always_inline int gil_read(const struct thread *t, const struct py_layout *l, u32 walker,
				    struct gil_head *out)
{
	u32 bytes = l->gil_cond;
	struct walk *scratch = bpf_map_lookup_elem(&walks, &walker);
	u8 *head;

	barrier_var(bytes);
	if (!scratch || bytes > HEAD_BYTES)
		return -1;
	head = scratch->head;
	if (read_user(NULL, head, bytes, t->gil))
		return -1;
	out->holder = head_u64(head, l->gil_last_holder);
	out->locked = (s32)head_u32(head, l->gil_locked) > 0;
	out->switches = head_u32(head, l->gil_switch_number);
	return 0;
}

/* Does the current thread hold the GIL?  `walker`: who asks. */
static __always_inline bool has_gil(const struct thread *t, const struct py_layout *l, u32 walker)
{
	struct gil_head gil;

	return t->gil && !gil_read(t, l, walker, &gil) && gil.holder == t->tstate && gil.locked;
}

/* Is it in the condition variable that is signalled when the GIL is let go? */
static __always_inline bool gil_is_wanted(const struct py_layout *l, u32 at)
{
	return at >= l->gil_cond && at < l->gil_mutex;
}

/*
 * Does the current thread sleep with the GIL?  Then it is in native code that did not let go of
 * it, and nobody else gets on.  One that is alone is not asked: it holds up nobody.
 */
static __always_inline bool gil_is_kept(struct task_struct *task, const struct thread *t,
					const struct py_layout *l)
{
	return task->signal->nr_threads >= 2 && has_gil(t, l, WALKER_SCHEDULER);
}

/* The current thread goes off-CPU, and not because others want the CPU. */
static __always_inline void gil_switch_out(struct task_struct *task, struct thread *t,
					   const struct py_layout *l, u64 now)
{
	struct gil_head gil;

	t->gil_wanted = 0;
	if (t->off_class != WAIT_GIL && l && gil_is_kept(task, t, l)) {
		t->off_flags |= WAIT_HOLDS_GIL;
		return; /* and has it since when it had it before */
	}
	t->gil_since = 0; /* it lets it go to sleep, as a rule */
	if (t->off_class != WAIT_GIL || !l)
		return;
	if (gil_read(t, l, WALKER_SCHEDULER, &gil))
		return;
	t->off_gil_switches = gil.switches;
	t->gil_wanted = gil_is_wanted(l, t->gil_at);
	if (t->gil_wanted && t->off_gil_switches)
		t->off_flags |= WAIT_GIL_TAKEN;
	if (!t->gil_waits)
		gil_wait_begins(t, task->tgid, now);
	/* where it waits that another takes what it has just let go, the last holder is itself */
	if (t->gil_at >= l->gil_switch_cond)
		return;
	if (!gil.holder || gil.holder == t->tstate)
		return;
	t->off_flags |= gil.locked ? WAIT_HOLDER_SURE : 0;
	t->off_holder = gil_holder_function(t, l, gil.holder, gil.locked);
}

/*
 * The current thread lets the GIL go to one that waits.  How long it had it is known if it had
 * waited for it itself and others have waited nearly all the time since: else it may have let it
 * go in between, unseen.
 */
static __always_inline void gil_let_go(struct thread *holder, const struct py_layout *l, u32 tgid,
				       u64 now)
{
	struct gil_stats *gil = gil_of_thread(holder, tgid, false);
	u64 since = exchange(&holder->gil_since, 0), held = now - since;
	struct function_stats *stats;
	u32 function;

	if (!gil || !since || since > now ||
	    (gil->since > since && (gil->since - since) * 8 > held))
		return;
	function = gil_holder_function(holder, l, holder->tstate, true);
	stats = stats_of_slot(function);
	if (!stats)
		return;
	__sync_fetch_and_add(&stats->holds, 1);
	__sync_fetch_and_add(&stats->hold_ns, held);
	if (held > stats->hold_max_ns)
		stats->hold_max_ns = held;
}

#endif
