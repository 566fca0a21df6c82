/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where a function begins and ends, in the memory of a process that has it. */
#ifndef PYTRACE_DISCOVER_BYTECODE_H
#define PYTRACE_DISCOVER_BYTECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "build.h"
#include "records.h"
#include "watch_point.h"

#define CODE_RETURNS_MAX 64

/* All in bytes; `units` and what is added to it are addresses of that process. */
struct code_places {
	uint64_t code;
	uint64_t units; /* the first code unit */
	uint32_t size;
	uint32_t entry; /* where a call begins: in a generator, its first run */
	uint32_t returns[CODE_RETURNS_MAX];
	size_t return_count;
	uint64_t raised; /* address that is read when an exception passes */
	bool generator;  /* or a coroutine */
	struct watch_range handled[WATCH_RANGES]; /* an exception there may be handled inside */
	size_t handled_count;
};

/*
 * Read them of a code object.  Returns 0; -EFAULT: it is gone; or -ENOTSUP with the reason in *why
 * (static).  What the process has there may be anything.
 */
int code_places_read(pid_t tgid, const struct build *build, uint64_t code, struct code_places *out,
		     const char **why);

/*
 * The same from a copy of the bytecode (`size` bytes), but for what is outside it: `units`, `code`
 * and `raised` are left alone.  0 or -ENOTSUP.
 */
int code_places_find(const struct py_opcodes *opcodes, bool units_have_caches,
		     const uint8_t *bytecode, uint32_t size, struct code_places *out,
		     const char **why);

/*
 * From an exception table (3.11+: Objects/exception_handling_notes.txt): which instructions have a
 * handler.  Where they are too many, or the table is broken, all of them have.
 */
void code_places_handled(const uint8_t *table, size_t size, struct code_places *places);

#endif
