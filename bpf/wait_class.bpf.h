/* SPDX-License-Identifier: GPL-2.0 */
/* From the system call a thread sleeps in to what it waits for. */
#ifndef PYTRACE_WAIT_CLASS_BPF_H
#define PYTRACE_WAIT_CLASS_BPF_H

#include "common.bpf.h"
#include "syscall_class.h"

/* What stands behind a file descriptor of the current task. */
static __always_inline enum wait_class fd_class(struct task_struct *task, u64 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL, **slots;

	if (!table || fd >= BPF_CORE_READ(table, max_fds))
		return WAIT_OTHER;
	slots = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]);
	if (!file)
		return WAIT_OTHER;
	return mode_class(BPF_CORE_READ(file, f_inode, i_mode));
}

/* poll() with one descriptor is how a Python socket with a timeout waits. */
static __always_inline enum wait_class poll_class(struct task_struct *other,
						  struct task_struct *task, u64 fds, u64 count)
{
	s32 fd = -1;

	if (!count)
		return WAIT_SLEEP;
	if (count == 1 && !read_user(other, &fd, sizeof(fd), fds) && fd >= 0 &&
	    fd_class(task, fd) == WAIT_NET)
		return WAIT_NET;
	return WAIT_POLL;
}

/*
 * `other` is NULL if `task` is the current one.  Arguments are those of the system call in
 * progress.  `fallback` is the class of calls that are not known to wait for anything in
 * particular.
 */
static __always_inline enum wait_class syscall_class(struct task_struct *other,
						     struct task_struct *task, s32 nr, u64 arg0,
						     u64 arg1, enum wait_class fallback)
{
	int decides = syscall_decides(nr);

	switch (decides) {
	case DECIDED_BY_FD:
		return fd_class(task, arg0);
	case DECIDED_BY_POLL:
		return poll_class(other, task, arg0, arg1);
	case DECIDED_BY_SELECT:
		return arg0 ? WAIT_POLL : WAIT_SLEEP;
	case DECIDED_BY_NOTHING:
		return fallback;
	}
	return decides;
}

#endif
