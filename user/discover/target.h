/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What stands behind a file descriptor of another process, in words. */
#ifndef PYTRACE_DISCOVER_TARGET_H
#define PYTRACE_DISCOVER_TARGET_H

#include <sys/types.h>

/*
 * A socket's peer ("10.0.0.7:5432 (postgresql)", "listening on 0.0.0.0:80 (http)"), a unix socket's
 * path, a file's path, "pipe", "eventfd" ...  NULL if it cannot be said; malloc'd.
 */
char *fd_target(pid_t tgid, int fd);

/* How many descriptors an epoll instance watches; 0 if that cannot be said. */
unsigned long epoll_members(pid_t tgid, int fd);

#endif
