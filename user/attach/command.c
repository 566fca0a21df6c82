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
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

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
	uintptr_t options =
		PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
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

/* One of the held processes stopped: let it go on, or go for good. */
static void on_stop(pid_t pid, int status, bool (*at_exec)(void *arg, pid_t tgid), void *arg)
{
	int event = status >> 16, signal = WSTOPSIG(status);

	if (event == PTRACE_EVENT_EXEC && at_exec(arg, pid)) {
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
		return;
	}
	/* ptrace's own stops, a new child's first one among them, are no signals to pass on */
	if (event || signal == SIGSTOP || signal == SIGTRAP)
		signal = 0;
	ptrace(PTRACE_CONT, pid, NULL, (void *)(uintptr_t)signal);
}

void command_poll(struct command *command, bool (*at_exec)(void *arg, pid_t tgid), void *arg)
{
	int status;
	pid_t pid;

	while (!command->ended && (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		if (WIFSTOPPED(status)) {
			on_stop(pid, status, at_exec, arg);
		} else if (pid == command->tgid) {
			command->ended = true;
			command->status =
				WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
	}
}

void command_end(const struct command *command, int signal)
{
	if (command->tgid && !command->ended)
		kill(command->tgid, signal);
}
