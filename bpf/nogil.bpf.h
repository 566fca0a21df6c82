/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a thread of a free-threaded build is parked for: the world is stopped, or a critical
 * section is another's.  Such a wait is a futex on the waiter's own stack (Python/parking_lot.c).
 */
#ifndef PYTRACE_NOGIL_BPF_H
#define PYTRACE_NOGIL_BPF_H

#include "common.bpf.h"
#include "target.bpf.h"

/*
 * A thread that stays attached stops the world itself, or waits for one of the interpreter's own
 * locks, which are nobody's in Python.
 */
static __always_inline bool stops_world(const struct thread *t, const struct py_layout *l)
{
	u64 interp = read_user_u64(NULL, t->tstate + l->ts_interp);

	return read_user_u64(NULL, interp + l->interp_stop_requester) == t->tstate ||
	       read_user_u64(NULL, t->runtime + l->runtime_stop_requester) == t->tstate;
}

/*
 * Whoever waits for a critical section has it as its innermost already, without the mutex: so it
 * is when it begins, and when it goes on after something else was waited for in it.  A thread that
 * waits for any other lock inside has let the mutex go, and still has it there.
 */
static __always_inline bool enters_section(const struct thread *t, const struct py_layout *l)
{
	u64 section = read_user_u64(NULL, t->tstate + l->ts_critical_section), mutex = 0;

	section &= ~(u64)l->section_tags;
	return section && !read_user(NULL, &mutex, sizeof(mutex), section + l->section_mutex) &&
	       !mutex;
}

/* The number of what the current thread, in a futex, is parked for; 0: anything else. */
__noinline u32 nogil_target(const struct py_layout *l, struct thread *t, u64 futex, u64 sp)
{
	struct target_key key = {.generation = target_generation};
	u32 state = 0;

	if (!l || !t || !t->tstate || futex - sp >= PARKED_WITHIN ||
	    read_user(NULL, &state, sizeof(state), t->tstate + l->ts_state))
		return 0;
	if (state == l->thread_suspended || (state == l->thread_attached && stops_world(t, l)))
		key.kind = TARGET_STOP;
	else if (enters_section(t, l))
		key.kind = TARGET_SECTION;
	return key.kind ? target_number(&key, 0) : 0;
}

static __always_inline u32 nogil_target_here(struct task_struct *task, struct thread *t,
					     const struct py_layout *l)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	return nogil_target(l, t, regs->di, regs->sp);
}

#endif
