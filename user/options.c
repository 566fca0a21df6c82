/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The command line: what may be given, what it means, and what is wrong with it. */
#include "options.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "judge/select.h"

const char *argp_program_version = "pytrace-bpf " PYTRACE_VERSION;

enum {
	KEY_ALL = 0x100,
	KEY_FUNCTION,
	KEY_SORT,
	KEY_TOP,
	KEY_FORMAT,
	KEY_OVERHEAD,
	KEY_EXACT,
	KEY_TASKS,
	KEY_SAMPLES,
	KEY_USER,
	KEY_CGROUP,
	KEY_EXCLUDE,
	KEY_ATTACH,
	KEY_WATCH,
	KEY_WATCHPOINTS,
	KEY_RING,
	KEY_FUNCTIONS,
	KEY_EMPTY,
	KEY_EXPLAIN,
};

static const struct argp_option argp_options[] = {
	{NULL, 0, NULL, 0, "What to trace:", 1},
	{"all-python", KEY_ALL, NULL, 0, "Every CPython process, also those that start later", 1},
	{"pid", 'p', "TGID,...", 0, "These processes and the children they fork", 1},
	{"command", 'c', "CMD", 0,
	 "Run CMD with the shell, as the user who called sudo; trace it and the children it forks, and end "
	 "with its exit status",
	 1},
	{"user", KEY_USER, "USER", 0, "With --all-python: only processes of this user", 1},
	{"cgroup", KEY_CGROUP, "GLOB", 0, "With --all-python: only in cgroups whose path matches",
	 1},
	{"exclude", KEY_EXCLUDE, "GLOB", 0,
	 "With --all-python: not those whose command line or name matches", 1},
	{NULL, 0, NULL, 0, "How long:", 2},
	{"duration", 'd', "SECONDS", 0,
	 "Stop after this time (default: at SIGINT, SIGTERM or when the last target ends)", 2},
	{"interval", 'i', "SECONDS", 0, "A report each interval (JSON: one line each)", 2},
	{NULL, 0, NULL, 0, "What it may cost:", 3},
	{"overhead", KEY_OVERHEAD, "PERCENT", 0,
	 "What a process may lose to call probes (default 2): where it would lose more they are on in short "
	 "windows only, and what is told of calls is estimated from those. 0: no call probes, only waits and "
	 "garbage collections",
	 3},
	{"exact", KEY_EXACT, NULL, 0, "Probe every call all the time, whatever it costs", 3},
	{"watch", KEY_WATCH, "GLOB", 0,
	 "See every call of these functions, by hardware watchpoints: costs nothing but when they are called. "
	 "A name as for --function; may be given more than once. In a virtual machine see --watchpoints. One that "
	 "is called too often for --overhead is let go of, but with --exact",
	 3},
	{"tasks", KEY_TASKS, NULL, 0,
	 "Every callback of an asyncio event loop, by function and task; without it only those of 10 ms or "
	 "more. Costs about two microseconds a callback",
	 3},
	{"samples", KEY_SAMPLES, "HZ", 0,
	 "Look so many times a second what runs on each CPU, and at one in 61 page faults (default 99; "
	 "0: never)",
	 3},
	{NULL, 0, NULL, 0, "The report:", 4},
	{"function", KEY_FUNCTION, "GLOB", 0,
	 "Show only these functions: qualified name, its last part, module.name, file.py:name or file.py:line",
	 4},
	{"sort", KEY_SORT, "KEY", 0, "Sort functions by: " SORT_WORDS, 4},
	{"top", KEY_TOP, "N", 0, "Rows a table and process (default: text 20, JSON all)", 4},
	{"explain", KEY_EXPLAIN, NULL, 0,
	 "With each verdict all rules, what was measured and what each takes", 4},
	{"format", KEY_FORMAT, "text|json", 0, "Default: text", 4},
	{"output", 'o', "FILE", 0, "Write the report to FILE", 4},
	{NULL, 0, NULL, 0, "For special cases:", 5},
	{"attach", KEY_ATTACH, "auto|multi|perf", 0,
	 "How to attach uprobes: uprobe_multi links (kernel 6.6 or later) or perf events", 5},
	{"watchpoints", KEY_WATCHPOINTS, "auto|always|never", 0,
	 "May hardware watchpoints be used, for --watch and for garbage collections where there are no "
	 "tracepoints? auto: not in a virtual machine, where they can kill the process",
	 5},
	{"ring-bytes", KEY_RING, "N", 0,
	 "Size of the ring buffer, a power of two (default 4194304)", 5},
	{"functions", KEY_FUNCTIONS, "N", 0, "Room for this many functions (default 16384)", 5},
	{"empty-probes", KEY_EMPTY, NULL, 0, "Attach probes that do nothing, to measure their cost",
	 5},
	{NULL, 0, NULL, 0, "Help:", -1},
	{0},
};

