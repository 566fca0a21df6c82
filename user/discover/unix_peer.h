/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who a unix socket is connected to: /proc tells of each socket, but not that. */
#ifndef PYTRACE_DISCOVER_UNIX_PEER_H
#define PYTRACE_DISCOVER_UNIX_PEER_H

#include <stdint.h>
#include <sys/types.h>

/*
 * The inode of the socket at the other end of this one, which is in the network namespace of the
 * process.  0: it has none, or it cannot be known (a kernel without unix_diag; not root, and the
 * namespace is another one).
 */
uint64_t unix_peer(pid_t tgid, uint64_t inode);

#endif
