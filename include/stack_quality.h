/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How much is known of a thread's Python stack. */
#ifndef PYTRACE_STACK_QUALITY_H
#define PYTRACE_STACK_QUALITY_H

enum stack_quality {
	STACK_NONE,       /* it is in no Python code */
	STACK_COMPLETE,   /* of one moment, to its first frame */
	STACK_TRUNCATED,  /* deeper than is read */
	STACK_UNREADABLE, /* what there is of it */
	STACK_MIXED,      /* it ran meanwhile: frames may be of different moments */
};

#endif
