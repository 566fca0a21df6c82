/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * One tracing session: which processes are in it, and what happens when they
 * begin, fork, exec and end.
 */
#ifndef PYTRACE_SESSION_H
#define PYTRACE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/tracer.h"
#include "collect/collector.h"
#include "discover/process.h"
#include "options.h"
#include "watches.h"
#include "windows.h"

/* A process that will be Python when its libpython is mapped, or whose layout is to be proved. */
struct later {
	pid_t tgid;
	uint64_t due_ns;
	uint64_t exec_ns; /* when its exec was that this is after */
	unsigned int tries;
	bool verify; /* it is traced already: its layout is to be proved */
	bool gc;     /* it is traced already: its collector's flag is to be found */
	bool surely; /* it is wanted, whatever the options say */
};

struct session {
	const struct options *options;
	struct builds *builds;
	struct tracer *tracer;
	struct collector *collector;
	struct watches *watches;      /* NULL: none were asked for */
	struct windows *windows;      /* NULL: calls are probed all the time, or never */
	bool everything;              /* one link a build for all processes, else one each */
	bool started;                 /* past the first scan: processes may be young */
	uint8_t verified[MAX_BUILDS]; /* builds whose layout has held in a live process */
	uint8_t shared[MAX_BUILDS];   /* builds with one link for all, though not all are wanted */
	unsigned int strangers[MAX_BUILDS]; /* running processes of the build that are not wanted */
	struct later *later;
	size_t later_count;
	size_t taken;                /* processes taken in so far */
	uint64_t losses[LOSS_COUNT]; /* our own, beside the kernel side's */
	uint64_t lifecycle_losses;   /* made good for so far */
	uint64_t resynced_ns;
	bool ended;              /* some process did, and its counters are not taken up yet */
	uint64_t ended_ns;       /* when they last were */
	uint64_t waits_ns;       /* what waits cost was looked at then */
	unsigned int samples_hz; /* 0: there are none */
	int error;               /* first failure to attach, negative errno; 0: none */
};

/* Start tracing a CPython process.  0 or a negative errno. */
int session_take(struct session *session, const struct process *process);

/* lifecycle_fn of the collector; `arg` is the session. */
void session_lifecycle(void *arg, const struct record_task *record);

/* Look again at processes that were about to become Python. */
void session_look_again(struct session *session);
/* When the first of those, or a probe window, is due; UINT64_MAX: there is none. */
uint64_t session_due_ns(const struct session *session);

enum considered {
	CONSIDERED_OTHER, /* none of ours */
	CONSIDERED_TAKEN,
	CONSIDERED_LATER, /* Python when its libpython is mapped: look again then */
};

/*
 * Read a process anew and take it if it is Python and wanted (or `surely` is).  Returns an
 * enum considered, or a negative errno if it cannot be looked at.
 */
int session_consider(struct session *session, pid_t tgid, bool surely);

/* A Python process that is not wanted: it shall not pay for those that are. */
void session_stranger(struct session *session, const struct process *process);

/* Take up what the counters of calls gained. */
void session_drain(struct session *session, enum ring_state ring);
/* Take up the last of processes that have ended, every now and then. */
void session_take_up_ended(struct session *session);

/* Make good for lifecycle records that did not fit the ring: who ended, who began. */
void session_resync(struct session *session);

/*
 * What do waits and samples cost each process?  Have fewer stacks read where it is too much.  Twice
 * a second, or `now`, for a report.
 */
void session_look_at_waits(struct session *session, bool now);

/* Losses of both sides, since the start. */
void session_losses(const struct session *session, uint64_t losses[LOSS_COUNT]);

#endif
