/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where probes go in a build: by opcode handlers, by tracepoints, by exported functions. */
#ifndef PYTRACE_DISCOVER_SITES_H
#define PYTRACE_DISCOVER_SITES_H

#include "build.h"
#include "code.h"
#include "elf_file.h"
#include "tables.h"

/*
 * Each adds sites to `build`.  They return 0, -ENOENT if this build has no such
 * place (nothing is added then), or another negative errno on failure.
 */

/* The opcode handlers that begin, end and suspend calls; -ENOENT sets build->reason. */
int sites_add_opcodes(const struct elf_file *elf, struct code *code,
		      const struct py_opcodes *opcodes, struct build *build);

/* Where _PyEval_EvalFrameDefault goes if it was entered by throw() or close(). */
int sites_add_throw(const struct elf_file *elf, struct code *code, struct build *build);

/* PyTraceBack_Here, which runs once for each frame an exception passes. */
int sites_add_unwind(const struct elf_file *elf, struct code *code, struct build *build);

/* The tracepoints function__entry and function__return, for versions that fire them for every call.
 */
int sites_add_usdt(const struct elf_file *elf, struct build *build);

/*
 * The tracepoints gc__start and gc__done, into build->gc_sites; -E2BIG if there are more of
 * them than a build can have (none is added then).
 */
int sites_add_gc(const struct elf_file *elf, struct build *build);

/*
 * Where _PyEval_EvalFrameDefault begins to run a frame and where it leaves it,
 * for versions that run each in an activation of its own.  On -ENOENT *why
 * tells what is missing.
 */
int sites_add_frame_eval(const struct elf_file *elf, struct code *code,
			 const struct py_version_row *row, struct build *build, const char **why);

/*
 * The addresses the dispatch tables hold, each once: at most `size` of them.
 * Returns how many, -ENOENT if there is no table or they are too many, or another
 * negative errno.
 */
ssize_t sites_handlers(const struct elf_file *elf, const struct code *code,
		       const struct py_opcodes *opcodes, uint64_t *addresses, size_t size);

/*
 * Add one, whose file_offset this fills in; duplicates are left out.  Returns 0,
 * -ENOENT (not in the file) or -E2BIG.
 */
int sites_add(const struct elf_file *elf, struct build *build, struct site site);

/* The site at a probe point, but for its file_offset. */
struct site site_at(const struct probe_point *point, enum site_kind kind);

#endif
