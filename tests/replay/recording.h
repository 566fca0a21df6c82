/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A recorded run: the probes a program hit, in which thread, with which registers, and of its
 * memory what the kernel side looked at, as it was then.  Compressed, only what has changed.
 */
#ifndef PYTRACE_REPLAY_RECORDING_H
#define PYTRACE_REPLAY_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image.h"
#include "kernel.h"

#define RECORDING_THREADS 256
#define RECORDING_BUILD 1 /* the build's number in cookies */
#define RECORDING_TGID 1000

struct recording_site {
	enum site_kind kind;
	uint64_t vaddr;
};

enum recording_event {
	EVENT_END,
	EVENT_THREAD, /* a new thread */
	EVENT_HIT,
	EVENT_EXIT, /* a thread ends */
};

struct recording {
	struct py_layout layout; /* as user/discover found it */
	uint64_t bias;           /* where it was loaded, from where it was linked */
	struct recording_site sites[SITE_MAX];
	size_t site_count;

	/* the event read last */
	enum recording_event event;
	size_t thread, site;
	uint64_t fsbase; /* of a new thread */
	uint64_t registers[REGISTERS];
	struct image *image; /* the memory at that time */

	struct recording_state *state;
};

/* Read one.  They return false, with a message, if it is not well-formed or cannot be read. */
bool recording__open(const char *path, struct recording *out);
bool recording__next(struct recording *recording);
void recording__close(struct recording *recording);

/*
 * Write one: layout, bias and sites are to be filled in before.  `tell` is what the kernel side
 * was shown of the memory since the last event; `registers` is a bit for each that may matter.
 */
bool recording__create(const char *path, struct recording *recording);
void recording__add_thread(struct recording *recording, uint64_t fsbase);
void recording__add_read(struct recording *recording, uint64_t address, const void *bytes,
			 size_t size);
void recording__add_fault(struct recording *recording, uint64_t address, size_t size);
void recording__add_hit(struct recording *recording, size_t thread, size_t site,
			const uint64_t registers[REGISTERS], uint32_t which);
void recording__add_exit(struct recording *recording, size_t thread);
bool recording__finish(struct recording *recording);

#endif
