/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* See watch.h.  One perf event a thread: by CPU they would be for all processes of the host. */
#include "watch.h"

#include "clock.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <dirent.h>
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIPTORS_LEFT 256 /* for everything else */
#define TRIES 100
#define ROUNDS 8 /* of looking for threads that began meanwhile */
/* A fork that is told this long after the watch began was certainly begun after it, too. */
#define FORK_NS 100000000ull

/* A watch of one process, and of those that inherited it. */
struct watch {
	struct watch *next;
	uint32_t number;
	struct watch_address addresses[WATCH_ADDRESSES_MAX];
	size_t address_count;
	pid_t *tids; /* those watched so far */
	int *fds;    /* of each its addresses' */
	size_t count;
	pid_t *tgids;
	size_t tgid_count;
	uint64_t since_ns;
};

struct watch_set {
	size_t fd_count;
	struct watch *watches;
};

/* A perf event on one thread; its descriptor or a negative errno. */
static int event_open(pid_t tid, const struct watch_address *watched, bool inherit)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		/* (there are none for reads alone) */
		.bp_type = watched->reads ? HW_BREAKPOINT_RW : HW_BREAKPOINT_W,
		.bp_addr = watched->address,
		.bp_len = watched->bytes,
		.sample_period = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.inherit = inherit,
		.remove_on_exec = inherit, /* there the address is something else */
	};
	int fd = (int)syscall(__NR_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* CPUID leaf 1: hypervisors set bit 31 of ECX, processors do not (AMD and Intel reserve it). */
static bool is_virtual_machine(void)
{
#ifdef __x86_64__
	unsigned int a, b, c = 0, d;

	return !__get_cpuid(1, &a, &b, &c, &d) || c >> 31;
#else
	return true; /* not known to be safe */
#endif
}

int watch_allowed(enum watch_choice choice)
{
	if (choice == WATCH_NEVER)
		return -ECANCELED;
	return choice == WATCH_AUTO && is_virtual_machine() ? -ENOTRECOVERABLE : 0;
}

/* A trap whose reason is lost: the trial is not to kill us.  (To ignore it would not do.) */
static void note_lost_trap(int signal)
{
	(void)signal;
}

int watch_try(uint32_t *trap_ns)
{
	static volatile uint32_t watched;
	struct sigaction survive = {.sa_handler = note_lost_trap}, before;
	uint64_t writes = 0, best = UINT32_MAX;
	const struct watch_address own = {.address = (uintptr_t)&watched, .bytes = 4};
	int fd = event_open(0, &own, false), err = 0;

	if (fd < 0)
		return fd;
	sigaction(SIGTRAP, &survive, &before);
	/* the quickest: nothing else of the machine is in it */
	for (uint32_t i = 0; i < TRIES; i++) {
		uint64_t start = monotonic_ns(), took;

		watched = i;
		took = monotonic_ns() - start;
		if (took < best)
			best = took;
	}
	sigaction(SIGTRAP, &before, NULL);
	*trap_ns = best;
	if (read(fd, &writes, sizeof(writes)) != sizeof(writes))
		err = -errno;
	close(fd);
	return err ? err : writes == TRIES ? 0 : -ENOTSUP;
}

const char *watch_refusal(int err)
{
	switch (err) {
	case -ENOSPC:
		return "all its hardware watchpoints are taken (by a debugger?)";
	case -EMFILE:
		return "it has more threads than we may have descriptors (ulimit -n)";
	case -ECANCELED:
		return "--watchpoints never";
	case -ENOTRECOVERABLE:
		return "in a virtual machine a hardware watchpoint can kill the process "
		       "(--watchpoints always takes the risk)";
	case -ENOTSUP:
		return "hardware watchpoints do not work on this machine";
	}
	return strerror(-err);
}

struct watch_set *watch_set__new(void)
{
	return calloc(1, sizeof(struct watch_set));
}

static void watch_free(struct watch_set *set, struct watch *watch)
{
	for (size_t i = 0; i < watch->count * watch->address_count; i++)
		close(watch->fds[i]);
	set->fd_count -= watch->count * watch->address_count;
	free(watch->tids);
	free(watch->fds);
	free(watch->tgids);
	free(watch);
}

void watch_set__free(struct watch_set *set)
{
	struct watch *next;

	if (!set)
		return;
	for (struct watch *watch = set->watches; watch; watch = next) {
		next = watch->next;
		watch_free(set, watch);
	}
	free(set);
}

/* Is there room for so many descriptors more?  The soft limit is raised to the hard one. */
static bool descriptors_allowed(const struct watch_set *set, size_t more)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return false;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	return set->fd_count + more + DESCRIPTORS_LEFT <= limit.rlim_cur;
}

