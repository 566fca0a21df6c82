/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The command of -c: our own child, held at its execs until it runs Python and
 * the probes are in, so that nothing of it is missed.  (Only this child is ever
 * held; if we die, the kernel lets it go on.)
 */
#ifndef PYTRACE_COMMAND_H
#define PYTRACE_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

struct command {
	pid_t tgid;
	bool held;	/* still ours to hold at execs */
	bool ended;
	int status;	/* exit status as a shell has it, when ended */
};

/*
 * Start `text` with /bin/sh, as the user who called sudo if there was one.
 * It waits at its first exec.  Returns 0 or a negative errno.
 */
int command_start(struct command *command, const char *text);

/*
 * Take up what happened to it.  `at_exec` is called when it stands at an exec;
 * if that returns true it is Python and attached: it is let go for good.
 */
void command_poll(struct command *command, bool (*at_exec)(void *arg, pid_t tgid), void *arg);

/* Tell it to end (SIGTERM) if it runs still, and stop holding it. */
void command_end(struct command *command);

#endif
