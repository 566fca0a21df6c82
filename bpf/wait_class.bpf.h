/* SPDX-License-Identifier: GPL-2.0 */
/* From the system call a thread sleeps in to what it waits for. */
#ifndef PYTRACE_WAIT_CLASS_BPF_H
#define PYTRACE_WAIT_CLASS_BPF_H

#include "common.bpf.h"
#include <asm/unistd_64.h>

#define SYSCALL_NONE (-1)

/* What stands behind a file descriptor of the current task. */
static __always_inline enum wait_class fd_class(struct task_struct *task, u64 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL, **slots;
	u16 mode;

	if (!table || fd >= BPF_CORE_READ(table, max_fds))
		return WAIT_OTHER;
	slots = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]);
	if (!file)
		return WAIT_OTHER;
	mode = BPF_CORE_READ(file, f_inode, i_mode);
	switch (mode & S_IFMT) {
	case S_IFSOCK:
		return WAIT_NET;
	case S_IFREG:
	case S_IFBLK:
	case S_IFDIR:
		return WAIT_DISK;
	case S_IFIFO:
	case S_IFCHR:
	case 0: /* anonymous inodes: eventfd, signalfd, timerfd, ... */
		return WAIT_PIPE;
	}
	return WAIT_OTHER;
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
	switch (nr) {
	case SYSCALL_NONE:
		return WAIT_FAULT;
	case __NR_futex:
	case 449: /* futex_waitv */
	case __NR_flock:
	case __NR_semop:
	case __NR_semtimedop:
		return WAIT_LOCK;
	case __NR_fcntl: /* F_SETLKW: nothing else there sleeps */
		return WAIT_LOCK;
	case __NR_nanosleep:
	case __NR_clock_nanosleep:
		return WAIT_SLEEP;
	case __NR_poll:
	case __NR_ppoll:
		return poll_class(other, task, arg0, arg1);
	case __NR_select:
	case __NR_pselect6: /* up to 3.10 time.sleep() is select() on nothing */
		return arg0 ? WAIT_POLL : WAIT_SLEEP;
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
	case 441: /* epoll_pwait2 */
		return WAIT_POLL;
	case __NR_accept:
	case __NR_accept4:
	case __NR_connect:
	case __NR_recvfrom:
	case __NR_recvmsg:
	case __NR_recvmmsg:
	case __NR_sendto:
	case __NR_sendmsg:
	case __NR_sendmmsg:
		return WAIT_NET;
	case __NR_read:
	case __NR_write:
	case __NR_readv:
	case __NR_writev:
	case __NR_pread64:
	case __NR_pwrite64:
	case __NR_preadv:
	case __NR_pwritev:
	case __NR_sendfile:
	case __NR_splice:
	case __NR_tee:
		return fd_class(task, arg0);
	case __NR_fsync:
	case __NR_fdatasync:
	case __NR_sync:
	case __NR_syncfs:
	case __NR_sync_file_range:
	case __NR_msync:
	case __NR_io_getevents:
		return WAIT_DISK;
	case __NR_wait4:
	case __NR_waitid:
	case __NR_vfork: /* the parent waits until the child has called exec */
	case __NR_clone:
	case __NR_clone3:
		return WAIT_CHILD;
	case __NR_mq_timedreceive:
	case __NR_mq_timedsend:
	case __NR_msgrcv:
	case __NR_msgsnd:
		return WAIT_PIPE;
	}
	return fallback;
}

#endif
