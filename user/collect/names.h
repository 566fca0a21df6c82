/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A Python str as the kernel side copied it, made UTF-8. */
#ifndef PYTRACE_NAMES_H
#define PYTRACE_NAMES_H

#include <stddef.h>
#include <stdint.h>

/*
 * Decode `chars` code points of `kind` bytes each (1, 2 or 4) into out, which is
 * always NUL-terminated and cut at a whole character.  NULs and surrogates
 * become U+FFFD.  An unknown kind gives "".
 */
void name_decode(const uint8_t *data, size_t data_size, size_t chars, int kind, char *out,
		 size_t out_size);

#endif
