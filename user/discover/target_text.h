/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a thread waits for, from the kernel side's record to words. */
#ifndef PYTRACE_TARGET_TEXT_H
#define PYTRACE_TARGET_TEXT_H

#include "records.h"

/*
 * "127.0.0.1:5432 (postgresql)", "listening on [::]:80", "unix /run/x.sock", "/var/log/app.log",
 * "pipe", "eventfd", "tty /dev/pts/1", "child sleep" ...  Bytes from the target are in it as they
 * are.  Of an epoll instance only a name that tells it from others; see epoll_text().  NULL
 * without memory or for a record that makes no sense; malloc'd.
 */
char *target_text(const struct record_target *record);

/* "epoll of 12 fds"; `members` 0: it is not known how many.  NULL without memory; malloc'd. */
char *epoll_text(unsigned long members);

#endif
