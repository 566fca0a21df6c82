/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* One run from its first check to its last report. */
#include "trace.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "attach/command.h"
#include "attach/features.h"
#include "discover/procfs.h"
#include "message.h"
#include "output.h"
#include "scope.h"
#include "session.h"
#include "clock.h"

#define POLL_MS 100
#define TAILS_NS 1000000000ull  /* so often it is judged anew which calls are slow */
#define PRESSED_NS 100000000ull /* no sooner, where many functions come */
#define MEMORY_NS 1000000000ull /* so often resident memory is read, 10 us a process */

static volatile sig_atomic_t stop_signal;

static void on_signal(int signal)
{
	stop_signal = signal;
}

static void on_child(int signal)
{
	(void)signal; /* it only has to end the poll */
}

static void catch_signals(void)
{
	struct sigaction stop = {.sa_handler = on_signal}, child = {.sa_handler = on_child};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	sigaction(SIGCHLD, &child, NULL);
	sigaction(SIGPIPE, &ignore, NULL); /* told by write(), like a full disk */
}

struct run {
	const struct options *options;
	struct session session;
	struct command command;
	struct output output;
	uint64_t start_ns; /* of the program */
	uint64_t attached_ns, window_start_ns, window_cpu_ns, tails_ns, memory_ns;
	uint64_t losses_before[LOSS_COUNT];
	double empty_probe_ns;
	bool attached; /* and said so */
	enum uprobe_way way;
};

static int refuse(const struct feature *feature)
{
	message("%s: %s", feature->name, feature->detail);
	return EXIT_REFUSED;
}

/* Are calls probed in windows, to keep a budget? */
static bool governed(const struct options *options)
{
	return options->calls && !options->exact && !options->empty_probes;
}

/*
 * Without uprobe_multi links closing probes takes half a second, and they are in all processes: no
 * budget is kept.  Who did not ask for one gets waits, the harmless part.
 */
static int do_without_windows(struct options *options)
{
	if (options->overhead_given || options->tasks) {
		message("--overhead %g needs uprobe_multi links (Linux 6.6 or later): without them there "
			"is --overhead 0, waits only, or --exact",
			options->overhead);
		return EXIT_REFUSED;
	}
	message("waits only: without uprobe_multi links (Linux 6.6 or later) no budget of call probes can be "
		"kept; --exact probes every call, whatever it costs");
	options->calls = false;
	return EXIT_OK;
}

/* What the kernel can do decides how; a refusal has been told. */
static int choose_way(struct run *run, struct options *options)
{
	struct features features;

	features_probe(&features);
	if (features.refusal)
		return refuse(features.refusal);
	run->way = features.uprobe_multi && run->options->attach != ATTACH_PERF ? UPROBE_MULTI
										: UPROBE_PERF;
	if (run->options->attach == ATTACH_MULTI && !features.uprobe_multi) {
		message("--attach multi: this kernel has no uprobe_multi links; leave it out");
		return EXIT_REFUSED;
	}
	if (run->way != UPROBE_MULTI && governed(options))
		return do_without_windows(options);
	return EXIT_OK;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN && getenv("PYTRACE_DEBUG"))
		return vfprintf(stderr, format, arguments);
	return 0;
}

static int open_tracer(struct run *run)
{
	const struct options *options = run->options;
	struct session *session = &run->session;
	struct tracer_config config = {
		.admit_all = scope_is_everything(options) && options->calls && !governed(options),
		.calls = options->calls,
		.empty_probes = options->empty_probes,
		.ring_bytes = options->ring_bytes,
		.functions = options->functions,
		.callback_least_ns = options->tasks ? INT64_MIN : CALLBACK_LEAST_NS,
		.way = run->way,
		.watchpoints = options->watchpoints,
		.watch = options->watch_count,
	};
	int err;

	libbpf_set_print(quiet);
	session->everything = scope_is_everything(options);
	err = tracer__new(&config, &session->tracer);
	if (err) {
		message("the kernel refused our BPF programs: %s (`pytrace-bpf doctor` tells more; "
			"PYTRACE_DEBUG=1 shows the kernel's words)",
			strerror(-err));
		return EXIT_REFUSED;
	}
	session->collector =
		collector__new(session->builds, tracer__stats(session->tracer),
			       tracer__functions(session->tracer), session_lifecycle, session);
	if (!session->collector) {
		message("out of memory");
		return EXIT_OWN_FAILURE;
	}
	if (options->calls)
		run->empty_probe_ns = tracer__empty_probe_ns(session->tracer);
	if (governed(options)) {
		session->windows =
			windows__new(session->tracer, session->collector, session->builds,
				     options->overhead / 100, run->empty_probe_ns);
		if (!session->windows || tracer__guard_windows(session->tracer)) {
			message("out of memory");
			return EXIT_OWN_FAILURE;
		}
		/* a window that has had too many hits is to be closed, whatever else runs */
		setpriority(PRIO_PROCESS, 0, -20);
	}
	if (options->watch_count) {
		session->watches = watches__new(session->tracer, session->collector,
						session->builds, options->watch_globs,
						options->watch_count, options_budget(options));
		if (!session->watches) {
			message("out of memory");
			return EXIT_OWN_FAILURE;
		}
	}
	err = tracer__attach_events(session->tracer);
	if (err) {
		message("cannot attach to the scheduler's tracepoints: %s", strerror(-err));
		return EXIT_REFUSED;
	}
	if (options->samples_hz) {
		session->samples_hz = options->samples_hz;
		err = tracer__sample(session->tracer, options->samples_hz);
		if (err)
			message("no samples: %s (see kernel.perf_event_max_sample_rate and "
				"kernel.perf_event_paranoid)",
				strerror(-err));
	}
	return EXIT_OK;
}

