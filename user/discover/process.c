/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which processes run CPython here: look at the files each has mapped
 * executable, by /proc/TGID/map_files where we may, for that reaches deleted
 * files and those of other mount namespaces.
 */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "builds.h"
#include "jit.h"
#include "maps.h"
#include "procfs.h"

/*
 * Examine the file of one mapping: through map_files, or where we may not use
 * that, through the process's own root.
 */
static int examine_mapping(struct builds *builds, pid_t tgid, const struct mapping *mapping,
			   struct file_verdict *verdict)
{
	char path[4200];
	struct stat st;
	int err = -ENOENT;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, tgid,
		 mapping->start, mapping->end);
	if (!stat(path, &st)) {
		if (!S_ISREG(st.st_mode))
			return -ENOENT;
		err = builds__examine(builds, path, mapping->path, &st, verdict);
	}
	if (!err)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/root/%s", tgid, mapping->path);
	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_ino != mapping->inode)
		return -ENOENT;
	return builds__examine(builds, path, mapping->path, &st, verdict);
}

/* Make what one file turned out to be part of what we know of the process. */
static void apply_verdict(const struct builds *builds, const struct mapping *mapping,
			  const struct file_verdict *verdict, struct process *out)
{
	uint64_t bias;

	switch (verdict->kind) {
	case FILE_PLAIN:
		break;
	case FILE_NEEDS_PYTHON:
		if (out->kind == PYTHON_NO)
			out->kind = PYTHON_LATER;
		break;
	case FILE_OTHER_PYTHON:
		if (out->kind == PYTHON_NO || out->kind == PYTHON_LATER) {
			out->kind = PYTHON_OTHER;
			snprintf(out->reason, sizeof(out->reason), "%s", verdict->reason);
		}
		break;
	case FILE_CPYTHON:
		if (builds__load_bias(builds, verdict->build, mapping->start, mapping->offset,
				      &bias))
			break;
		out->kind = PYTHON_YES;
		out->build = verdict->build;
		out->runtime = bias + builds__get(builds, verdict->build)->layout.runtime_vaddr;
		snprintf(out->reason, sizeof(out->reason), "%s",
			 builds__get(builds, verdict->build)->reason);
		break;
	}
}

static int inspect_mappings(struct builds *builds, FILE *maps, struct process *out)
{
	struct file_verdict verdict = {.kind = FILE_PLAIN};
	struct mapping mapping, last = {0};
	bool anonymous_code = false;
	char *line = NULL;
	size_t size = 0;

	for (int i = 0; i < MAPS_MAX && getline(&line, &size, maps) > 0; i++) {
		bool again;

		out->mapped = true;
		if (!mapping_parse(line, &mapping) || !mapping.executable)
			continue;
		anonymous_code |= mapping_is_anonymous(&mapping);
		if (!mapping.inode || out->kind == PYTHON_YES)
			continue;
		again = mapping.inode == last.inode && mapping.major == last.major &&
			mapping.minor == last.minor;
		if (!again && examine_mapping(builds, out->tgid, &mapping, &verdict))
			verdict = (struct file_verdict){.kind = FILE_PLAIN};
		last = mapping;
		apply_verdict(builds, &mapping, &verdict, out);
		if (out->kind == PYTHON_YES && !builds__get(builds, out->build)->jit)
			break;
	}
	free(line);
	if (out->kind == PYTHON_YES)
		jit_note(builds__get(builds, out->build), anonymous_code, out);
	return 0;
}

int process_inspect(struct builds *builds, pid_t tgid, struct process *out)
{
	char path[64];
	FILE *maps;
	int err;

	*out = (struct process){.kind = PYTHON_NO};
	err = procfs_describe(tgid, out);
	if (err)
		return err;
	snprintf(path, sizeof(path), "/proc/%d/maps", tgid);
	maps = fopen(path, "re");
	if (!maps)
		return errno == ENOENT ? -ESRCH : errno == EPERM ? -EACCES : -errno;
	err = inspect_mappings(builds, maps, out);
	fclose(maps);
	return err;
}

int process_scan(struct builds *builds, int (*each)(const struct process *process, void *arg),
		 void *arg)
{
	struct process process;
	struct dirent *entry;
	int err = 0;
	DIR *dir;

	dir = opendir("/proc");
	if (!dir)
		return -errno;
	while (!err && (entry = readdir(dir))) {
		char *end;
		long tgid = strtol(entry->d_name, &end, 10);

		if (*end || tgid <= 0)
			continue;
		/* it may have ended, or be none of ours: the others still count */
		if (process_inspect(builds, (pid_t)tgid, &process) || process.kind == PYTHON_NO)
			continue;
		err = each(&process, arg);
	}
	closedir(dir);
	return err;
}
