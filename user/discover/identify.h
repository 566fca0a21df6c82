/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which CPython a build is, and where things are in it. */
#ifndef PYTRACE_DISCOVER_IDENTIFY_H
#define PYTRACE_DISCOVER_IDENTIFY_H

#include "build.h"
#include "elf_file.h"
#include "tables.h"

/*
 * Fills version, layout_known, layout and, if not known, reason of `build`
 * from the ELF's own contents, never from its name; `runtime` is its
 * _PyRuntime.  Returns 0 with *row the version's row (NULL if not known), or a
 * negative errno if the file cannot be read.
 */
int layout_identify(const struct elf_file *elf, const struct elf_symbol *runtime,
		    struct build *build, const struct py_version_row **row);

/*
 * Can it run bytecode as machine code, or as micro-operations, past the opcode
 * handlers?  From 3.13 on that can be built in, and PYTHON_JIT in the environment
 * switches it (Python/pylifecycle.c, _Py_TIER2).  Returns 1, 0 or a negative errno.
 */
int jit_built_in(const struct elf_file *elf);

/*
 * Fill the fields that `map` says stand in `published`, map->size bytes of a
 * struct _Py_DebugOffsets, into *layout.  Returns 0, or -EPROTO if one of them
 * makes no sense (then *bad is its offset in struct py_layout).
 */
int layout_from_debug_offsets(const struct py_debug_map *map, const uint8_t *published,
			      struct py_layout *layout, unsigned int *bad);

#endif
