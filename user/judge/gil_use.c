/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "gil_use.h"

#include <math.h>

#include "measure.h"

void gil_use(const struct profile *profile, const struct profile_process *process,
	     struct gil_use *use)
{
	uint64_t wanted_ns = 0, longest_ns = 0;

	*use = (struct gil_use){.held = NAN};
	for (size_t i = 0; i < profile->contention_count; i++) {
		const struct profile_contention *contention = &profile->contentions[i];

		if (contention->tgid == process->tgid && contention->ns > wanted_ns)
			wanted_ns = contention->ns;
	}
	use->wanted = share_of(wanted_ns, process->observed_ns);
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
