/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "task.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>

#include "file_lock.h"
#include "memory.h"
#include "procfs.h"
#include "syscall_class.h"
#include "target.h"

/* A number on a line "key : 12.345678" of /proc/.../sched, in its own unit; negative if it is not
 * there. */
static double sched_figure(const char *path_tgid, const char *key)
{
	char text[8192], *at;
	double value;
	FILE *file = fopen(path_tgid, "re");
	size_t n;

	if (!file)
		return -1;
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	at = strstr(text, key);
	at = at ? strchr(at, ':') : NULL;
	return at && sscanf(at + 1, "%lf", &value) == 1 ? value : -1;
}

/*
 * The scheduler's clock of one CPU, in milliseconds; negative if it cannot be had.  It differs from
 * CPU to CPU (it leaves out time stolen and spent in interrupts), so it is read there: what
 * runs there now, which is us, was accounted a moment ago (kernel/sched/fair.c, update_curr).
 */
static double clock_of_cpu(int cpu)
{
	cpu_set_t before, only;
	double now = -1;

	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(before), &before))
		return -1;
	CPU_ZERO(&only);
	CPU_SET(cpu, &only);
	if (sched_setaffinity(0, sizeof(only), &only))
		return -1;
	sched_yield();
	now = sched_figure("/proc/thread-self/sched", "se.exec_start");
	sched_setaffinity(0, sizeof(before), &before);
	return now;
}

/* Seconds since the thread last ran, by when the scheduler last accounted it. */
static double off_cpu_for(pid_t tgid, pid_t tid, int cpu)
{
	char path[64];
	double last, now;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/sched", tgid, tid);
	last = sched_figure(path, "se.exec_start");
	if (last < 0)
		return -1;
	now = clock_of_cpu(cpu);
	return now < last ? -1 : (now - last) / 1e3;
}

/* What it is in: "running", or "NR ARG... SP PC", NR -1 outside of any system call. */
static void read_syscall(pid_t tgid, pid_t tid, struct task *out)
{
	char name[64], text[256];
	uint64_t *a = out->args;
	int found;

	out->syscall = SYSCALL_NONE;
	snprintf(name, sizeof(name), "task/%d/syscall", tid);
	if (procfs_read(tgid, name, text, sizeof(text)) <= 0)
		return;
	found = sscanf(text,
		       "%d %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		       " %" SCNx64,
		       &out->syscall, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &out->sp);
	out->syscall_known = found == 8 || (found >= 1 && out->syscall == SYSCALL_NONE);
	if (!out->syscall_known)
		out->syscall = SYSCALL_NONE;
}

static enum wait_class fd_class(pid_t tgid, int fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tgid, fd);
	return stat(path, &st) ? WAIT_OTHER : mode_class(st.st_mode);
}

/* How many descriptors a poll() or select() waits for, and which if it is one; else -1. */
struct polled {
	unsigned long count;
	int alone;
};

static struct polled polled_by_poll(pid_t tgid, const struct task *task)
{
	struct polled polled = {task->args[1], -1};
	struct pollfd only;

	if (polled.count == 1 && !memory_read(tgid, task->args[0], &only, sizeof(only)))
		polled.alone = only.fd;
	return polled;
}

/* Its three sets: what it waits to read, to write, and exceptions. */
static struct polled polled_by_select(pid_t tgid, const struct task *task)
{
	unsigned long words = (task->args[0] + 63) / 64, all[FD_SETSIZE / 64] = {0},
		      set[FD_SETSIZE / 64];
	struct polled polled = {0, -1};
	int last = -1;

	if (words > FD_SETSIZE / 64)
		words = FD_SETSIZE / 64;
	for (int i = 1; i < 4; i++) {
		if (!task->args[i] || memory_read(tgid, task->args[i], set, words * sizeof(*set)))
			continue;
		for (unsigned long word = 0; word < words; word++)
			all[word] |= set[word];
	}
	for (unsigned long word = 0; word < words; word++) {
		if (!all[word])
			continue;
		polled.count += __builtin_popcountl(all[word]);
		last = (int)(word * 64) + __builtin_ctzl(all[word]);
	}
	if (polled.count == 1)
		polled.alone = last;
	return polled;
}

/* One of one descriptor is how a Python socket with a timeout waits. */
static enum wait_class polled_class(pid_t tgid, struct polled polled)
{
	return fd_class(tgid, polled.alone) == WAIT_NET ? WAIT_NET : WAIT_POLL;
}

static enum wait_class class_of(pid_t tgid, const struct task *task, char state)
{
	int decides;

	if (!task->syscall_known)
		return state == 'D' ? WAIT_DISK : WAIT_OTHER;
	decides = syscall_decides(task->syscall);
	switch (decides) {
	case DECIDED_BY_FD:
		return fd_class(tgid, (int)task->args[0]);
	case DECIDED_BY_POLL:
		if (!task->args[1])
			return WAIT_SLEEP;
		return polled_class(tgid, polled_by_poll(tgid, task));
	case DECIDED_BY_SELECT:
		if (!task->args[0]) /* up to 3.10 time.sleep() is select() on nothing */
			return WAIT_SLEEP;
		return polled_class(tgid, polled_by_select(tgid, task));
	case DECIDED_BY_NOTHING:
		return state == 'D' ? WAIT_DISK : WAIT_OTHER;
	}
	return decides;
}

