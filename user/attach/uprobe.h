/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Uprobes on a set of places in one file, attached and detached as one. */
#ifndef PYTRACE_UPROBE_H
#define PYTRACE_UPROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The attach type of uprobe_multi programs (enum bpf_attach_type, kernel 6.6:
 * include/uapi/linux/bpf.h).  The headers of Debian 12 do not have it.
 */
#define TRACE_UPROBE_MULTI 48

enum uprobe_way {
	UPROBE_MULTI, /* one link for many places: opens and closes in milliseconds */
	UPROBE_PERF,  /* one perf event a place: kernels before 6.6 */
};

struct uprobe_place {
	uint64_t file_offset;
	uint64_t semaphore; /* file offset of a USDT semaphore, or 0 */
	uint64_t cookie;
};

/* Can this kernel attach uprobe_multi links? */
bool uprobe_multi_works(void);

/*
 * Attach the program to `count` places of the file at `path`, in process `tgid`
 * or, if that is 0, in every process that maps the file, now or later.  (A
 * UPROBE_PERF one is always in every process.)  The file descriptors that keep
 * the probes are appended to fds[], which has room for two a place, their number
 * added to *fd_count; closing them takes the probes away.
 * Returns 0, or a negative errno with nothing attached.
 */
int uprobe_attach(enum uprobe_way way, int prog_fd, const char *path, pid_t tgid,
		  const struct uprobe_place *places, size_t count, int *fds, size_t *fd_count);

#endif
