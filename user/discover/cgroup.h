/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which container a process runs in, as its control groups tell. */
#ifndef PYTRACE_DISCOVER_CGROUP_H
#define PYTRACE_DISCOVER_CGROUP_H

#include <stddef.h>

#define CONTAINER_ID_DIGITS 64

/*
 * The last container id in a path, as Docker, containerd, CRI-O and Podman
 * write them: 64 hexadecimal digits with none beside them.  Fills `id`, of
 * CONTAINER_ID_DIGITS + 1 bytes, with it or "".
 */
void cgroup_container_id(const char *path, char *id);

/*
 * Pick the path that says most from `text`, the contents of /proc/TGID/cgroup:
 * one with a container id, else the unified hierarchy's, else the longest.
 * Fills `path` (cut to `size`) and `id`.
 */
void cgroup_choose(const char *text, char *path, size_t size, char *id);

#endif