static const char doc[] =
	"How long the functions of CPython processes take and what their calls wait for, without "
	"restarting, patching or pausing a process.\n\n"
	"  pytrace-bpf --all-python -d 10        every Python process, for ten seconds\n"
	"  pytrace-bpf -p 4711 --format json     one service, as JSON, until interrupted\n"
	"  pytrace-bpf -c 'python3 job.py'       a command from its start to its end\n"
	"  pytrace-bpf list                      the Python processes here, and how each can be traced\n"
	"  pytrace-bpf doctor                    what this machine allows\n"
	"  pytrace-bpf dump -p 4711              what every thread does now, without pausing one\v"
	"Exit status: 0 success, 2 usage or nothing to trace, 3 the kernel or privileges refused, 5 the "
	"report could not be written, 6 a failure of our own; with -c the command's own.";

/* A positive number; exits through argp_error otherwise. */
static double parse_seconds(const char *text, const char *option, struct argp_state *state)
{
	char *end;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (errno || end == text || *end || !(value > 0) || value > 1e9)
		argp_error(state, "%s takes a number of seconds above 0, not '%s'", option, text);
	return value;
}

static unsigned long parse_count(const char *text, const char *option, unsigned long max,
				 struct argp_state *state)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || !value || value > max)
		argp_error(state, "%s takes a whole number from 1 to %lu, not '%s'", option, max,
			   text);
	return value;
}

static void parse_tgids(const char *text, struct options *options, struct argp_state *state)
{
	const char *at = text;

	do {
		char *end;
		long tgid;
		pid_t *grown;

		errno = 0;
		tgid = strtol(at, &end, 10);
		if (errno || end == at || (*end && *end != ',') || tgid <= 0 || tgid > 4194304)
			argp_error(state, "-p takes process ids separated by commas, not '%s'",
				   text);
		grown = reallocarray(options->tgids, options->tgid_count + 1, sizeof(*grown));
		if (!grown)
			argp_failure(state, EXIT_OWN_FAILURE, ENOMEM, "-p");
		if (!grown)
			return;
		options->tgids = grown;
		options->tgids[options->tgid_count++] = tgid;
		at = *end ? end + 1 : end;
	} while (*at);
}

static void parse_user(const char *text, struct options *options, struct argp_state *state)
{
	struct passwd *entry = getpwnam(text);
	char *end;
	unsigned long uid;

	options->user = text;
	if (entry) {
		options->uid = entry->pw_uid;
		return;
	}
	uid = strtoul(text, &end, 10);
	if (end == text || *end)
		argp_error(state, "there is no user '%s'; give a user name or id", text);
	options->uid = uid;
}

static void parse_overhead(const char *text, struct options *options, struct argp_state *state)
{
	char *end;

	options->overhead = strtod(text, &end);
	if (end == text || *end || !(options->overhead >= 0) || options->overhead > 100)
		argp_error(state, "--overhead takes a percentage from 0 to 100, not '%s'", text);
	options->overhead_given = true;
	options->calls = options->overhead > 0;
}

static void parse_watch(char *text, struct options *options, struct argp_state *state)
{
	char **globs = reallocarray(options->watch_globs, options->watch_count + 1, sizeof(*globs));

	if (!*text)
		argp_error(state, "--watch takes the name of a function");
	if (!globs) {
		argp_failure(state, EXIT_OWN_FAILURE, ENOMEM, "--watch");
		return;
	}
	options->watch_globs = globs;
	options->watch_globs[options->watch_count++] = text;
}

static void parse_watchpoints(const char *text, struct options *options, struct argp_state *state)
{
	if (!strcmp(text, "auto"))
		options->watchpoints = WATCH_AUTO;
	else if (!strcmp(text, "always"))
		options->watchpoints = WATCH_ALWAYS;
	else if (!strcmp(text, "never"))
		options->watchpoints = WATCH_NEVER;
	else
		argp_error(state, "--watchpoints is auto, always or never, not '%s'", text);
}

static void parse_word(int key, const char *text, struct options *options, struct argp_state *state)
{
	struct sort_key sort;

	if (key == KEY_FORMAT) {
		if (!strcmp(text, "json"))
			options->format = FORMAT_JSON;
		else if (!strcmp(text, "text"))
			options->format = FORMAT_TEXT;
		else
			argp_error(state, "--format is text or json, not '%s'", text);
	} else if (key == KEY_ATTACH) {
		if (!strcmp(text, "auto"))
			options->attach = ATTACH_AUTO;
		else if (!strcmp(text, "multi"))
			options->attach = ATTACH_MULTI;
		else if (!strcmp(text, "perf"))
			options->attach = ATTACH_PERF;
		else
			argp_error(state, "--attach is auto, multi or perf, not '%s'", text);
	} else if (sort_key_parse(text, &sort)) {
		argp_error(state, "--sort is one of %s, not '%s'", SORT_WORDS, text);
	} else {
		options->sort = text;
	}
}

