/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What native code a Python thread was in, from its instruction pointer.
 *
 * Memory is bounded: what symbols.h says, 16384 remembered addresses (384 KiB), 65536 mappings
 * of all processes together (4.5 MiB).  So is the time spent reading /proc and
 * files: half a second at once, 2 % in the long run; past that answers are less exact.
 */
#ifndef PYTRACE_DISCOVER_NATIVE_H
#define PYTRACE_DISCOVER_NATIVE_H

#include <stdint.h>
#include <sys/types.h>

struct native;

/* Returns NULL without memory. */
struct native *native__new(void);
void native__free(struct native *native);

/*
 * What the code at `ip` is: "libz.so.1.2.13: deflate", "libcrypto.so.3" where no symbol covers
 * it, "[vdso]", "[jit]" in executable memory of no file.  NULL: the interpreter's own
 * loop, or not known.  The string lives as long as `native`, and the same
 * text is the same pointer; names in it are the target's and may hold any character.
 */
const char *native__leaf(struct native *native, pid_t tgid, uint64_t ip);

/* It ended, or became something else by exec. */
void native__forget(struct native *native, pid_t tgid);

#endif
