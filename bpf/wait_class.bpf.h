/* SPDX-License-Identifier: GPL-2.0 */
/* From the system call a thread sleeps in to what it waits for: its class and its target. */
#ifndef PYTRACE_WAIT_CLASS_BPF_H
#define PYTRACE_WAIT_CLASS_BPF_H

#include "common.bpf.h"
#include "syscall_class.h"
#include "target.bpf.h"

#define SELECT_WORDS 16 /* FD_SETSIZE descriptors */
#define P_ALL 0         /* include/uapi/linux/wait.h */
#define P_PID 1

/* The system call in progress: its number and first arguments. */
struct call {
	s32 nr;
	u64 args[4];
};

/* What it waits on, as far as it was looked at. */
struct awaited {
	struct file *file;
	u32 mode;
	s32 number; /* struct thread's off_number */
};

static __always_inline void await_fd(struct task_struct *task, u64 fd, struct awaited *on)
{
	struct file *file = fd_file(task, fd);

	if (!file)
		return;
	on->file = file;
	on->mode = BPF_CORE_READ(file, f_inode, i_mode);
}

static __always_inline enum wait_class file_class(const struct awaited *on)
{
	return on->file ? mode_class(on->mode) : WAIT_OTHER;
}

/* poll() and select() of one descriptor are how a Python socket with a timeout waits. */
static __always_inline enum wait_class single_class(struct task_struct *task, s32 fd,
						    struct awaited *on)
{
	if (fd < 0)
		return WAIT_POLL;
	await_fd(task, fd, on);
	return file_class(on) == WAIT_NET ? WAIT_NET : WAIT_POLL;
}

static __always_inline enum wait_class poll_class(struct task_struct *other,
						  struct task_struct *task, const struct call *call,
						  struct awaited *on)
{
	u64 count = call->args[1];
	s32 fd = -1;

	if (!count)
		return WAIT_SLEEP;
	if (count != 1) {
		on->number = count;
		return WAIT_POLL;
	}
	if (read_user(other, &fd, sizeof(fd), call->args[0]))
		return WAIT_POLL;
	return single_class(task, fd, on);
}

static __always_inline u32 ones(u64 x)
{
	x -= x >> 1 & 0x5555555555555555ull;
	x = (x & 0x3333333333333333ull) + (x >> 2 & 0x3333333333333333ull);
	return ((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full) * 0x0101010101010101ull >> 56;
}

struct selecting {
	struct task_struct *other;
	const struct call *call;
	u32 fds;
};

/* The descriptors of 64 that are in any of the sets. */
static __always_inline long select_step(struct task_struct *other, struct selecting *s, u32 word)
{
	u64 all = 0;

	if (!s->call)
		return 1;
	for (int set = 1; set < 4; set++)
		if (s->call->args[set])
			all |= read_user_u64(other, s->call->args[set] + word * sizeof(u64));
	s->fds += ones(all);
	return 0;
}

static long select_here_step(u32 word, void *arg)
{
	return select_step(NULL, arg, word);
}

static long select_other_step(u32 word, void *arg)
{
	struct selecting *s = arg;

	return s->other ? select_step(s->other, s, word) : 1;
}

/* How many descriptors are in the sets.  (A loop of the kernel's: ours is verified as many steps.)
 */
static __noinline u32 select_fds(struct task_struct *other, const struct call *call)
{
	struct selecting s = {.other = other, .call = call};
	u32 words = (call->args[0] + 63) / 64;

	if (words > SELECT_WORDS)
		words = SELECT_WORDS;
	if (other)
		bpf_loop(words, select_other_step, &s, 0);
	else
		bpf_loop(words, select_here_step, &s, 0);
	return s.fds;
}

static __always_inline enum wait_class select_class(struct task_struct *other,
						    struct task_struct *task,
						    const struct call *call, struct awaited *on)
{
	u64 count = call->args[0];

	if (!count) /* up to 3.10 time.sleep() is select() on nothing */
		return WAIT_SLEEP;
	on->number = select_fds(other, call);
	/* the first argument is one more than the highest descriptor */
	return on->number == 1 ? single_class(task, count - 1, on) : WAIT_POLL;
}

#define SYSCALL_TAKES_FD 0x100 /* a bit beside what syscall_decides() returns */

/* What decides of the wait in this call, in a function that is verified once. */
__noinline u32 syscall_decider(s32 nr)
{
	int decides = syscall_decides(nr);

	return decides | (syscall_takes_fd(nr, decides) ? SYSCALL_TAKES_FD : 0);
}

/*
 * `other` is NULL if `task` is the current one.  `fallback` is the class of calls that are
 * not known to wait for anything in particular.
 */
static __always_inline enum wait_class syscall_class(struct task_struct *other,
						     struct task_struct *task,
						     const struct call *call,
						     enum wait_class fallback, struct awaited *on)
{
	u32 decides = syscall_decider(call->nr);

	if (decides & SYSCALL_TAKES_FD)
		await_fd(task, call->args[0], on);
	decides &= ~SYSCALL_TAKES_FD;
	switch (decides) {
	case DECIDED_BY_FD:
		return file_class(on);
	case DECIDED_BY_POLL:
		return poll_class(other, task, call, on);
	case DECIDED_BY_SELECT:
		return select_class(other, task, call, on);
	case DECIDED_BY_NOTHING:
		return fallback;
	}
	return decides;
}

static __always_inline bool waits_for_child(s32 nr)
{
	return nr == __NR_wait4 || nr == __NR_waitid;
}

/* The number of the child that is waited for, -1: any. */
static __always_inline s32 awaited_child(const struct call *call)
{
	if (call->nr == __NR_wait4)
		return (s32)call->args[0] > 0 ? (s32)call->args[0] : -1;
	return call->args[0] == P_PID ? (s32)call->args[1] : -1;
}

/*
 * The number of what a thread that goes off-CPU waits for, from what is known of it; 0: none.  A
 * poll that turns out to be for a single peer gets its class here.
 */
static __noinline u32 wait_target(struct task_struct *task, struct thread *t)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct target_key key = {.generation = target_generation};
	u64 file = t->off_file;

	if (waits_for_child(t->off_syscall)) {
		target_child(&key, (u64)BPF_CORE_READ(task, children.next), t->off_number);
	} else if (file && syscall_is_epoll(t->off_syscall)) {
		file = target_epoll(&key, file, regs->di, task->tgid);
		/* as poll() of one descriptor: it waits for the peer and for nothing else */
		if (key.flags & TARGET_ALONE && target_is_peer(&key))
			t->off_class = WAIT_NET;
		key.flags &= ~TARGET_ALONE;
	} else if (file) {
		target_file(&key, file);
	} else if (t->off_number) {
		key.kind = TARGET_FDS;
		key.number = t->off_number;
	}
	t->off_unix = key.kind == TARGET_UNIX && syscall_receives(t->off_syscall);
	return key.kind ? target_number(&key, file) : 0;
}

/* Waits of these have a target. */
static __always_inline bool wait_has_target(enum wait_class wait_class, s32 nr)
{
	return syscall_locks_file(nr) || wait_class == WAIT_NET || wait_class == WAIT_DISK ||
	       wait_class == WAIT_PIPE || wait_class == WAIT_POLL || wait_class == WAIT_CHILD;
}

#endif
