/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "syscall.h"

#include <stddef.h>

static const char *const names[] = {
#include "syscalls.inc"
};

const char *syscall_name(int nr)
{
	return nr < 0 || (size_t)nr >= sizeof(names) / sizeof(*names) ? NULL : names[nr];
}
