/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The command line. */
#ifndef PYTRACE_OPTIONS_H
#define PYTRACE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "attach/watch.h"

/* Exit status (also in --help and the manual). */
enum exit_status {
	EXIT_OK = 0,
	EXIT_USAGE = 2,   /* usage, or nothing to trace */
	EXIT_REFUSED = 3, /* the kernel or missing privileges */
	EXIT_OUTPUT = 5,  /* the report could not be written */
	EXIT_OWN_FAILURE = 6,
};

enum subcommand {
	COMMAND_TRACE,
	COMMAND_LIST,
	COMMAND_DOCTOR,
	COMMAND_DUMP,
};

enum report_format {
	FORMAT_TEXT,
	FORMAT_JSON,
};

enum attach_choice {
	ATTACH_AUTO,
	ATTACH_MULTI,
	ATTACH_PERF,
};

struct options {
	enum subcommand command;
	bool all_python;
	pid_t *tgids;
	size_t tgid_count;
	const char *child; /* -c */
	double duration;   /* seconds; 0: until interrupted */
	double interval;   /* seconds; 0: one report at the end */
	const char *function_glob;
	const char *sort;
	bool explain; /* the numbers behind each verdict */
	int top;      /* 0: default of the format */
	enum report_format format;
	const char *output; /* NULL: standard output */
	bool calls;         /* false with --overhead 0 */
	double overhead;    /* percent */
	bool overhead_given;
	bool tasks; /* every callback of an event loop, not only those that took long */
	bool exact; /* no budget */
	unsigned int samples_hz; /* 0: none */
	const char *user;
	uid_t uid; /* of `user` */
	const char *cgroup_glob;
	const char *exclude_glob;
	enum attach_choice attach;
	char **watch_globs; /* functions that are watched */
	size_t watch_count;
	enum watch_choice watchpoints;
	size_t ring_bytes;
	size_t functions;
	bool empty_probes;
};

/* The share of its time a process may lose to us; INFINITY: whatever it takes. */
double options_budget(const struct options *options);

/*
 * Parse; on bad usage prints one line that says what to do and exits with
 * EXIT_USAGE, as it exits after --help and --version.
 */
void options_parse(int argc, char **argv, struct options *options);

#endif
