/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Waits in which a thread was woken and found nothing (WAIT_IN_VAIN): with what follows they are
 * one.  Unless what it waits for came before it ran: then they are waits of their own.
 */
#ifndef PYTRACE_VAIN_H
#define PYTRACE_VAIN_H

#include "collector_internal.h"

/*
 * Was the wait that the thread was woken from in vain over, as the next record shows (NULL: its
 * end)?  Then *over is to be counted before that.
 */
bool vain_settle(struct thread_total *thread, const struct record_wait *next,
		 struct record_wait *over);

/* The record goes with what there was of its wait before; if it is in vain itself it is kept. */
void vain_join(struct thread_total *thread, struct record_wait *record);

#endif
