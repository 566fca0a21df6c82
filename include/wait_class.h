/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a thread was off-CPU for.  The numbers index arrays shared with the
 * kernel side; the names are the ones users see (wait_class_name()).
 */
#ifndef PYTRACE_WAIT_CLASS_H
#define PYTRACE_WAIT_CLASS_H

enum wait_class {
	WAIT_GIL,
	WAIT_LOCK,
	WAIT_SLEEP,
	WAIT_POLL,
	WAIT_NET,
	WAIT_DISK,
	WAIT_PIPE,
	WAIT_CHILD,
	WAIT_FAULT,
	WAIT_RUNQ,
	WAIT_OTHER,
	WAIT_CLASSES, /* how many there are */
};

/* Does a wait of this class end when a peer or a device has done something? */
static inline int class_is_io(enum wait_class wait_class)
{
	return wait_class == WAIT_NET || wait_class == WAIT_POLL || wait_class == WAIT_DISK ||
	       wait_class == WAIT_PIPE;
}

#endif
