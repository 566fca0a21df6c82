/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What waits and samples cost each process, and how many stacks are read to keep that within
 * bounds.
 */
#include "session_internal.h"

#include <math.h>

#include "attach/thinning.h"
#include "bounds.h"
#include "clock.h"
#include "message.h"

/* So often it is looked at. */
#define LOOK_NS 500000000ull
/* Of what a process may lose, waits and samples may take this part; call probes get the rest. */
#define WAITS_PART 0.5

/* The share of its time a process may lose to waits and samples. */
static double allowed(const struct options *options)
{
	return WAITS_PART * options_budget(options);
}

/*
 * Until so many have been timed, a wait is taken to cost what it usually does: the first are dear,
 * as all that is met is new, and one that took long says little.
 */
#define TIMED_RUNS 200
#define USUAL_NS 3000.0

static struct wait_cost cost_of(const struct tracer_costs *costs)
{
	double timed = (double)costs->switch_runs;

	return (struct wait_cost){
		.walked_ns = (timed * costs->switch_walked_ns + TIMED_RUNS * USUAL_NS) /
			     (timed + TIMED_RUNS),
		.held_ns = costs->switch_held_ns,
	};
}

struct looking {
	struct session *session;
	struct wait_cost cost;
	double sample_ns;
};

static void look_at(void *arg, pid_t tgid, struct waits_lately *lately)
{
	const struct looking *looking = arg;
	struct session *session = looking->session;
	double waits = (double)lately->waits * 1e9 / (double)lately->ns;
	double samples = (double)lately->samples / (double)lately->ns * looking->sample_ns;
	struct process_entry entry;
	uint32_t every;

	if (!tracer__has_process(session->tracer, tgid, &entry))
		return;
	/* (of a forked child it is its parent's) */
	lately->walk_every = entry.walk_every ?: 1;
	lately->share = samples + thinning_share(waits, &looking->cost, lately->walk_every);
	if (session->windows)
		windows__others(session->windows, tgid,
				lately->share + (session->watches
							 ? watches__share(session->watches, tgid)
							 : 0));
	every = thinning_every(waits, &looking->cost, allowed(session->options) - samples,
			       lately->walk_every);
	if (every == lately->walk_every)
		return;
	entry.walk_every = every;
	tracer__update_process(session->tracer, tgid, &entry);
}

/* A timer that went off so often that it took more than that by itself would be no help. */
static void bound_samples(struct session *session, const struct tracer_costs *costs)
{
	double most = costs->sample_ns > 0 ? allowed(session->options) * 1e9 / costs->sample_ns
					   : INFINITY;

	if (session->samples_hz <= most)
		return;
	session->samples_hz = most > 1 ? (unsigned int)most : 1;
	tracer__sample_rate(session->tracer, session->samples_hz);
	message("%u samples a second, not %u: more would cost a process more than it may lose "
		"(--overhead, --exact)",
		session->samples_hz, session->options->samples_hz);
}

void session_look_at_waits(struct session *session, bool now)
{
	struct looking looking = {.session = session};
	struct tracer_costs costs;
	uint64_t ns = monotonic_ns();

	if (!now && ns - session->waits_ns < LOOK_NS)
		return;
	session->waits_ns = ns;
	tracer__costs(session->tracer, &costs);
	looking.cost = cost_of(&costs);
	looking.sample_ns = costs.sample_ns;
	bound_samples(session, &costs);
	collector__waits(session->collector, ns, look_at, &looking);
}