static int only_look(const struct process *process, void *arg)
{
	(void)process;
	(void)arg;
	return 0;
}

/* Every build there is gets known, while the kernel looks at our programs: both take long. */
static void *know_builds(void *arg)
{
	process_scan(arg, only_look, NULL);
	return NULL;
}

/* open_tracer(), which does nothing with the builds yet, beside that. */
static int open_tracer_and_know_builds(struct run *run)
{
	pthread_t thread;
	bool looking = !run->options->tgid_count && !run->options->child &&
		       !pthread_create(&thread, NULL, know_builds, run->session.builds);
	int status = open_tracer(run);

	if (looking)
		pthread_join(thread, NULL);
	return status;
}

static int take_if_wanted(const struct process *process, void *arg)
{
	struct run *run = arg;

	if (process->kind == PYTHON_YES && scope_wants(run->options, process))
		session_take(&run->session, process);
	return 0;
}

/* Before anything is probed: who else runs the builds that will be. */
static int count_stranger(const struct process *process, void *arg)
{
	struct run *run = arg;

	if (process->kind == PYTHON_YES && !scope_wants(run->options, process))
		session_stranger(&run->session, process);
	return 0;
}

/* -p: each must be there and be Python, or the user is told at once. */
static int take_tgids(struct run *run)
{
	const struct options *options = run->options;

	for (size_t i = 0; i < options->tgid_count; i++) {
		struct process process;
		int err = process_inspect(run->session.builds, options->tgids[i], &process);

		if (err == -ESRCH) {
			message("there is no process %d", options->tgids[i]);
			return EXIT_USAGE;
		}
		if (err) {
			message("process %d cannot be looked at: %s", options->tgids[i],
				strerror(-err));
			return EXIT_REFUSED;
		}
		if (process.kind != PYTHON_YES && procfs_has_ended(process.tgid)) {
			message("process %d has ended", options->tgids[i]);
			return EXIT_USAGE;
		}
		if (process.kind != PYTHON_YES) {
			message("process %d (%s) is not CPython%s%s; `pytrace-bpf list` shows those "
				"that are",
				options->tgids[i], process.comm, process.reason[0] ? ": " : "",
				process.reason);
			return EXIT_USAGE;
		}
		err = session_take(&run->session, &process);
		if (err) {
			message("process %d cannot be traced: %s", options->tgids[i],
				strerror(-err));
			return EXIT_REFUSED;
		}
	}
	return EXIT_OK;
}

static void say_attached(struct run *run)
{
	const struct session *session = &run->session;

	run->attached = true;
	message("attached to %zu Python process%s in %.2f s; %s", session->taken,
		session->taken == 1 ? "" : "es", (monotonic_ns() - run->start_ns) / 1e9,
		run->options->duration > 0 || run->options->child ? "tracing"
								  : "tracing until Ctrl-C");
}

/* The command is held at an exec, or while it is loaded: attach if it is Python now. */
static enum held look_at_held(void *arg, pid_t tgid)
{
	struct run *run = arg;
	int considered = session_consider(&run->session, tgid, true);

	if (considered == CONSIDERED_LATER)
		return HELD_LATER;
	if (considered != CONSIDERED_TAKEN)
		return HELD_OTHER;
	if (!run->attached)
		say_attached(run);
	return HELD_PROBED;
}

