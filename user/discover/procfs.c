/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The plain facts /proc tells of a process: see procfs.h. */
#include "procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"

#define ENVIRON_BYTES (256u << 10)
#define STATUS_BYTES 4096

ssize_t procfs_read(pid_t tgid, const char *name, char *buffer, size_t size)
{
	char path[96];
	size_t done = 0;
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", tgid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	while (done < size - 1) {
		n = read(fd, buffer + done, size - 1 - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	n = n < 0 ? -errno : (ssize_t)done;
	buffer[done] = '\0';
	close(fd);
	return n;
}

/*
 * What follows `field` ("\nUid:") in a status file: *value points into `text` (STATUS_BYTES).  0,
 * -ENODATA if there is no such field, or another negative errno.
 */
static int status_field(pid_t tgid, const char *file, const char *field, char *text, char **value)
{
	ssize_t n = procfs_read(tgid, file, text, STATUS_BYTES);

	if (n < 0)
		return (int)n;
	*value = strstr(text, field);
	if (!*value)
		return -ENODATA;
	*value += strlen(field);
	return 0;
}

pid_t procfs_tracer(pid_t tgid)
{
	char text[STATUS_BYTES], *value = NULL;
	int err = status_field(tgid, "status", "\nTracerPid:", text, &value);

	return err ? 0 : (pid_t)strtol(value, NULL, 10);
}

/* /proc/TGID/stat, with its letter: the name may hold anything, so count from its last bracket. */
static int describe_stat(struct process *out, char *state)
{
	char text[1024], *at;
	ssize_t n;
	int found;

	n = procfs_read(out->tgid, "stat", text, sizeof(text));
	if (n < 0)
		return (int)n;
	at = strrchr(text, ')');
	if (!at)
		return -EIO;
	found = sscanf(at + 1,
		       " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d %*d"
		       " %" SCNu64,
		       state, &out->parent, &out->threads, &out->start_ticks);
	return found == 4 ? 0 : -EIO;
}

bool procfs_has_ended(pid_t tgid)
{
	struct process process = {.tgid = tgid};
	char state;
	int err = describe_stat(&process, &state);

	if (err)
		return err == -ESRCH || err == -ENOENT;
	/* the first thread may have ended with others going on */
	return (state == 'Z' || state == 'X') && process.threads <= 1;
}

/* The effective user. */
static int describe_user(struct process *out)
{
	char text[STATUS_BYTES], *value = NULL;
	int err = status_field(out->tgid, "status", "\nUid:", text, &value);

	if (err)
		return err == -ENODATA ? -EIO : err;
	return sscanf(value, " %*u %u", &out->uid) == 1 ? 0 : -EIO;
}

static void describe_names(struct process *out)
{
	ssize_t n;

	n = procfs_read(out->tgid, "comm", out->comm, sizeof(out->comm));
	if (n > 0 && out->comm[n - 1] == '\n')
		out->comm[n - 1] = '\0';
	n = procfs_read(out->tgid, "cmdline", out->command, sizeof(out->command));
	for (ssize_t i = 0; i < n; i++) {
		if (!out->command[i])
			out->command[i] = ' ';
	}
	while (n > 0 && out->command[n - 1] == ' ')
		out->command[--n] = '\0';
}

int procfs_describe(pid_t tgid, struct process *out)
{
	char groups[8192], id[CONTAINER_ID_DIGITS + 1], state;
	int err;

	out->tgid = tgid;
	err = describe_stat(out, &state);
	if (!err)
		err = describe_user(out);
	if (err)
		return err;
	describe_names(out);
	if (procfs_read(tgid, "cgroup", groups, sizeof(groups)) > 0) {
		cgroup_choose(groups, out->cgroup, sizeof(out->cgroup), id);
		snprintf(out->container_id, sizeof(out->container_id), "%s", id);
	}
	return 0;
}

int procfs_jit_variable(pid_t tgid)
{
	static const char name[] = "PYTHON_JIT=";
	int setting = -ENOENT;
	char *text, *at;
	ssize_t n;

	text = malloc(ENVIRON_BYTES);
	if (!text)
		return -ENOMEM;
	n = procfs_read(tgid, "environ", text, ENVIRON_BYTES);
	for (at = text; n > 0 && at < text + n; at += strlen(at) + 1) {
		/* read as Python/pylifecycle.c does: empty is the same as not set */
		if (!strncmp(at, name, strlen(name)) && at[strlen(name)]) {
			setting = at[strlen(name)] != '0';
			break;
		}
	}
	free(text);
	return n < 0 ? (int)n : setting;
}

pid_t procfs_own_tid(pid_t tgid, const char *tid)
{
	char name[64], text[STATUS_BYTES], *at = NULL, *end;
	long last = 0;
	int err;

	snprintf(name, sizeof(name), "task/%.20s/status", tid);
	err = status_field(tgid, name, "\nNSpid:", text, &at);
	if (err)
		return err == -ENODATA ? atoi(tid) : 0; /* a kernel without pid namespaces */
	at[strcspn(at, "\n")] = '\0';
	for (;; at = end) {
		long value = strtol(at, &end, 10);

		if (end == at)
			return (pid_t)last;
		last = value;
	}
}

ssize_t procfs_own_tids(pid_t tgid, pid_t *tids, size_t max)
{
	struct dirent *entry;
	size_t count = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", tgid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while (count < max && (entry = readdir(dir))) {
		pid_t tid;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		tid = procfs_own_tid(tgid, entry->d_name);
		if (tid > 0)
			tids[count++] = tid;
	}
	closedir(dir);
	return (ssize_t)count;
}
