/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The first so many of each process, in what is grouped by process. */
#ifndef PYTRACE_JSON_TOP_H
#define PYTRACE_JSON_TOP_H

#include <stdbool.h>
#include <stdint.h>

struct json_top {
	int top; /* 0: all */
	int rank;
	uint32_t tgid;
};

#define JSON_TOP(most)                                                                             \
	{                                                                                          \
		.top = (most), .rank = -1                                                          \
	}

static inline bool json_top_takes(struct json_top *at, uint32_t tgid)
{
	if (at->rank < 0 || at->tgid != tgid)
		at->rank = 0;
	at->tgid = tgid;
	return !at->top || at->rank++ < at->top;
}

#endif
