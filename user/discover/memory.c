/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "memory.h"

#include <errno.h>
#include <sys/uio.h>

int memory_read(pid_t tgid, uint64_t address, void *buffer, size_t length)
{
	struct iovec local = {.iov_base = buffer, .iov_len = length};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = length};
	ssize_t n = process_vm_readv(tgid, &local, 1, &remote, 1, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == length ? 0 : -EFAULT;
}

int memory_read_u64(pid_t tgid, uint64_t address, uint64_t *value)
{
	return memory_read(tgid, address, value, sizeof(*value));
}
