// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * recorder TGID OUTPUT: breakpoints at the probe sites of a Python process.  At each hit the
 * kernel side runs here, compiled for the host; what it reads of the process is recorded.
 * Says "attached" once the breakpoints are there, and ends with the process.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/heads.h"
#include "discover/process.h"
#include "recording.h"

#define ALL_REGISTERS ((1u << REGISTERS) - 1)
#define LEARNING 160                 /* hits of a site at which all registers are recorded */
#define KEPT ((1u << KERNEL_DI) - 1) /* those that calls preserve: they are recorded always */
#define OPTIONS (PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)

struct recorded_thread {
	pid_t tid;
	struct kernel_task *task;
};

static struct {
	pid_t tgid;
	int memory;
	struct recording recording;
	uint8_t original[SITE_MAX];
	unsigned int hits[SITE_MAX];
	struct recorded_thread threads[RECORDING_THREADS];
	size_t thread_count;
} r;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "recorder: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int read_and_record(void *arg, uint64_t address, void *to, size_t size)
{
	struct iovec local = {.iov_base = to, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};

	(void)arg;
	if (process_vm_readv(r.tgid, &local, 1, &remote, 1, 0) != (ssize_t)size) {
		recording__add_fault(&r.recording, address, size);
		return -EFAULT;
	}
	recording__add_read(&r.recording, address, to, size);
	return 0;
}

static uint64_t site_address(size_t site)
{
	return r.recording.sites[site].vaddr + r.recording.bias;
}

static void write_byte(uint64_t address, uint8_t byte)
{
	if (pwrite(r.memory, &byte, 1, (off_t)address) != 1)
		die("write a breakpoint");
}

/* The number of a thread; a new one is told the recording. */
static size_t thread_of(pid_t tid, uint64_t fsbase)
{
	for (size_t i = 0; i < r.thread_count; i++)
		if (r.threads[i].tid == tid)
			return i;
	if (r.thread_count == RECORDING_THREADS)
		die("too many threads");
	r.threads[r.thread_count] = (struct recorded_thread){
		.tid = tid,
		.task = kernel__task(RECORDING_TGID, RECORDING_TGID + r.thread_count, fsbase),
	};
	recording__add_thread(&r.recording, fsbase);
	return r.thread_count++;
}

static void hit(pid_t tid, size_t site, const struct user_regs_struct *u)
{
	const uint64_t registers[REGISTERS] = {u->rbx, u->rbp, u->r12, u->r13, u->r14,
					       u->r15, u->rdi, u->rsi, u->rdx, u->rcx,
					       u->rax, u->r8,  u->r9,  u->r10, u->r11};
	size_t thread = thread_of(tid, u->fs_base);
	const struct recording_site *at = &r.recording.sites[site];
	uint32_t which = ALL_REGISTERS;

	kernel__hit(r.threads[thread].task, SITE_COOKIE(RECORDING_BUILD, site, at->kind, at->vaddr),
		    site_address(site), registers);
	kernel__look_around(r.threads[thread].task);
	if (r.hits[site]++ >= LEARNING) {
		const struct site_votes *votes = kernel__votes(RECORDING_BUILD, site);

		which = KEPT | (votes->frame_register ? 1u << (votes->frame_register - 1) : 0);
	}
	recording__add_hit(&r.recording, thread, site, registers, which);
}

/* Run the instruction under a breakpoint.  (Whoever is at one has the GIL: no other passes it.) */
static int step_over(pid_t tid, size_t site)
{
	int status, deliver = 0;

	write_byte(site_address(site), r.original[site]);
	for (;;) {
		if (ptrace(PTRACE_SINGLESTEP, tid, 0, 0) || waitpid(tid, &status, __WALL) != tid)
			die("single-step");
		if (!WIFSTOPPED(status))
			die("a thread ended in mid-air");
		if (WSTOPSIG(status) == SIGTRAP)
			break;
		deliver = WSTOPSIG(status);
	}
	write_byte(site_address(site), 0xcc);
	return deliver;
}

/* A thread met a breakpoint, maybe.  The signal it is to get. */
static int trapped(pid_t tid)
{
	struct user_regs_struct u;

	if (ptrace(PTRACE_GETREGS, tid, 0, &u))
		die("read registers");
	for (size_t i = 0; i < r.recording.site_count; i++) {
		if (u.rip != site_address(i) + 1)
			continue;
		u.rip--;
		if (ptrace(PTRACE_SETREGS, tid, 0, &u))
			die("set registers");
		hit(tid, i, &u);
		return step_over(tid, i);
	}
	return SIGTRAP;
}

