/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a process has mapped: lines of /proc/TGID/maps, and the files they name. */
#ifndef PYTRACE_DISCOVER_MAPS_H
#define PYTRACE_DISCOVER_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define MAPS_MAX 65536 /* lines we look at */

struct mapping {
	uint64_t start, end, offset;
	unsigned int major, minor;
	uint64_t inode;
	bool executable;
	const char *path; /* into the line */
};

/* Parse a line of /proc/TGID/maps; its line end goes. */
bool mapping_parse(char *line, struct mapping *out);

/* Memory of no file, which the kernel has no use of its own for? */
bool mapping_is_anonymous(const struct mapping *mapping);

/*
 * Open the regular file mapped at [start, end): through /proc/TGID/map_files, right for deleted
 * files and those of other mount namespaces, or where we may not use that by its path
 * in the process's own root.  Returns the file with *st filled, or a negative errno.
 */
int mapping_open(pid_t tgid, uint64_t start, uint64_t end, struct stat *st);

/*
 * The last part of the path of what is mapped at [start, end), cut where it does not fit.
 * Returns 0 or a negative errno.
 */
int mapping_basename(pid_t tgid, uint64_t start, uint64_t end, char *buffer, size_t size);

#endif
