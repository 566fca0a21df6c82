/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The command of -c: our own child.  It and the children it forks are held at their
 * execs until they run Python and the probes are in, so that nothing is missed; then
 * they are let go.  (Nothing else is ever held, and if we die the kernel lets go.)
 */
#ifndef PYTRACE_COMMAND_H
#define PYTRACE_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

/* What a process that is held turned out to be. */
enum held {
	HELD_OTHER,  /* not Python */
	HELD_LATER,  /* it will be when its libpython is mapped */
	HELD_PROBED, /* Python, and the probes are in */
};
typedef enum held (*held_fn)(void *arg, pid_t tgid);

struct command {
	pid_t tgid;
	bool ended;
	int status; /* exit status as a shell has it, when ended */
};

/*
 * Start `text` with /bin/sh, as the user who called sudo if there was one.
 * Returns 0 or a negative errno.
 */
int command_start(struct command *command, const char *text);

/*
 * Take up what happened to it.  `look` is called for each process that stands at an exec.
 * HELD_PROBED lets it go for good; after HELD_LATER it is held again, and `look` called,
 * whenever it has mapped code, until that says something else.
 */
void command_poll(struct command *command, held_fn look, void *arg);

/* Send it a signal if it runs still. */
void command_end(const struct command *command, int signal);

#endif