static void parse_ring(const char *text, struct options *options, struct argp_state *state)
{
	options->ring_bytes = parse_count(text, "--ring-bytes", 1ul << 30, state);
	if (options->ring_bytes & (options->ring_bytes - 1) ||
	    options->ring_bytes % sysconf(_SC_PAGESIZE))
		argp_error(state, "--ring-bytes must be a power of two and at least %ld",
			   sysconf(_SC_PAGESIZE));
}

static void parse_argument(const char *text, struct options *options, struct argp_state *state)
{
	if (state->arg_num > 0)
		argp_error(state, "'%s' is one argument too many; quote the command of -c", text);
	else if (!strcmp(text, "list"))
		options->command = COMMAND_LIST;
	else if (!strcmp(text, "doctor"))
		options->command = COMMAND_DOCTOR;
	else if (!strcmp(text, "dump"))
		options->command = COMMAND_DUMP;
	else
		argp_error(
			state,
			"there is no command '%s': list, doctor, dump, or options alone to trace",
			text);
}

static void check_scope(const struct options *options, struct argp_state *state)
{
	int scopes = options->all_python + (options->tgid_count > 0) + (options->child != NULL);

	if (options->command != COMMAND_TRACE && options->command != COMMAND_DUMP)
		return;
	if (options->command == COMMAND_DUMP && options->child)
		argp_error(state, "dump takes -p TGID or --all-python, no -c");
	if (scopes == 0)
		argp_error(state, "say what to %s: --all-python%s",
			   options->command == COMMAND_DUMP ? "dump" : "trace",
			   options->command == COMMAND_DUMP ? " or -p TGID"
							    : ", -p TGID or -c 'CMD'");
	if (scopes > 1)
		argp_error(state, "--all-python, -p and -c exclude each other");
	if (!options->all_python &&
	    (options->user || options->cgroup_glob || options->exclude_glob))
		argp_error(state, "--user, --cgroup and --exclude narrow --all-python");
	/* (together with 0: no call probes, and what is watched is so whatever it costs) */
	if (options->exact && options->overhead_given && (options->calls || !options->watch_count))
		argp_error(state, "--exact and --overhead exclude each other");
	if (options->tasks && options->overhead == 0)
		argp_error(state, "--tasks needs call probes, which --overhead 0 leaves out");
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case KEY_ALL:
		options->all_python = true;
		break;
	case 'p':
		parse_tgids(text, options, state);
		break;
	case 'c':
		options->child = text;
		break;
	case 'd':
		options->duration = parse_seconds(text, "-d", state);
		break;
	case 'i':
		options->interval = parse_seconds(text, "-i", state);
		break;
	case 'o':
		options->output = text;
		break;
	case KEY_FUNCTION:
		options->function_glob = text;
		break;
	case KEY_TOP:
		options->top = parse_count(text, "--top", 1000000, state);
		break;
	case KEY_SORT:
	case KEY_FORMAT:
	case KEY_ATTACH:
		parse_word(key, text, options, state);
		break;
	case KEY_OVERHEAD:
		parse_overhead(text, options, state);
		break;
	case KEY_EXACT:
		options->exact = true;
		break;
	case KEY_TASKS:
		options->tasks = true;
		break;
	case KEY_SAMPLES:
		options->samples_hz =
			strcmp(text, "0") ? parse_count(text, "--samples", MAX_SAMPLES_HZ, state)
					  : 0;
		break;
	case KEY_EXPLAIN:
		options->explain = true;
		break;
	case KEY_USER:
		parse_user(text, options, state);
		break;
	case KEY_CGROUP:
		options->cgroup_glob = text;
		break;
	case KEY_EXCLUDE:
		options->exclude_glob = text;
		break;
	case KEY_WATCH:
		parse_watch(text, options, state);
		break;
	case KEY_WATCHPOINTS:
		parse_watchpoints(text, options, state);
		break;
	case KEY_RING:
		parse_ring(text, options, state);
		break;
	case KEY_FUNCTIONS:
		options->functions = parse_count(text, "--functions", 1000000, state);
		break;
	case KEY_EMPTY:
		options->empty_probes = true;
		break;
	case ARGP_KEY_ARG:
		parse_argument(text, options, state);
		break;
	case ARGP_KEY_END:
		check_scope(options, state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

double options_budget(const struct options *options)
{
	double percent = options->calls ? options->overhead : DEFAULT_OVERHEAD;

	return options->exact ? INFINITY : percent / 100;
}

void options_parse(int argc, char **argv, struct options *options)
{
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse_option,
		.args_doc = "\nlist\ndoctor\ndump",
		.doc = doc,
	};

	argp_err_exit_status = EXIT_USAGE;
	*options = (struct options){
		.calls = true,
		.overhead = DEFAULT_OVERHEAD,
		.samples_hz = DEFAULT_SAMPLES_HZ,
		.ring_bytes = DEFAULT_RING_BYTES,
		.functions = DEFAULT_FUNCTIONS,
	};
	argp_parse(&argp, argc, argv, 0, NULL, options);
}
