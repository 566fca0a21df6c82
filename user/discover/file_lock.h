/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who has the lock on a file that another process waits for. */
#ifndef PYTRACE_DISCOVER_FILE_LOCK_H
#define PYTRACE_DISCOVER_FILE_LOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The process that has the lock (flock() or fcntl()) that process `tgid` waits for on its
 * descriptor `fd`; 0: not known.
 */
pid_t file_lock_holder(pid_t tgid, int fd);

/* A line of /proc/locks. */
struct file_lock {
	long long id; /* a lock and those that wait for it have the same */
	bool waits;
	pid_t tgid; /* -1: an open file's, 0: of another pid namespace */
	uint64_t inode;
};

/* False if the line is none. */
bool file_lock_parse(const char *line, struct file_lock *out);

#endif
