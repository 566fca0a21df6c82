/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The numbers the kernel side gives to what is waited for, and what they stand for. */
#ifndef PYTRACE_TARGETS_H
#define PYTRACE_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "records.h"

struct target_told {
	uint32_t id; /* hash key */
	UT_hash_handle hh;
	char *text;
	bool epoll;            /* `text` is not for people: epoll_text(members) is */
	uint32_t fd;           /* of the epoll instance */
	unsigned long members; /* when it was told; 0: not known */
};

struct targets {
	struct target_told *now, *before;
};

/* Takes in what was told.  A record that makes no sense is as good as none. */
void targets__add(struct targets *targets, const struct record_target *record);
/* NULL: it was not told, or too long ago. */
const struct target_told *targets__find(const struct targets *targets, uint32_t id);

/*
 * Are there so many that the kernel side is to tell them anew?  Then, when it has been told so,
 * those of before the last time are let go.
 */
bool targets__full(const struct targets *targets);
void targets__renew(struct targets *targets);
void targets__free(struct targets *targets);

#endif
