/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading the memory of another process, from outside. */
#ifndef PYTRACE_DISCOVER_MEMORY_H
#define PYTRACE_DISCOVER_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All of it or nothing.  Returns 0 or a negative errno: -EFAULT where there is no memory. */
int memory_read(pid_t tgid, uint64_t address, void *buffer, size_t length);

/* The same of a 64-bit word, a pointer mostly. */
int memory_read_u64(pid_t tgid, uint64_t address, uint64_t *value);

#endif
