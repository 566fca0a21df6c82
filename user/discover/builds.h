/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a file that a process maps turns out to be; each file is examined once. */
#ifndef PYTRACE_DISCOVER_BUILDS_H
#define PYTRACE_DISCOVER_BUILDS_H

#include <sys/stat.h>

#include "process.h"

enum file_kind {
	FILE_PLAIN,        /* nothing to do with Python */
	FILE_CPYTHON,      /* `build` is its index */
	FILE_NEEDS_PYTHON, /* links against libpython */
	FILE_OTHER_PYTHON, /* `reason` says which */
};

struct file_verdict {
	enum file_kind kind;
	size_t build;
	const char *reason; /* lives forever */
};

/*
 * Examine the file at `path` (for us to open), whose stat() is *st and which
 * its process calls `shown`.  Returns 0, or a negative errno if it cannot be read.
 */
int builds__examine(struct builds *builds, const char *path, const char *shown,
		    const struct stat *st, struct file_verdict *out);

/*
 * How far build `index` is loaded from where it was linked, given that its
 * bytes from `offset` on are mapped executable at `start`.  Returns 0 or -ENOENT.
 */
int builds__load_bias(const struct builds *builds, size_t index, uint64_t start, uint64_t offset,
		      uint64_t *bias);

#endif
