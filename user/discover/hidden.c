/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A program with a static libpython in it, linked without -rdynamic and stripped:
 * its strings give it away, and from 3.13 on the cookie before the offsets it
 * publishes tells where _PyRuntime is.
 */
#include "hidden.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * In every CPython: a variable of Python/initconfig.c, a name the compiler emits
 * (Python/bltinmodule.c), and the frozen module that imports all others.  In
 * halves, so that we have none of them.
 */
static const struct {
	const char *head, *tail;
} marks[] = {
	{"PYTHON", "HASHSEED"},
	{"__build", "_class__"},
	{"_frozen_importlib", "_external"},
};

#define MARK_BYTES 64
#define MARKS (sizeof(marks) / sizeof(marks[0]))
#define CPYTHON_3 3 /* PY_VERSION_HEX >> 24 */

struct findings {
	bool marked[MARKS];
	unsigned int runtimes;
	uint64_t runtime;
};

static void search_marks(const uint8_t *bytes, size_t size, struct findings *found)
{
	char mark[MARK_BYTES];

	for (size_t i = 0; i < MARKS; i++) {
		int length = snprintf(mark, sizeof(mark), "%s%s", marks[i].head, marks[i].tail);

		if (memmem(bytes, size, mark, (size_t)length + 1)) /* with its end */
			found->marked[i] = true;
	}
}

static void search_cookie(const struct elf_segment *segment, const uint8_t *bytes,
			  struct findings *found)
{
	const uint8_t *at = bytes, *end = bytes + segment->size;
	const size_t length = strlen(PUBLISHED_COOKIE);
	uint64_t version;

	while ((at = memmem(at, (size_t)(end - at), PUBLISHED_COOKIE, length))) {
		uint64_t vaddr = segment->vaddr + (uint64_t)(at - bytes);

		at += length;
		if (vaddr % sizeof(version) || (size_t)(end - at) < sizeof(version))
			continue;
		memcpy(&version, at, sizeof(version));
		if (version >> 24 != CPYTHON_3)
			continue;
		found->runtime = vaddr;
		found->runtimes++;
	}
}

int hidden_cpython(const struct elf_file *elf, struct elf_symbol *runtime)
{
	struct findings found = {0};
	const struct elf_segment *segments;
	size_t count;

	*runtime = (struct elf_symbol){0};
	if (!elf_file__is_program(elf))
		return 0;
	segments = elf_file__segments(elf, &count);
	for (size_t i = 0; i < count; i++) {
		uint8_t *bytes;
		int err;

		if (segments[i].executable)
			continue;
		err = elf_file__bytes(elf, &segments[i], &bytes);
		if (err)
			return err;
		search_marks(bytes, segments[i].size, &found);
		search_cookie(&segments[i], bytes, &found);
		free(bytes);
	}
	for (size_t i = 0; i < MARKS; i++) {
		if (!found.marked[i])
			return 0;
	}
	if (found.runtimes == 1)
		runtime->vaddr = found.runtime;
	return 1;
}