/* The descriptor of one address on one thread, its program attached; or a negative errno. */
static int watch_address(pid_t tid, const struct watch_address *watched)
{
	int fd = event_open(tid, watched, true), err;

	if (fd < 0 || !ioctl(fd, PERF_EVENT_IOC_SET_BPF, watched->program))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* 1, 0: it is watched already or has ended, or a negative errno. */
static int watch_thread(struct watch_set *set, struct watch *watch, pid_t tid)
{
	size_t count = watch->address_count, at = watch->count * count, opened;
	pid_t *tids;
	int *fds, fd = 0;

	for (size_t i = 0; i < watch->count; i++)
		if (watch->tids[i] == tid)
			return 0;
	if (!descriptors_allowed(set, count))
		return -EMFILE;
	tids = reallocarray(watch->tids, watch->count + 1, sizeof(*tids));
	if (!tids)
		return -ENOMEM;
	watch->tids = tids;
	fds = reallocarray(watch->fds, at + count, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	watch->fds = fds;
	for (opened = 0; opened < count; opened++) {
		fd = watch_address(tid, &watch->addresses[opened]);
		if (fd < 0)
			break;
		fds[at + opened] = fd;
	}
	if (fd < 0) {
		while (opened-- > 0)
			close(fds[at + opened]);
		return fd == -ESRCH ? 0 : fd;
	}
	watch->tids[watch->count++] = tid;
	set->fd_count += count;
	return 1;
}

/* One round over the threads.  How many are newly watched, or a negative errno. */
static int watch_threads(struct watch_set *set, struct watch *watch, pid_t tgid)
{
	struct dirent *entry;
	int count = 0, ret = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", tgid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while (ret >= 0 && (entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid > 0)
			ret = watch_thread(set, watch, tid);
		count += ret > 0;
	}
	closedir(dir);
	return ret < 0 ? ret : count;
}

static int note_tgid(struct watch *watch, pid_t tgid)
{
	pid_t *grown = reallocarray(watch->tgids, watch->tgid_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	watch->tgids = grown;
	watch->tgids[watch->tgid_count++] = tgid;
	return 0;
}

int watch_set__add(struct watch_set *set, pid_t tgid, uint32_t number,
		   const struct watch_address *addresses, size_t address_count)
{
	struct watch *watch;
	int count = 1;

	if (address_count > WATCH_ADDRESSES_MAX)
		return -ENOSPC;
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->number = number;
	watch->address_count = address_count;
	memcpy(watch->addresses, addresses, address_count * sizeof(*addresses));
	/* one that began in the first round may have been begun by one not watched yet */
	for (int round = 0; round < ROUNDS && count > 0; round++)
		count = watch_threads(set, watch, tgid);
	if (count >= 0 && !watch->count)
		count = -ESRCH;
	if (count >= 0)
		count = note_tgid(watch, tgid);
	if (count < 0) {
		watch_free(set, watch);
		return count;
	}
	watch->since_ns = monotonic_ns();
	watch->next = set->watches;
	set->watches = watch;
	return 0;
}

static struct watch *watch_of(const struct watch_set *set, pid_t tgid, uint32_t number)
{
	for (struct watch *watch = set->watches; watch; watch = watch->next)
		for (size_t i = 0; i < watch->tgid_count && watch->number == number; i++)
			if (watch->tgids[i] == tgid)
				return watch;
	return NULL;
}

bool watch_set__inherit(struct watch_set *set, pid_t parent, pid_t child, uint32_t number,
			uint64_t forked_ns)
{
	struct watch *watch = watch_of(set, parent, number);

	return watch && forked_ns > watch->since_ns + FORK_NS && !note_tgid(watch, child);
}

void watch_set__remove(struct watch_set *set, pid_t tgid, uint32_t number)
{
	struct watch *watch = watch_of(set, tgid, number);

	if (!watch)
		return;
	for (size_t i = watch->tgid_count; i-- > 0;)
		if (watch->tgids[i] == tgid)
			watch->tgids[i] = watch->tgids[--watch->tgid_count];
	if (watch->tgid_count)
		return;
	for (struct watch **link = &set->watches; *link; link = &(*link)->next)
		if (*link == watch) {
			*link = watch->next;
			break;
		}
	watch_free(set, watch);
}