static int take_targets(struct run *run)
{
	const struct options *options = run->options;
	int err = 0;

	if (!run->session.everything && options->calls)
		err = process_scan(run->session.builds, count_stranger, run);
	if (err < 0) {
		message("/proc cannot be read: %s", strerror(-err));
		return EXIT_REFUSED;
	}
	if (options->child) {
		err = command_start(&run->command, options->child);
		if (err) {
			message("cannot run the command of -c: %s", strerror(-err));
			return EXIT_OWN_FAILURE;
		}
		return EXIT_OK;
	}
	if (options->tgid_count) {
		err = take_tgids(run);
		if (err)
			return err;
	} else {
		err = process_scan(run->session.builds, take_if_wanted, run);
		if (err < 0) {
			message("/proc cannot be read: %s", strerror(-err));
			return EXIT_REFUSED;
		}
		if (!run->session.taken) {
			message("no CPython process found%s; `pytrace-bpf list` shows what there is",
				scope_is_everything(options) ? ""
							     : " that the filters let through");
			return EXIT_USAGE;
		}
	}
	if (run->session.error && !options->empty_probes)
		message("call probes could not be attached everywhere: %s",
			strerror(-run->session.error));
	return EXIT_OK;
}

static void retire_slots(void *arg, const uint32_t *places, size_t count)
{
	tracer__retire_slots(arg, places, count);
}

/* Take up the counters of calls, and what they tell of which are slow. */
static void drain(struct run *run, enum ring_state ring)
{
	struct session *session = &run->session;

	session_drain(session, ring);
	run->tails_ns = monotonic_ns();
	if (ring == RING_OVER)
		return;
	collector__make_room(session->collector, run->tails_ns, retire_slots, session->tracer);
	collector__renew_tails(session->collector, run->tails_ns);
}

/* Without call probes there is nothing to take up: all that can be due is room for functions. */
static bool drain_is_due(const struct run *run, uint64_t now)
{
	const struct collector *collector = run->session.collector;
	uint64_t since = now - run->tails_ns;

	if (since >= TAILS_NS)
		return run->options->calls || run->session.watches ||
		       collector__has_little_room(collector);
	return since >= PRESSED_NS && collector__needs_room(collector);
}

/* Take up all that threads did until now but the counters of calls.  Returns when that was. */
static uint64_t cut(struct run *run)
{
	struct session *session = &run->session;
	uint64_t now;

	tracer__end_callbacks(session->tracer);
	tracer__flush(session->tracer); /* takes in threads that have slept since before, too */
	now = monotonic_ns();
	tracer__poll(session->tracer, collector__record, session->collector, 0);
	tracer__callbacks(session->tracer, 0, collector__callback, session->collector);
	tracer__gils(session->tracer, 0, now, collector__gil, session->collector);
	return now;
}

/*
 * The first window begins: all is attached.  What was seen meanwhile, by the first of the probes,
 * is of no window.
 */
static void begin(struct run *run)
{
	struct session *session = &run->session;
	uint64_t now = 0;

	session->started = true;
	/* the first time there is much to take up, and what happens meanwhile would be lost: again
	 */
	for (int i = 0; i < 2; i++) {
		now = cut(run);
		session_drain(session, RING_READ);
	}
	collector__begin(session->collector, now);
	run->attached_ns = run->window_start_ns = run->tails_ns = now;
	run->window_cpu_ns = own_cpu_ns();
}

/* The report of the window that ends now.  Returns an exit status. */
static int report(struct run *run, enum ring_state ring)
{
	struct session *session = &run->session;
	struct window window = {.start_ns = run->window_start_ns, .own_cpu_ns = run->window_cpu_ns};
	uint64_t losses[LOSS_COUNT];
	struct tracer_costs costs;
	struct profile *profile;
	int err;

	window.end_ns = cut(run);
	drain(run, ring);
	session_look_at_waits(session, true);
	tracer__costs(session->tracer, &costs);
	window.empty_probe_ns = run->empty_probe_ns;
	window.entry_ns = costs.entry_ns > 0 ? run->empty_probe_ns + costs.entry_ns : 0;
	window.exit_ns = costs.exit_ns > 0 ? run->empty_probe_ns + costs.exit_ns : 0;
	window.switch_ns = costs.switch_ns;
	window.watch_ns = tracer__watch_ns(session->tracer);
	window.sample_ns = costs.sample_ns;
	window.samples_event = tracer__samples_event(session->tracer);
	window.samples_hz = window.samples_event ? session->samples_hz : 0;
	window.callback_least_ns = run->options->tasks ? 0 : CALLBACK_LEAST_NS;
	profile = collector__profile(session->collector, &window);
	if (!profile ||
	    (session->watches && watches__profile(session->watches, profile, window.end_ns))) {
		profile__free(profile);
		message("out of memory for the report");
		return EXIT_OWN_FAILURE;
	}
	session_losses(session, losses);
	for (int i = 0; i < LOSS_COUNT; i++) {
		profile->losses[i] = losses[i] - run->losses_before[i];
		run->losses_before[i] = losses[i];
	}
	run->window_start_ns = window.end_ns;
	run->window_cpu_ns = own_cpu_ns();
	err = output_report(&run->output, profile, run->options);
	profile__free(profile);
	if (err) {
		message("cannot write the report%s%s: %s", run->options->output ? " to " : "",
			run->options->output ?: "", strerror(-err));
		return EXIT_OUTPUT;
	}
	return EXIT_OK;
}

