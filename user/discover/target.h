/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What stands behind a file descriptor of another process, in words. */
#ifndef PYTRACE_DISCOVER_TARGET_H
#define PYTRACE_DISCOVER_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

#include "records.h"

/*
 * A socket's peer ("10.0.0.7:5432 (postgresql)", "listening on 0.0.0.0:80 (http)"), a unix socket's
 * path, a file's path, "pipe", "eventfd" ...  NULL if it cannot be said; malloc'd.  Of a socket
 * *key has kind and flags, else TARGET_NONE.
 */
char *fd_target(pid_t tgid, int fd, struct target_key *key);

/* How many descriptors an epoll instance watches; 0 if that cannot be said. */
unsigned long epoll_members(pid_t tgid, int fd);

/*
 * What an epoll instance waits for if that is one thing: its only member; or the peer, where it has
 * one and something that wakes the loop (bpf/target.bpf.h, target_epoll).  NULL if it is not, or
 * cannot be said.  *alone: it is the only member, and a peer.
 */
char *epoll_target(pid_t tgid, int fd, bool *alone);

#endif
