/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "file_lock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* "7: -> FLOCK  ADVISORY  WRITE 4711 08:01:9283 0 EOF": fs/locks.c, lock_get_status() */
bool file_lock_parse(const char *line, struct file_lock *out)
{
	const char *rest;
	int n = 0;

	if (sscanf(line, "%lld: %n", &out->id, &n) != 1 || !n)
		return false;
	rest = line + n;
	out->waits = !strncmp(rest, "-> ", 3);
	if (out->waits)
		rest += 3;
	return sscanf(rest, "%*s %*s %*s %d %*x:%*x:%" SCNu64, &out->tgid, &out->inode) == 2;
}

static bool inode_of(pid_t tgid, int fd, uint64_t *inode)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tgid, fd);
	if (stat(path, &st))
		return false;
	*inode = st.st_ino;
	return true;
}

/* A lock stands before those that wait for it. */
pid_t file_lock_holder(pid_t tgid, int fd)
{
	struct file_lock lock, last = {.id = -1};
	char *line = NULL;
	size_t size = 0;
	uint64_t inode;
	pid_t holder = 0;
	FILE *locks;

	if (!inode_of(tgid, fd, &inode))
		return 0;
	locks = fopen("/proc/locks", "re");
	if (!locks)
		return 0;
	while (!holder && getline(&line, &size, locks) > 0) {
		if (!file_lock_parse(line, &lock) || lock.inode != inode)
			continue;
		if (!lock.waits)
			last = lock;
		else if (lock.tgid == tgid && lock.id == last.id && last.tgid > 0)
			holder = last.tgid;
	}
	free(line);
	fclose(locks);
	return holder;
}
