/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The system calls that attach uprobes: uprobe_multi links, which Debian 12's
 * libbpf does not know, and perf events on kernels without those links.
 */
#include "uprobe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

/* union bpf_attr.link_create with its uprobe_multi part, as of 6.6. */
struct uprobe_multi_attr {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t link_flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t count;
	uint32_t flags;
	uint32_t pid;
	uint32_t pad;
};

static int link_create(const struct uprobe_multi_attr *attr)
{
	int fd = (int)syscall(__NR_bpf, BPF_LINK_CREATE, attr, sizeof(*attr));

	return fd < 0 ? -errno : fd;
}

bool uprobe_multi_works(void)
{
	struct bpf_insn exit_0[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = TRACE_UPROBE_MULTI);
	uint64_t offset = 0;
	struct uprobe_multi_attr attr = {
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t) "/",
		.offsets = (uintptr_t)&offset,
		.count = 1,
	};
	int prog, link;

	prog = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "probe_feature", "GPL", exit_0, 2, &opts);
	if (prog < 0)
		return false;
	attr.prog_fd = prog;
	link = link_create(&attr);
	if (link >= 0)
		close(link);
	close(prog);
	return link == -EBADF; /* it looked at the path: a folder is no file to probe */
}

static int attach_multi(int prog_fd, const char *path, pid_t tgid,
			const struct uprobe_place *places, size_t count, int *fd)
{
	uint64_t *arrays = calloc(3 * count, sizeof(*arrays));
	struct uprobe_multi_attr attr = {
		.prog_fd = prog_fd,
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.count = count,
		.pid = tgid,
	};
	bool semaphores = false;
	int ret;

	if (!arrays)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		arrays[i] = places[i].file_offset;
		arrays[count + i] = places[i].cookie;
		arrays[2 * count + i] = places[i].semaphore;
		semaphores |= places[i].semaphore != 0;
	}
	attr.offsets = (uintptr_t)arrays;
	attr.cookies = (uintptr_t)(arrays + count);
	if (semaphores)
		attr.ref_ctr_offsets = (uintptr_t)(arrays + 2 * count);
	ret = link_create(&attr);
	free(arrays);
	if (ret < 0)
		return ret;
	*fd = ret;
	return 0;
}

/* The type number of the uprobe PMU, or a negative errno. */
static int uprobe_pmu_type(void)
{
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -ENOENT;

	if (!file)
		return -errno;
	if (fscanf(file, "%d", &type) != 1)
		type = -EPROTO;
	fclose(file);
	return type;
}

static int attach_perf(int prog_fd, const char *path, const struct uprobe_place *place, int fds[2])
{
	struct perf_event_attr attr = {.size = sizeof(attr)};
	LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event.bpf_cookie = place->cookie);
	int type = uprobe_pmu_type();
	int err;

	if (type < 0)
		return type;
	attr.type = type;
	attr.uprobe_path = (uintptr_t)path;
	attr.probe_offset = place->file_offset;
	attr.config = place->semaphore << 32; /* kernel/events/core.c: ref_ctr_offset */
	fds[0] = (int)syscall(__NR_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fds[0] < 0)
		return -errno;
	fds[1] = bpf_link_create(prog_fd, fds[0], BPF_PERF_EVENT, &opts);
	if (fds[1] < 0) {
		err = -errno;
		close(fds[0]);
		return err;
	}
	if (ioctl(fds[0], PERF_EVENT_IOC_ENABLE, 0)) {
		err = -errno;
		close(fds[1]);
		close(fds[0]);
		return err;
	}
	return 0;
}

int uprobe_attach(enum uprobe_way way, int prog_fd, const char *path, pid_t tgid,
		  const struct uprobe_place *places, size_t count, int *fds, size_t *fd_count)
{
	size_t before = *fd_count;
	int err;

	if (!count)
		return 0;
	if (way == UPROBE_MULTI) {
		err = attach_multi(prog_fd, path, tgid, places, count, &fds[*fd_count]);
		if (!err)
			(*fd_count)++;
		return err;
	}
	for (size_t i = 0; i < count; i++) {
		err = attach_perf(prog_fd, path, &places[i], &fds[*fd_count]);
		if (err)
			goto undo;
		*fd_count += 2;
	}
	return 0;

undo:
	while (*fd_count > before)
		close(fds[--*fd_count]);
	return err;
}
