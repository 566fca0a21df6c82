/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which C library an ELF was linked with.  Where it needs one, by its name: musl's is libc.so, on
 * Alpine libc.musl-ARCH.so.1 (glibc's is libc.so.6).  Where it needs none it is in there, with
 * the text that strerror(0) returns (src/errno/__strerror.h; glibc's is another).
 */
#include "libc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char strerror_text[] = "No error information";

static bool has_text(const struct elf_file *elf, const struct elf_segment *segment, int *err)
{
	uint8_t *bytes;
	bool found;

	*err = elf_file__bytes(elf, segment, &bytes);
	if (*err)
		return false;
	found = memmem(bytes, segment->size, strerror_text, sizeof(strerror_text));
	free(bytes);
	return found;
}

int libc_is_musl(const struct elf_file *elf)
{
	size_t count;
	const struct elf_segment *segments = elf_file__segments(elf, &count);
	int err = 0;

	if (elf_file__needs(elf, ""))
		return elf_file__needs(elf, "libc.musl-") ||
		       (elf_file__needs(elf, "libc.so") && !elf_file__needs(elf, "libc.so."));
	for (size_t i = 0; !err && i < count; i++) {
		if (has_text(elf, &segments[i], &err))
			return 1;
	}
	return err == -EFBIG ? 0 : err; /* so large a program could hold anything */
}
