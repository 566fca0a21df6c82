/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From the number of a system call that sleeps to what decides its wait class. */
#ifndef PYTRACE_SYSCALL_CLASS_H
#define PYTRACE_SYSCALL_CLASS_H

#include <asm/unistd.h>

#include "wait_class.h"

#define SYSCALL_NONE (-1) /* a fault or an interrupt */

/* What syscall_decides() returns beside an enum wait_class. */
enum syscall_decider {
	DECIDED_BY_FD = WAIT_CLASSES, /* what is behind the descriptor in the first argument */
	DECIDED_BY_POLL,    /* the pollfds in the first argument, the second says how many */
	DECIDED_BY_SELECT,  /* is the first argument, the number of descriptors, 0? */
	DECIDED_BY_NOTHING, /* it is not known to wait for anything in particular */
};

static inline int syscall_decides(int nr)
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
		return DECIDED_BY_POLL;
	case __NR_select:
	case __NR_pselect6: /* up to 3.10 time.sleep() is select() on nothing */
		return DECIDED_BY_SELECT;
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
		return DECIDED_BY_FD;
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
	return DECIDED_BY_NOTHING;
}

static inline _Bool syscall_locks_file(int nr)
{
	return nr == __NR_flock || nr == __NR_fcntl;
}

static inline _Bool syscall_is_epoll(int nr)
{
	return nr == __NR_epoll_wait || nr == __NR_epoll_pwait || nr == 441; /* epoll_pwait2 */
}

/* Does it take in what a peer has sent? */
static inline _Bool syscall_receives(int nr)
{
	return nr == __NR_recvfrom || nr == __NR_recvmsg || nr == __NR_recvmmsg ||
	       nr == __NR_read || nr == __NR_readv;
}

/* Is what it waits for the descriptor in its first argument?  `decides`: syscall_decides(nr). */
static inline _Bool syscall_takes_fd(int nr, int decides)
{
	if (nr == __NR_sync || nr == __NR_msync || nr == __NR_io_getevents)
		return 0;
	return syscall_is_epoll(nr) || syscall_locks_file(nr) || decides == DECIDED_BY_FD ||
	       decides == WAIT_NET || decides == WAIT_DISK;
}

/* What stands behind a file of this mode (i_mode; an anonymous inode's type is 0). */
static inline enum wait_class mode_class(unsigned int mode)
{
	switch (mode & 0170000) { /* S_IFMT and what follows, uapi/linux/stat.h */
	case 0140000:             /* socket */
		return WAIT_NET;
	case 0100000: /* regular file */
	case 0060000: /* block device */
	case 0040000: /* directory */
		return WAIT_DISK;
	case 0010000: /* fifo */
	case 0020000: /* character device */
	case 0:       /* eventfd, signalfd, timerfd, ... */
		return WAIT_PIPE;
	}
	return WAIT_OTHER;
}

#endif
