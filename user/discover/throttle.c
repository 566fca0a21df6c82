/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* CPU quotas of control groups: see throttle.h. */
#include "throttle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Is `word` one of the words of a list with commas? */
static bool listed(const char *list, const char *end, const char *word)
{
	size_t length = strlen(word);

	while (list < end) {
		size_t next = strcspn(list, ",");

		if (list + next > end)
			next = (size_t)(end - list);
		if (next == length && !strncmp(list, word, length))
			return true;
		list += next + 1;
	}
	return false;
}

/* "36 25 0:31 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw": proc_pid_mountinfo(5). */
static void consider_mount(const char *line, struct cpu_hierarchy *hierarchy)
{
	char root[8], folder[sizeof(hierarchy->folder)], type[16], options[512];
	const char *rest = strstr(line, " - ");
	bool unified;

	if (!rest || sscanf(line, "%*s %*s %*s %7s %255s", root, folder) != 2 ||
	    sscanf(rest, " - %15s %*s %511s", type, options) != 2)
		return;
	/* a part of the hierarchy has other paths; a folder with a blank is written otherwise */
	if (strcmp(root, "/") || strchr(folder, '\\'))
		return;
	unified = !strcmp(type, "cgroup2");
	if (!unified && (strcmp(type, "cgroup") || !listed(options, strchr(options, '\0'), "cpu")))
		return;
	/* the controller is in version 1's hierarchy if it has one; the first mount will do */
	if (hierarchy->mounted && (unified || !hierarchy->unified))
		return;
	memcpy(hierarchy->folder, folder, sizeof(folder));
	hierarchy->unified = unified;
	hierarchy->mounted = true;
}

void cpu_hierarchy_find(const char *mountinfo, struct cpu_hierarchy *hierarchy)
{
	char line[1024];

	*hierarchy = (struct cpu_hierarchy){.mounted = false};
	while (*mountinfo) {
		size_t length = strcspn(mountinfo, "\n");

		if (length < sizeof(line)) {
			memcpy(line, mountinfo, length);
			line[length] = '\0';
			consider_mount(line, hierarchy);
		}
		mountinfo += length + (mountinfo[length] == '\n');
	}
}

/* The process's group in the hierarchy, from "4:cpu,cpuacct:/a" or "0::/a".  0 or -ENOENT. */
static int group_of(const struct cpu_hierarchy *hierarchy, const char *groups,
		    char path[THROTTLE_PATH_BYTES])
{
	for (const char *line = groups; *line; line += strspn(line, "\n")) {
		size_t length = strcspn(line, "\n");
		const char *end = line + length;
		const char *list = memchr(line, ':', length);
		const char *where = list ? memchr(list + 1, ':', (size_t)(end - list - 1)) : NULL;

		if (where &&
		    (hierarchy->unified ? where == list + 1 : listed(list + 1, where, "cpu"))) {
			length = (size_t)(end - ++where);
			/* "/..": it is outside our cgroup namespace */
			if (!length || length >= THROTTLE_PATH_BYTES || !strncmp(where, "/..", 3))
				return -ENOENT;
			memcpy(path, where, length);
			path[length == 1 ? 0 : length] = '\0'; /* "/" */
			return 0;
		}
		line = end;
	}
	return -ENOENT;
}

/* A small file of a group.  0 or a negative errno. */
static int read_group(const struct cpu_hierarchy *hierarchy, const char *group, const char *name,
		      char *text, size_t size)
{
	char path[sizeof(hierarchy->folder) + THROTTLE_PATH_BYTES + 32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s%s/%s", hierarchy->folder, group, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return n < 0 ? -EIO : 0;
}

static bool has_quota(const struct cpu_hierarchy *hierarchy, const char *group)
{
	char text[64] = "";

	if (read_group(hierarchy, group, hierarchy->unified ? "cpu.max" : "cpu.cfs_quota_us", text,
		       sizeof(text)))
		return false; /* the root has none, nor has a group without the controller */
	return text[0] >= '0' && text[0] <= '9'; /* else "max", or -1 */
}

/* A line "KEY VALUE" of cpu.stat.  0 or -ENOENT. */
static int stat_value(const char *text, const char *key, uint64_t *value)
{
	size_t length = strlen(key);

	while (*text) {
		if (!strncmp(text, key, length) && text[length] == ' ') {
			*value = strtoull(text + length, NULL, 10);
			return 0;
		}
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return -ENOENT;
}

static int read_counters(const struct cpu_hierarchy *hierarchy, struct throttle *throttle)
{
	char text[2048] = "";
	uint64_t time;

	if (read_group(hierarchy, throttle->cgroup, "cpu.stat", text, sizeof(text)) ||
	    stat_value(text, "nr_throttled", &throttle->count) ||
	    stat_value(text, hierarchy->unified ? "throttled_usec" : "throttled_time", &time))
		return -ENOENT;
	throttle->ns = hierarchy->unified ? time * 1000 : time;
	return 0;
}

void throttle_read(const struct cpu_hierarchy *hierarchy, const char *groups,
		   struct throttle *throttle)
{
	char *path = throttle->cgroup, *slash;

	*throttle = (struct throttle){.count = 0};
	if (!hierarchy->mounted || group_of(hierarchy, groups, path))
		return;
	while (!has_quota(hierarchy, path)) {
		slash = strrchr(path, '/');
		if (!slash)
			return; /* not even the root, which is empty here; a container's may have
				   one */
		*slash = '\0';
	}
	if (!path[0])
		memcpy(path, "/", sizeof("/"));
	if (read_counters(hierarchy, throttle))
		path[0] = '\0';
}

void throttle_read_again(const struct cpu_hierarchy *hierarchy, const struct throttle *before,
			 struct throttle *throttle)
{
	*throttle = *before;
	if (before->cgroup[0] && read_counters(hierarchy, throttle))
		throttle->cgroup[0] = '\0';
}
