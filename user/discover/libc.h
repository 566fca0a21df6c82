/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which C library an ELF was linked with. */
#ifndef PYTRACE_DISCOVER_LIBC_H
#define PYTRACE_DISCOVER_LIBC_H

#include "elf_file.h"

/* Is it musl, as a library it needs or with all of it linked in?  1, 0 or a negative errno. */
int libc_is_musl(const struct elf_file *elf);

#endif
