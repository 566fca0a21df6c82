/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* CPython in a program that tells nobody the names of what is in it. */
#ifndef PYTRACE_DISCOVER_HIDDEN_H
#define PYTRACE_DISCOVER_HIDDEN_H

#include "elf_file.h"

/* Begins _PyRuntime since 3.13, then the version (Include/internal/pycore_debug_offsets.h). */
#define PUBLISHED_COOKIE "xdebugpy"

/*
 * Is CPython in an executable without symbols?  Returns 1 if so and *runtime is
 * its _PyRuntime, of which vaddr is 0 if nothing shows where it is; 0 if not; or
 * a negative errno.
 */
int hidden_cpython(const struct elf_file *elf, struct elf_symbol *runtime);

#endif