static void thread_exits(pid_t tid)
{
	for (size_t i = 0; i < r.thread_count; i++) {
		if (r.threads[i].tid != tid)
			continue;
		kernel__thread_exits(r.threads[i].task);
		recording__add_exit(&r.recording, i);
		r.threads[i].tid = 0; /* its number may be another's */
	}
}

static void follow(void)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		int deliver = 0;

		if (!WIFSTOPPED(status)) {
			if (tid == r.tgid)
				return;
			continue;
		}
		if (status >> 16 == PTRACE_EVENT_EXIT)
			tid == r.tgid ? (void)0 : thread_exits(tid);
		else if (status >> 16)
			; /* a new thread, or it was stopped by us */
		else if (WSTOPSIG(status) == SIGTRAP)
			deliver = trapped(tid);
		else
			deliver = WSTOPSIG(status);
		if (ptrace(PTRACE_CONT, tid, 0, deliver) && errno != ESRCH)
			die("continue");
	}
}

/* Stop all threads there are. */
static void seize(void)
{
	struct dirent *entry;
	char path[64];
	int status;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", r.tgid);
	dir = opendir(path);
	if (!dir)
		die(path);
	while ((entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid <= 0)
			continue;
		if (ptrace(PTRACE_SEIZE, tid, 0, OPTIONS) || ptrace(PTRACE_INTERRUPT, tid, 0, 0) ||
		    waitpid(tid, &status, __WALL) != tid)
			die("attach");
	}
	closedir(dir);
}

static void resume_all(void)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", r.tgid);
	dir = opendir(path);
	if (!dir)
		die(path);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
		    ptrace(PTRACE_CONT, (pid_t)strtol(entry->d_name, NULL, 10), 0, 0))
			die("continue");
	closedir(dir);
}

/* USDT probes run only where their semaphores are raised: find those in the data that is mapped. */
static void raise_semaphores(const struct build *build)
{
	char path[64], line[4352];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", r.tgid);
	maps = fopen(path, "re");
	if (!maps)
		die(path);
	while (fgets(line, sizeof(line), maps)) {
		uint64_t start, end, offset, inode;
		char rights[8];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %" SCNu64, &start,
			   &end, rights, &offset, &inode) != 5 ||
		    inode != build->ino || rights[1] != 'w')
			continue;
		for (size_t i = 0; i < build->site_count; i++) {
			uint64_t at = build->sites[i].semaphore;

			if (at >= offset && at < offset + (end - start))
				write_byte(start + at - offset, 1);
		}
	}
	fclose(maps);
}

static void set_breakpoints(void)
{
	for (size_t i = 0; i < r.recording.site_count; i++) {
		if (pread(r.memory, &r.original[i], 1, (off_t)site_address(i)) != 1)
			die("read a probe site");
		if (r.original[i] == 0xcc) {
			fprintf(stderr, "recorder: this build is being traced: wait\n");
			exit(1);
		}
	}
	for (size_t i = 0; i < r.recording.site_count; i++)
		write_byte(site_address(i), 0xcc);
}

static void begin(const char *output)
{
	struct builds *builds = builds__new();
	struct py_layout layout;
	struct process process;
	const struct build *build;
	char path[64];

	if (!builds || process_inspect(builds, r.tgid, &process) || process.kind != PYTHON_YES)
		die("no Python process");
	build = builds__get(builds, process.build);
	if (!build->layout_known || build->method == CALLS_NONE)
		die(build->reason);
	snprintf(path, sizeof(path), "/proc/%d/mem", r.tgid);
	r.memory = open(path, O_RDWR | O_CLOEXEC);
	if (r.memory < 0)
		die(path);
	layout = r.recording.layout = build->layout;
	r.recording.bias = process.runtime - layout.runtime_vaddr;
	r.recording.site_count = build->site_count;
	for (size_t i = 0; i < build->site_count; i++)
		r.recording.sites[i] = (struct recording_site){.kind = build->sites[i].kind,
							       .vaddr = build->sites[i].vaddr};
	if (!recording__create(output, &r.recording))
		exit(1);
	layout_derive(&layout);
	kernel__reset();
	kernel__memory(read_and_record, NULL);
	kernel__add_build(RECORDING_BUILD, &layout);
	kernel__add_process(RECORDING_TGID, &(struct process_entry){
						    .runtime = process.runtime,
						    .build = RECORDING_BUILD,
						    .flags = PROCESS_TRACED | PROCESS_CALLS,
					    });
	seize();
	raise_semaphores(build);
	set_breakpoints();
	builds__free(builds);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: recorder TGID OUTPUT\n");
		return 2;
	}
	r.tgid = (pid_t)strtol(argv[1], NULL, 10);
	begin(argv[2]);
	printf("attached\n");
	fflush(stdout);
	resume_all();
	follow();
	if (!recording__finish(&r.recording))
		die(argv[2]);
	return 0;
}
