/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "gil_use.h"

#include <math.h>

#include "measure.h"

const struct profile_contention *gil_most_wanted(const struct profile *profile, uint32_t tgid)
{
	const struct profile_contention *most = NULL;

	for (size_t i = 0; i < profile->contention_count; i++) {
		const struct profile_contention *contention = &profile->contentions[i];

		if (contention->tgid == tgid && (!most || contention->ns > most->ns))
			most = contention;
	}
	return most;
}

void gil_use(const struct profile *profile, const struct profile_process *process,
	     struct gil_use *use)
{
	const struct profile_contention *wanted = gil_most_wanted(profile, process->tgid);
	uint64_t longest_ns = 0;

	*use = (struct gil_use){.held = NAN};
	if (wanted)
		use->wanted = share_of(wanted->ns, process->observed_ns);
	/* of the time its threads ran the samples tell in which share it was held */
	if (process->samples && process->observed_ns)
		use->held = share_of(process->oncpu_ns, process->observed_ns) *
			    share_of(process->gil_samples, process->samples);
	for (size_t i = 0; i < profile->function_count; i++) {
		const struct profile_function *f = &profile->functions[i];

		if (f->tgid != process->tgid || f->hold_max_ns <= longest_ns)
			continue;
		longest_ns = f->hold_max_ns;
		use->longest = f;
	}
}
