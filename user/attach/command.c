/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Starting the command of -c and following it to its exec of Python. */
#include "command.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* System calls of a dynamic loader, entered and left: Python's needs some fifty. */
#define LOADER_STOPS 4000
#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */

/* A number in the environment, -1 if there is none. */
static long environment_id(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long value;

	if (!text || !*text)
		return -1;
	value = strtol(text, &end, 10);
	return *end || value < 0 ? -1 : value;
}

/* sudo tells who called it.  Returns 0 or -1. */
static int become_caller(void)
{
	long uid = environment_id("SUDO_UID"), gid = environment_id("SUDO_GID");
	const struct passwd *entry;

	if (uid < 0 || gid < 0 || geteuid() != 0)
		return 0;
	entry = getpwuid(uid);
	if (entry) {
		if (initgroups(entry->pw_name, gid))
			return -1;
		setenv("HOME", entry->pw_dir, 1);
		setenv("USER", entry->pw_name, 1);
		setenv("LOGNAME", entry->pw_name, 1);
	} else if (setgroups(0, NULL)) {
		return -1;
	}
	return setgid(gid) || setuid(uid) ? -1 : 0;
}

static void child_main(const char *text)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (become_caller())
		_exit(126);
	/* wait for our tracer; asked for by the child so that setuid() cannot undo it */
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(126);
	raise(SIGSTOP);
	execl("/bin/sh", "sh", "-c", text, (char *)NULL);
	_exit(127);
}

int command_start(struct command *command, const char *text)
{
	/* the shell forks for most commands, so its children are held at their execs as well */
	uintptr_t options = PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			    PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD;
	int status;
	pid_t tgid = fork();

	if (tgid < 0)
		return -errno;
	if (!tgid)
		child_main(text);
	if (waitpid(tgid, &status, 0) != tgid || !WIFSTOPPED(status))
		return -ECHILD;
	if (ptrace(PTRACE_SETOPTIONS, tgid, NULL, (void *)options) ||
	    ptrace(PTRACE_CONT, tgid, NULL, NULL)) {
		int err = -errno;

		kill(tgid, SIGKILL);
		return err;
	}
	*command = (struct command){.tgid = tgid};
	return 0;
}

/* Does it stand behind an mmap() of code? */
static bool mapped_code(pid_t pid)
{
	struct user_regs_struct regs;

	return !ptrace(PTRACE_GETREGS, pid, NULL, &regs) && regs.orig_rax == SYS_mmap &&
	       regs.rdx & PROT_EXEC && (long long)regs.rax >= 0;
}

/*
 * Run it on from one system call to the next while its loader maps libraries.  Returns what
 * it is then, and its last wait status; it may have ended.
 */
static enum held follow_loader(pid_t pid, held_fn look, void *arg, int *status)
{
	enum held held = HELD_LATER;

	for (int i = 0; i < LOADER_STOPS && held == HELD_LATER; i++) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) || waitpid(pid, status, __WALL) != pid)
			return HELD_OTHER;
		if (!WIFSTOPPED(*status) || WSTOPSIG(*status) != SYSCALL_STOP)
			return HELD_OTHER; /* its loader does without signals and children */
		if (mapped_code(pid))
			held = look(arg, pid);
	}
	return held;
}

/* One of the held processes has come to something: let it go on, or go for good. */
static void on_status(struct command *command, pid_t pid, int status, held_fn look, void *arg)
{
	enum held held = HELD_OTHER;
	int signal;

	if (WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_EXEC) {
		held = look(arg, pid);
		if (held == HELD_LATER)
			held = follow_loader(pid, look, arg, &status);
	}
	if (!WIFSTOPPED(status)) {
		if (pid == command->tgid) {
			command->ended = true;
			command->status =
				WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
		return;
	}
	if (held == HELD_PROBED) {
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
		return;
	}
	signal = WSTOPSIG(status);
	/* ptrace's own stops, a new child's first one among them, are no signals to pass on */
	if (status >> 16 || signal == SIGSTOP || signal == SIGTRAP || signal == SYSCALL_STOP)
		signal = 0;
	ptrace(PTRACE_CONT, pid, NULL, (void *)(uintptr_t)signal);
}

void command_poll(struct command *command, held_fn look, void *arg)
{
	int status;
	pid_t pid;

	while (!command->ended && (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
		on_status(command, pid, status, look, arg);
}

void command_end(const struct command *command, int signal)
{
	if (command->tgid && !command->ended)
		kill(command->tgid, signal);
}
