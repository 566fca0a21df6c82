/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The report for people, whole: what was watched, each process, what was lost and
 * what it cost.  One process is text_process.c's.
 */
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../judge/measure.h"
#include "../judge/select.h"
#include "escape.h"
#include "text_process.h"
#include "text_watches.h"
#include "units.h"

struct ranked {
	struct judged *judged;
};

static int compare_ranked(const void *left, const void *right)
{
	const struct judged *a = ((const struct ranked *)left)->judged;
	const struct judged *b = ((const struct ranked *)right)->judged;

	if (a->limit.active_ns != b->limit.active_ns)
		return a->limit.active_ns > b->limit.active_ns ? -1 : 1;
	return (a->process->tgid > b->process->tgid) - (a->process->tgid < b->process->tgid);
}

/* What the tracer did to get these numbers, and what that took. */
static void put_effort(const struct screen *screen, const struct profile *profile)
{
	char hits_text[UNIT_BYTES], share[UNIT_BYTES], cpu[UNIT_BYTES], rss[UNIT_BYTES];
	char time[UNIT_BYTES], line[512];
	uint64_t hits = 0, cost = 0, observed = 0, wait_cost = 0, watched = 0;
	size_t threads = 0, probed = 0, windowed = 0;
	char which[128];
	int used;

	for (size_t i = 0; i < profile->process_count; i++) {
		const struct profile_process *process = &profile->processes[i];

		hits += process->probe_hits;
		cost += process->probe_cost_ns;
		wait_cost += process->wait_cost_ns;
		watched += process->observed_ns;
		threads += process->threads;
		if (!process->calls_method || !strcmp(process->calls_method, "none"))
			continue;
		observed += process->observed_ns;
		windowed += process->windowed;
		probed++;
	}
	used = snprintf(line, sizeof(line), "%zu Python process%s, %zu thread%s. ",
			profile->process_count, profile->process_count == 1 ? "" : "es", threads,
			threads == 1 ? "" : "s");
	if (profile->replaced_count)
		used += snprintf(line + used, sizeof(line) - used,
				 "%zu forked child%s became other programs. ",
				 profile->replaced_count,
				 profile->replaced_count == 1 ? "" : "ren");
	if (windowed == probed)
		snprintf(which, sizeof(which), "calls in probe windows of %zu process%s", windowed,
			 windowed == 1 ? "" : "es");
	else if (windowed)
		snprintf(which, sizeof(which),
			 "calls in probe windows of %zu process%s, and all of %zu (exact)",
			 windowed, windowed == 1 ? "" : "es", probed - windowed);
	else
		snprintf(which, sizeof(which), "every call in %zu process%s (exact)", probed,
			 probed == 1 ? "" : "es");
	used += snprintf(line + used, sizeof(line) - used,
			 "Every wait is counted (about %s of their time), ",
			 format_share(share, share_of(wait_cost, watched)));
	if (probed && profile->probed_ns)
		used += snprintf(line + used, sizeof(line) - used,
				 "and %s for %s: %s probe hits, about %s of their time. ", which,
				 format_duration(time, (double)profile->probed_ns),
				 format_about(hits_text, (double)hits),
				 format_share(share, share_of(cost, observed)));
	else
		used += snprintf(line + used, sizeof(line) - used, "calls are not. ");
	snprintf(line + used, sizeof(line) - used,
		 "The tracer itself used %s of a core, %s of CPU before that, and %s.",
		 format_share(cpu, profile->duration_ns ? (double)profile->own_window_cpu_ns /
								  (double)profile->duration_ns
							: 0),
		 format_duration(time, (double)(profile->own_cpu_ns - profile->own_window_cpu_ns)),
		 format_bytes(rss, (double)profile->own_rss_bytes));
	screen_paragraph(screen, STYLE_PLAIN, 0, 0, line);
}

static int put_header(const struct screen *screen, const struct profile *profile)
{
	char duration[UNIT_BYTES], *line = NULL, *safe = NULL;
	int err = 0;

	if (asprintf(&line, "pytrace-bpf %s: %s on %s, Linux %s", profile->version ?: "",
		     format_duration(duration, (double)profile->duration_ns),
		     profile->host ?: "this host", profile->kernel ?: "unknown") < 0)
		return -ENOMEM;
	safe = escape_terminal(line, screen->utf8);
	if (!safe) {
		err = -ENOMEM;
		goto cleanup;
	}
	screen_paragraph(screen, STYLE_TITLE, 0, 0, safe);
	put_effort(screen, profile);
cleanup:
	free(safe);
	free(line);
	return err;
}

/* Then calls that were open when a window began are no loss. */
static bool has_windows(const struct profile *profile)
{
	for (size_t i = 0; i < profile->process_count; i++)
		if (profile->processes[i].windowed)
			return true;
	return false;
}

