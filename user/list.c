/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The Python processes that run here, and how each can be traced. */
#include "list.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "discover/process.h"
#include "message.h"
#include "show/escape.h"
#include "show/screen.h"
#include "show/show.h"
#include "show/table.h"

/* What is found, in the order of tgids. */
struct listing {
	struct builds *builds;
	struct process *processes;
	size_t count;
};

static int collect(const struct process *process, void *arg)
{
	struct listing *listing = arg;
	struct process *grown =
		reallocarray(listing->processes, listing->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	listing->processes = grown;
	listing->processes[listing->count++] = *process;
	return 0;
}

static int by_tgid(const void *a, const void *b)
{
	const struct process *first = a, *second = b;

	return (first->tgid > second->tgid) - (first->tgid < second->tgid);
}

/* How its calls can be traced, and if not or not all, why. */
static const char *method_of(const struct listing *listing, const struct process *process,
			     char reason[BUILD_REASON_BYTES])
{
	const struct build *build;

	snprintf(reason, BUILD_REASON_BYTES, "%s", process->reason);
	if (process->kind != PYTHON_YES)
		return "none";
	build = builds__get(listing->builds, process->build);
	if (build->layout_known && process_verify(listing->builds, process, reason) == -EPROTO)
		return "none";
	if (process->calls_refused)
		return "none";
	if (!reason[0])
		snprintf(reason, BUILD_REASON_BYTES, "%s", build->reason);
	return calls_method_name(build->method);
}

static int add_row(struct table *table, const struct listing *listing,
		   const struct process *process, bool utf8)
{
	const struct build *build = builds__get(listing->builds, process->build);
	bool known = process->kind == PYTHON_YES && build;
	char tgid[16], threads[16], reason[BUILD_REASON_BYTES];
	const char *where = process->container_id[0] ? process->container_id : process->cgroup;
	char *cgroup = escape_terminal(where, utf8);
	char *command =
		escape_terminal(process->command[0] ? process->command : process->comm, utf8);
	char *path = escape_terminal(known ? build->path : "", utf8);
	const char *method = method_of(listing, process, reason);
	char *note = escape_terminal(reason, utf8);
	int err = -ENOMEM;

	snprintf(tgid, sizeof(tgid), "%d", process->tgid);
	snprintf(threads, sizeof(threads), "%d", process->threads);
	if (cgroup && command && path && note) {
		char short_cgroup[64];
		struct table_row row = {
			.cells = {tgid, known ? build->version : "?", threads, method, short_cgroup,
				  path},
			.name = command,
			.place = note[0] ? note : NULL,
			.short_place = note[0] ? note : NULL,
		};

		snprintf(short_cgroup, sizeof(short_cgroup), "%.12s",
			 process->container_id[0] ? cgroup : "");
		if (!process->container_id[0])
			snprintf(short_cgroup, sizeof(short_cgroup), "%.40s", cgroup);
		err = table__add(table, &row);
	}
	free(cgroup);
	free(command);
	free(path);
	free(note);
	return err;
}

static int print_text(const struct listing *listing)
{
	static const struct table_spec spec = {
		.columns = {{.title = "tgid"},
			    {.title = "python", .left = true},
			    {.title = "threads"},
			    {.title = "calls by", .left = true},
			    {.title = "cgroup", .left = true, .optional = true},
			    {.title = "build", .left = true, .optional = true}},
		.name_title = "command",
	};
	struct show_options show = {0};
	struct screen screen = {.out = stdout};
	struct table *table = table__new(&spec);
	int err = table ? 0 : -ENOMEM;

	show_options_detect(&show, STDOUT_FILENO);
	screen.width = show.width;
	screen.color = show.color;
	screen.utf8 = show.utf8;
	for (size_t i = 0; !err && i < listing->count; i++)
		err = add_row(table, listing, &listing->processes[i], show.utf8);
	if (!err)
		table__print(table, &screen, 0);
	table__free(table);
	return err;
}

static json_t *process_json(const struct listing *listing, const struct process *process)
{
	const struct build *build = builds__get(listing->builds, process->build);
	bool known = process->kind == PYTHON_YES && build;
	char reason[BUILD_REASON_BYTES];
	char *comm = escape_utf8(process->comm), *command = escape_utf8(process->command);
	char *cgroup = escape_utf8(process->cgroup);
	char *path = escape_utf8(known ? build->path : "");
	const char *method = method_of(listing, process, reason);
	json_t *object;

	object = json_pack("{s:i, s:s*, s:s*, s:s*, s:s*, s:i, s:s, s:s*, s:s*, s:s*}", "tgid",
			   process->tgid, "comm", comm, "command", command, "python",
			   known ? build->version : NULL, "build", known ? path : NULL, "threads",
			   process->threads, "calls_method", method, "reason",
			   reason[0] ? reason : NULL, "cgroup", cgroup, "container_id",
			   process->container_id[0] ? process->container_id : NULL);
	free(comm);
	free(command);
	free(cgroup);
	free(path);
	return object;
}

static int print_json(const struct listing *listing)
{
	json_t *root = json_pack("{s:s, s:[]}", "schema", "pytrace-bpf/1", "processes");
	json_t *processes = json_object_get(root, "processes");
	int err = root ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < listing->count; i++)
		if (json_array_append_new(processes, process_json(listing, &listing->processes[i])))
			err = -ENOMEM;
	if (!err && json_dumpf(root, stdout, JSON_COMPACT))
		err = -EIO;
	if (!err)
		putchar('\n');
	json_decref(root);
	return err;
}

int list_run(const struct options *options)
{
	struct listing listing = {.builds = builds__new()};
	int status = EXIT_OK, err;

	err = listing.builds ? process_scan(listing.builds, collect, &listing) : -ENOMEM;
	if (err) {
		message("cannot list processes: %s", strerror(-err));
		status = EXIT_OWN_FAILURE;
		goto cleanup;
	}
	if (listing.count)
		qsort(listing.processes, listing.count, sizeof(*listing.processes), by_tgid);
	if (geteuid() != 0)
		message("without root, other users' processes cannot be looked at: use sudo");
	err = options->format == FORMAT_JSON ? print_json(&listing) : print_text(&listing);
	if (!err && fflush(stdout))
		err = -errno;
	if (err) {
		message("cannot write the list: %s", strerror(-err));
		status = EXIT_OUTPUT;
	} else if (!listing.count && options->format == FORMAT_TEXT) {
		message("no Python process found");
		status = EXIT_USAGE;
	}
cleanup:
	free(listing.processes);
	builds__free(listing.builds);
	return status;
}