static bool over(const struct run *run, uint64_t now)
{
	const struct options *options = run->options;

	if (stop_signal)
		return true;
	if (options->duration > 0 && now - run->attached_ns >= options->duration * 1e9)
		return true;
	if (options->child)
		return run->command.ended;
	return options->tgid_count && !collector__living(run->session.collector);
}

/* How long to sleep at most: something may be due before. */
static int sleep_ms(const struct run *run, uint64_t now)
{
	uint64_t due = session_due_ns(&run->session), end = now + POLL_MS * 1000000ull;

	if (end < due)
		due = end;
	end = run->attached_ns + run->options->duration * 1e9;
	if (run->options->duration > 0 && end < due)
		due = end;
	end = run->window_start_ns + run->options->interval * 1e9;
	if (run->options->interval > 0 && end < due)
		due = end;
	return due > now ? (due - now + 999999) / 1000000 : 0;
}

/* Follow the targets until it is over.  Returns an exit status. */
static int follow(struct run *run)
{
	struct session *session = &run->session;
	uint64_t interval = run->options->interval * 1e9;
	int status = EXIT_OK;

	while (!over(run, monotonic_ns())) {
		uint64_t now = monotonic_ns();

		tracer__poll(session->tracer, collector__record, session->collector,
			     sleep_ms(run, now));
		if (run->options->child)
			command_poll(&run->command, look_at_held, run);
		if (session->windows)
			windows__step(session->windows);
		if (session->watches)
			watches__step(session->watches);
		session_look_again(session);
		session_resync(session);
		session_take_up_ended(session);
		session_look_at_waits(session, false);
		if (collector__targets_full(session->collector)) {
			/* first all waits for them that were put aside */
			tracer__flush(session->tracer);
			tracer__poll(session->tracer, collector__record, session->collector, 0);
			tracer__renew_targets(session->tracer);
			collector__renew_targets(session->collector);
		}
		now = monotonic_ns();
		if (drain_is_due(run, now))
			drain(run, RING_UNREAD);
		if (now - run->memory_ns >= MEMORY_NS) {
			collector__memory(session->collector, now);
			run->memory_ns = now;
		}
		if (!interval || now - run->window_start_ns < interval)
			continue;
		status = report(run, RING_READ);
		if (status)
			return status;
	}
	return status;
}

static int finish(struct run *run)
{
	int status;

	if (run->session.windows)
		windows__end(run->session.windows);
	tracer__end_calls(run->session.tracer);
	if (run->options->child && !run->session.taken)
		message("the command never ran Python: there is nothing to report on");
	status = report(run, RING_OVER);
	if (status)
		return status;
	if (run->options->child)
		return run->command.ended ? run->command.status : EXIT_OK;
	return EXIT_OK;
}

int trace_run(struct options *options)
{
	struct run run = {.options = options, .start_ns = monotonic_ns()};
	int status, err;

	run.session.options = options;
	catch_signals();
	status = choose_way(&run, options);
	if (status)
		return status;
	err = output_open(&run.output, options->output);
	if (err) {
		message("cannot write to %s: %s", options->output, strerror(-err));
		return EXIT_OUTPUT;
	}
	run.session.builds = builds__new();
	if (!run.session.builds) {
		message("out of memory");
		return EXIT_OWN_FAILURE;
	}
	status = open_tracer_and_know_builds(&run);
	if (!status)
		status = take_targets(&run);
	if (!status) {
		begin(&run);
		if (!options->child)
			say_attached(&run);
		status = follow(&run);
	}
	if (!status)
		status = finish(&run);
	command_end(&run.command, stop_signal ? stop_signal : SIGTERM);
	tracer__free(run.session.tracer);
	collector__free(run.session.collector);
	builds__free(run.session.builds);
	free(run.session.later);
	windows__free(run.session.windows);
	watches__free(run.session.watches);
	free(options->watch_globs);
	err = output_close(&run.output);
	if (err && status == EXIT_OK) {
		message("cannot write to %s: %s", options->output ?: "standard output",
			strerror(-err));
		status = EXIT_OUTPUT;
	}
	return status;
}