static void put_losses(const struct screen *screen, const struct profile *profile)
{
	bool any = false;
	char line[200];

	for (int i = 0; i < LOSS_COUNT; i++) {
		if (!profile->losses[i] || (i == LOSS_BEGAN_BEFORE && has_windows(profile)))
			continue;
		if (!any)
			screen_paragraph(screen, STYLE_WARN, 0, 0,
					 "Losses: what was not recorded, or only in part");
		any = true;
		snprintf(line, sizeof(line), "%10llu  %s", (unsigned long long)profile->losses[i],
			 loss_text(i));
		screen_paragraph(screen, STYLE_PLAIN, 2, 14, line);
	}
	if (!any)
		screen_paragraph(screen, STYLE_PLAIN, 0, 0, "Nothing was lost.");
	if (!profile->functions_retired)
		return;
	snprintf(
		line, sizeof(line),
		"The table of functions is small for these programs (--functions): those that were not "
		"called for longest left it %llu times. What they did is in the report.",
		(unsigned long long)profile->functions_retired);
	screen_paragraph(screen, STYLE_PLAIN, 0, 0, line);
}

static void put_cost(const struct screen *screen, const struct profile *profile)
{
	char call[UNIT_BYTES], turn[UNIT_BYTES], line[256];
	double pair = profile->entry_ns + profile->exit_ns;

	if (!(pair > 0) && !(profile->switch_ns > 0))
		return;
	format_duration(turn, profile->switch_ns);
	if (pair > 0)
		snprintf(line, sizeof(line),
			 "Cost of tracing, calibrated at start: %s a call, %s a switch of a Python "
			 "thread. A call's own is taken off the times above.",
			 format_duration(call, pair), turn);
	else
		snprintf(line, sizeof(line), "Cost of tracing: %s a switch of a Python thread.",
			 turn);
	screen_paragraph(screen, STYLE_DIM, 0, 0, line);
}

static int put_processes(const struct screen *screen, const struct profile *profile,
			 const struct text_request *request)
{
	struct judged *judged = calloc(profile->process_count + 1, sizeof(*judged));
	struct ranked *ranked = calloc(profile->process_count + 1, sizeof(*ranked));
	size_t hidden = 0;
	char line[96];
	int err = judged && ranked ? 0 : -ENOMEM;

	if (err)
		goto cleanup;
	for (size_t i = 0; i < profile->process_count; i++) {
		ranked[i].judged = &judged[i];
		judged[i].process = &profile->processes[i];
		limit_of_process(profile, judged[i].process, &judged[i].limit);
	}
	qsort(ranked, profile->process_count, sizeof(*ranked), compare_ranked);
	for (size_t i = 0; i < profile->process_count && !err; i++) {
		err = text_process(screen, request, ranked[i].judged);
		if (err == TEXT_PROCESS_HIDDEN) {
			hidden++;
			err = 0;
		}
	}
	if (hidden) {
		snprintf(line, sizeof(line), "%zu process%s without a matching function not shown.",
			 hidden, hidden == 1 ? "" : "es");
		fputc('\n', screen->out);
		screen_paragraph(screen, STYLE_DIM, 0, 0, line);
	}
cleanup:
	free(ranked);
	free(judged);
	return err;
}

static int put_report(const struct screen *screen, const struct profile *profile,
		      const struct show_options *options)
{
	struct text_request request = {
		.options = options,
		.profile = profile,
		.all_callbacks = !profile->callback_least_ns,
	};
	int err;

	err = sort_key_parse(options->sort, &request.sort);
	if (!err)
		err = put_header(screen, profile);
	if (!err)
		err = select_functions(profile, options->function_glob, &request.sort,
				       &request.functions, &request.function_count);
	if (!err)
		err = select_waits(profile, options->function_glob, &request.waits,
				   &request.wait_count);
	if (!err)
		err = select_callbacks(profile, options->function_glob, &request.callbacks,
				       &request.callback_count);
	if (!err)
		err = select_gils(profile, &request.gils, &request.gil_count);
	if (!err)
		err = select_gcs(profile, options->function_glob, &request.gcs, &request.gc_count);
	if (!err)
		err = put_processes(screen, profile, &request);
	if (!err) {
		fputc('\n', screen->out);
		err = text_watches(screen, profile, 0);
		put_losses(screen, profile);
		put_cost(screen, profile);
	}
	free(request.functions);
	free(request.waits);
	free(request.callbacks);
	free(request.gils);
	free(request.gcs);
	return err;
}

/*
 * It is put together in memory first: stdio forgets why a write in the middle of
 * many failed, and a full disk has to be told from a closed pipe.
 */
int show_text(FILE *out, const struct profile *profile, const struct show_options *options)
{
	struct screen screen = {
		.width = options->width,
		.color = options->color,
		.utf8 = options->utf8,
	};
	char *text = NULL;
	size_t bytes = 0;
	int err;

	screen.out = open_memstream(&text, &bytes);
	if (!screen.out)
		return -errno;
	err = put_report(&screen, profile, options);
	if (fclose(screen.out) && !err)
		err = -ENOMEM;
	if (err)
		goto cleanup;
	errno = 0;
	if (fwrite(text, 1, bytes, out) != bytes || fflush(out))
		err = errno ? -errno : -EIO;
cleanup:
	free(text);
	return err;
}
