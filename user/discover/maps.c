/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a process has mapped: see maps.h. */
#include "maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4200

bool mapping_parse(char *line, struct mapping *out)
{
	char rights[8];
	int at = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %x:%x %" SCNu64 " %n",
		   &out->start, &out->end, rights, &out->offset, &out->major, &out->minor,
		   &out->inode, &at) < 7 ||
	    !at)
		return false;
	out->executable = rights[2] == 'x';
	out->path = line + at;
	return true;
}

bool mapping_is_anonymous(const struct mapping *mapping)
{
	return !mapping->inode && (!mapping->path[0] || !strncmp(mapping->path, "[anon:", 6));
}

static void map_files_path(pid_t tgid, uint64_t start, uint64_t end, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, tgid, start, end);
}

/* The path that /proc/TGID/maps has, and the inode. */
static int path_in_maps(pid_t tgid, uint64_t start, uint64_t end, char path[PATH_BYTES],
			uint64_t *inode)
{
	struct mapping mapping;
	int err = -ENOENT;
	char *line = NULL;
	size_t size = 0;
	char maps[64];
	FILE *file;

	snprintf(maps, sizeof(maps), "/proc/%d/maps", tgid);
	file = fopen(maps, "re");
	if (!file)
		return -errno;
	for (int i = 0; i < MAPS_MAX && getline(&line, &size, file) > 0; i++) {
		if (!mapping_parse(line, &mapping) || mapping.start < start)
			continue;
		if (mapping.start == start && mapping.end == end) {
			snprintf(path, PATH_BYTES, "%s", mapping.path);
			*inode = mapping.inode;
			err = 0;
		}
		break;
	}
	free(line);
	fclose(file);
	return err;
}

/* A device or a FIFO must neither block us nor notice. */
static int open_regular(const char *path, struct stat *st)
{
	int fd, err = 0;

	if (stat(path, st))
		return -errno;
	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st))
		err = -errno;
	else if (!S_ISREG(st->st_mode))
		err = -EINVAL;
	if (err)
		close(fd);
	return err ? err : fd;
}

int mapping_open(pid_t tgid, uint64_t start, uint64_t end, struct stat *st)
{
	char path[PATH_BYTES], shown[PATH_BYTES];
	uint64_t inode = 0;
	int fd, err;

	map_files_path(tgid, start, end, path);
	fd = open_regular(path, st);
	if (fd >= 0 || fd == -EINVAL)
		return fd;
	err = path_in_maps(tgid, start, end, shown, &inode);
	if (err)
		return err;
	if (snprintf(path, sizeof(path), "/proc/%d/root/%s", tgid, shown) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open_regular(path, st);
	if (fd >= 0 && st->st_ino != inode) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

int mapping_basename(pid_t tgid, uint64_t start, uint64_t end, char *buffer, size_t size)
{
	static const char gone[] = " (deleted)";
	char link[PATH_BYTES], path[PATH_BYTES];
	const char *name;
	uint64_t inode;
	size_t length;
	ssize_t n;
	int err;

	map_files_path(tgid, start, end, link);
	n = readlink(link, path, sizeof(path) - 1);
	if (n >= 0) {
		path[n] = '\0';
	} else {
		err = path_in_maps(tgid, start, end, path, &inode);
		if (err)
			return err;
	}
	length = strlen(path);
	if (length > strlen(gone) && !strcmp(path + length - strlen(gone), gone))
		path[length - strlen(gone)] = '\0';
	name = strrchr(path, '/');
	name = name ? name + 1 : path;
	if (!name[0])
		return -ENOENT;
	snprintf(buffer, size, "%.*s", (int)size - 1, name);
	return 0;
}