/* From /proc/TGID/task/TID/stat: its name, state letter, and the CPU it was last on. */
static int read_stat(pid_t tgid, pid_t tid, struct task *out, char *state, int *cpu)
{
	char name[64], text[1024], *open, *close;
	ssize_t n;

	snprintf(name, sizeof(name), "task/%d/stat", tid);
	n = procfs_read(tgid, name, text, sizeof(text));
	if (n < 0)
		return (int)n;
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open)
		return -EIO;
	snprintf(out->name, sizeof(out->name), "%.*s", (int)(close - open - 1), open + 1);
	/* fields 3 and 39 of proc(5) */
	return sscanf(close + 1,
		      " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		      "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d",
		      state, cpu) == 2
		       ? 0
		       : -EIO;
}

static uint64_t times_switched(pid_t tgid, pid_t tid)
{
	char name[64], text[128];
	uint64_t count = 0;

	snprintf(name, sizeof(name), "task/%d/schedstat", tid);
	if (procfs_read(tgid, name, text, sizeof(text)) > 0)
		(void)!sscanf(text, "%*u %*u %" SCNu64, &count);
	return count;
}

int task_look(pid_t tgid, pid_t tid, struct task *out)
{
	char state = '?';
	int err, cpu = -1;

	*out = (struct task){.tid = tid, .syscall = SYSCALL_NONE, .since = -1};
	err = read_stat(tgid, tid, out, &state, &cpu);
	if (err)
		return err;
	out->switched = times_switched(tgid, tid);
	switch (state) {
	case 'R':
		out->state = TASK_RUNS;
		return 0;
	case 'T':
	case 't':
		out->state = TASK_STOPPED;
		break;
	case 'Z':
	case 'X':
		out->state = TASK_ENDING;
		return 0;
	default:
		out->state = TASK_WAITS;
	}
	read_syscall(tgid, tid, out);
	out->wait_class = class_of(tgid, out, state);
	out->since = off_cpu_for(tgid, tid, cpu);
	return 0;
}

ssize_t task_list(pid_t tgid, pid_t **tids)
{
	struct dirent *entry;
	size_t count = 0;
	char path[64];
	DIR *dir;

	*tids = NULL;
	snprintf(path, sizeof(path), "/proc/%d/task", tgid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while ((entry = readdir(dir))) {
		pid_t *grown;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		grown = reallocarray(*tids, count + 1, sizeof(*grown));
		if (!grown) {
			free(*tids);
			*tids = NULL;
			closedir(dir);
			return -ENOMEM;
		}
		*tids = grown;
		grown[count++] = atoi(entry->d_name);
	}
	closedir(dir);
	return (ssize_t)count;
}

static char *process_target(pid_t tgid)
{
	char name[16] = "", *text;

	if (procfs_read(tgid, "comm", name, sizeof(name)) > 0)
		name[strcspn(name, "\n")] = '\0';
	return asprintf(&text, "process %d (%s)", tgid, name[0] ? name : "gone") < 0 ? NULL : text;
}

static char *child_target(pid_t child)
{
	return child > 0 ? process_target(child) : strdup("any child");
}

static char *count_target(unsigned long count)
{
	char *text;

	return asprintf(&text, "%lu descriptor%s", count, count == 1 ? "" : "s") < 0 ? NULL : text;
}

static char *file_target(pid_t tgid, int fd)
{
	struct target_key key;

	return fd_target(tgid, fd, &key);
}

/* The file, and who has the lock. */
static char *locked_target(pid_t tgid, int fd)
{
	char *file = file_target(tgid, fd), *holder, *text;
	pid_t has = file_lock_holder(tgid, fd);

	if (!file || !has)
		return file;
	holder = process_target(has);
	if (asprintf(&text, "%s, locked by %s", file, holder ?: "another") < 0)
		text = NULL;
	free(file);
	free(holder);
	return text;
}

static char *polled_target(pid_t tgid, struct polled polled)
{
	if (!polled.count)
		return NULL;
	return polled.alone >= 0 ? file_target(tgid, polled.alone) : count_target(polled.count);
}

/* As poll() of one descriptor: it may wait for a peer and for nothing else. */
static char *epolled_target(pid_t tgid, struct task *task)
{
	int fd = (int)task->args[0];
	bool alone;
	char *text = epoll_target(tgid, fd, &alone);

	if (alone)
		task->wait_class = WAIT_NET;
	return text ?: count_target(epoll_members(tgid, fd));
}

char *task_target(pid_t tgid, struct task *task)
{
	int decides = task->syscall_known ? syscall_decides(task->syscall) : DECIDED_BY_NOTHING;

	if (task->state != TASK_WAITS || !task->syscall_known)
		return NULL;
	switch (decides) {
	case DECIDED_BY_FD:
	case WAIT_NET:
	case WAIT_DISK:
		return file_target(tgid, (int)task->args[0]);
	case DECIDED_BY_POLL:
		return polled_target(tgid, polled_by_poll(tgid, task));
	case DECIDED_BY_SELECT:
		return polled_target(tgid, polled_by_select(tgid, task));
	case WAIT_POLL:
		return epolled_target(tgid, task);
	case WAIT_LOCK:
		return syscall_locks_file(task->syscall) ? locked_target(tgid, (int)task->args[0])
							 : NULL;
	case WAIT_CHILD:
		return child_target((pid_t)task->args[task->syscall == __NR_waitid ? 1 : 0]);
	}
	return NULL;
}
