/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What tracing takes of the targets' time: calibrated at start, and timed by the kernel side. */
#include "tracer_internal.h"

#include <stdlib.h>

/* What a probe costs on an instruction that is single-stepped: few builds have such sites. */
static double stepped_trap_ns(struct tracer *tracer, const struct build *build)
{
	for (size_t i = 0; i < build->site_count && tracer->stepped_hit.trap_ns <= 0; i++)
		if (build->sites[i].stepped)
			uprobe_cost(tracer->config.way,
				    bpf_program__fd(tracer->skel->progs.call_nothing), true,
				    &tracer->stepped_hit);
	return tracer->stepped_hit.trap_ns;
}

/*
 * What our program does after it last looks at the clock cannot be timed, and counts as part of
 * the trap: so much more than a trap into a program that does nothing (measured with
 * functions whose time without probes was known, 3.9 to 3.15).
 */
#define TRAP_MORE(trap_ns) ((trap_ns) / 8)

struct build_cost tracer__build_cost(struct tracer *tracer, const struct build *build)
{
	double trap_ns = tracer->hit.trap_ns, more = TRAP_MORE(trap_ns);

	return (struct build_cost){
		.most_ns = trap_ns + more,
		.step_ns = trap_ns > 0 ? stepped_trap_ns(tracer, build) + more : 0,
		.trap_ns = trap_ns,
		.inner_ns = trap_ns,
		.after_ns = trap_ns,
		.slowed_ns = tracer->hit.slowed_ns,
	};
}

static struct cost sum_of_costs(struct tracer *tracer, uint32_t kind)
{
	int cpus = libbpf_num_possible_cpus();
	struct cost *values = calloc(cpus > 0 ? cpus : 1, sizeof(*values)), sum = {0};

	if (values && !bpf_map_lookup_elem(bpf_map__fd(tracer->skel->maps.costs), &kind, values))
		for (int cpu = 0; cpu < cpus; cpu++) {
			sum.runs += values[cpu].runs;
			sum.ns += values[cpu].ns;
		}
	free(values);
	return sum;
}

static double mean_cost(struct cost cost)
{
	return cost.runs ? (double)cost.ns / (double)cost.runs : 0;
}

void tracer__hit_costs(struct tracer *tracer, double *entry_ns, double *exit_ns)
{
	*entry_ns = mean_cost(sum_of_costs(tracer, COST_ENTRY));
	*exit_ns = mean_cost(sum_of_costs(tracer, COST_EXIT));
}

void tracer__costs(struct tracer *tracer, struct tracer_costs *costs)
{
	struct cost out = sum_of_costs(tracer, COST_OUT);
	struct cost held = sum_of_costs(tracer, COST_OUT_HELD);
	struct cost both = {out.runs + held.runs, out.ns + held.ns};
	double in_ns = mean_cost(sum_of_costs(tracer, COST_IN)) +
		       mean_cost(sum_of_costs(tracer, COST_WAKE));

	tracer__hit_costs(tracer, &costs->entry_ns, &costs->exit_ns);
	costs->sample_ns = mean_cost(sum_of_costs(tracer, COST_SAMPLE));
	costs->switch_ns = both.runs ? mean_cost(both) + in_ns : 0;
	costs->switch_runs = out.runs;
	costs->switch_walked_ns = out.runs ? mean_cost(out) + in_ns : 0;
	costs->switch_held_ns = held.runs ? mean_cost(held) + in_ns : 0;
}

double tracer__empty_probe_ns(struct tracer *tracer)
{
	uprobe_cost(tracer->config.way, bpf_program__fd(tracer->skel->progs.call_nothing), false,
		    &tracer->hit);
	return tracer->hit.trap_ns + tracer->hit.slowed_ns;
}
