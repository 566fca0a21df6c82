/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef PYTRACE_DISCOVER_SYSCALL_H
#define PYTRACE_DISCOVER_SYSCALL_H

/* The name of the system call of that number on this machine, static; NULL if there is none. */
const char *syscall_name(int nr);

#endif
