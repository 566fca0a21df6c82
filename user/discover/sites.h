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
 * Add one, whose file_offset this fills in; duplicates are left out.  Returns 0,
 * -ENOENT (not in the file) or -E2BIG.
 */
int sites_add(const struct elf_file *elf, struct build *build, struct site site);

/* The site at a probe point, but for its file_offset. */
struct site site_at(const struct probe_point *point, enum site_kind kind);

#endif
