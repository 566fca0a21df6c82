/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* One process in the report for people. */
#ifndef PYTRACE_TEXT_PROCESS_H
#define PYTRACE_TEXT_PROCESS_H

#include "../judge/limit.h"
#include "../judge/select.h"
#include "screen.h"
#include "show.h"

/* What is to be shown: sorted by tgid, see judge/select.h. */
struct text_request {
	const struct show_options *options;
	const struct profile *profile;
	struct sort_key sort;
	const struct profile_function **functions;
	size_t function_count;
	const struct profile_wait **waits;
	size_t wait_count;
	const struct profile_gil **gils;
	size_t gil_count;
	const struct profile_callback **callbacks;
	size_t callback_count;
	const struct profile_gc **gcs;
	size_t gc_count;
	bool all_callbacks; /* not only those that held up their loop */
};

struct judged {
	const struct profile_process *process;
	struct limit limit;
};

/* What text_process() returns if a glob matches nothing in the process. */
#define TEXT_PROCESS_HIDDEN 1

/* Returns 0, TEXT_PROCESS_HIDDEN having printed nothing, or -ENOMEM. */
int text_process(const struct screen *screen, const struct text_request *request,
		 const struct judged *judged);

#endif
