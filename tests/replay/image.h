/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is known of a process's memory, byte by byte. */
#ifndef PYTRACE_REPLAY_IMAGE_H
#define PYTRACE_REPLAY_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image;

struct image *image__new(void);
void image__free(struct image *image);

void image__write(struct image *image, uint64_t address, const void *from, size_t size);
/* These bytes cannot be read (any more). */
void image__forget(struct image *image, uint64_t address, size_t size);
/* 0, or -EFAULT if not all of it is known.  (The kernel side's way to read: `image` is first.) */
int image__read(void *image, uint64_t address, void *to, size_t size);
/* Is this byte known to be that? */
bool image__holds(struct image *image, uint64_t address, uint8_t byte);
bool image__knows(struct image *image, uint64_t address);

#endif
