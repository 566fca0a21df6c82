/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which line of its source a frame is at. */
#ifndef PYTRACE_DISCOVER_LINES_H
#define PYTRACE_DISCOVER_LINES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout.h"

/* How a code object tells the lines of its bytecode. */
enum line_table {
	LINES_NOTAB,     /* up to 3.9: co_lnotab (Objects/lnotab_notes.txt) */
	LINES_RANGES,    /* 3.10: co_linetable (the same file, there) */
	LINES_LOCATIONS, /* 3.11+: co_linetable (Objects/locations.md) */
};

/*
 * The line of the byte `at` of the bytecode, by a table of a code object that begins in line
 * `first`.  0: it has none, or the table does not go so far.  The table may hold anything.
 */
uint32_t line_at(enum line_table kind, const uint8_t *table, size_t size, uint32_t first,
		 int64_t at);

/* The line that a frame of this code is at; 0: not known.  It may run on meanwhile. */
uint32_t frame_line(pid_t tgid, const struct py_layout *layout, uint64_t frame, uint64_t code);

#endif
