/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Call probes of a session: one link for each process, or for all that run a build, or windows. */
#include "session_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "clock.h"

pid_t session__linked_tgid(struct session *session, size_t index, pid_t tgid)
{
	if (session->options->calls && !session->windows && !session->everything &&
	    !session->strangers[index])
		session->shared[index] = 1;
	return session->everything || session->shared[index] ? 0 : tgid;
}

/* Have the kernel side count its calls when this window is open. */
static void count_calls(struct session *session, pid_t tgid, uint32_t window)
{
	struct process_entry entry;

	if (!tracer__has_process(session->tracer, tgid, &entry) ||
	    (entry.flags & PROCESS_CALLS && entry.window == window))
		return;
	entry.flags |= PROCESS_CALLS;
	entry.window = window;
	tracer__update_process(session->tracer, tgid, &entry);
}

/* The slot of its windows, or a negative errno. */
static int64_t probe_in_windows(struct session *session, size_t index, pid_t tgid, bool soon)
{
	int64_t slot = windows__add(session->windows, tgid, index, soon);

	collector__governed(session->collector, tgid, slot >= 0);
	return slot;
}

/* The slot that is always open, or a negative errno. */
static int64_t probe_always(struct session *session, size_t index, pid_t tgid)
{
	const struct build *build = builds__get(session->builds, index);
	int err = tracer__probe(session->tracer, index, build,
				session__linked_tgid(session, index, tgid));

	if (err)
		return err;
	collector__probed(session->collector, tgid, true, monotonic_ns());
	return WINDOW_ALWAYS;
}

void session__probe(struct session *session, size_t index, pid_t tgid, bool soon)
{
	int64_t slot = session->windows ? probe_in_windows(session, index, tgid, soon)
					: probe_always(session, index, tgid);

	if (slot >= 0)
		count_calls(session, tgid, (uint32_t)slot);
	else if (!session->error && slot != -ESRCH)
		session->error = (int)slot;
}

void session_stranger(struct session *session, const struct process *process)
{
	size_t index = process->build;
	const struct build *build = builds__get(session->builds, index);
	const pid_t *tgids;
	size_t count;

	session->strangers[index]++;
	if (!session->shared[index])
		return;
	/* from now on each wanted process has a link of its own; a hit of both counts once */
	session->shared[index] = 0;
	tgids = collector__tgids(session->collector, index, &count);
	for (size_t i = 0; i < count; i++)
		tracer__probe(session->tracer, index, build, tgids[i]);
	free((void *)tgids);
	tgids = collector__living_tgids(session->collector, index, &count);
	for (size_t i = 0; i < count && build->gc_site_count; i++)
		tracer__probe_gc(session->tracer, index, build, tgids[i]);
	tracer__unprobe(session->tracer, index, 0);
	free((void *)tgids);
}
