/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* -p, --user, --cgroup and --exclude against a process. */
#include "scope.h"

#include <fnmatch.h>
#include <string.h>

/* The program's name, without its folder and without its arguments. */
static bool name_matches(const char *glob, const struct process *process)
{
	char first[sizeof(process->command)];
	const char *base;

	memcpy(first, process->command, sizeof(first));
	first[strcspn(first, " ")] = '\0';
	base = strrchr(first, '/');
	return !fnmatch(glob, process->comm, 0) || !fnmatch(glob, process->command, 0) ||
	       !fnmatch(glob, base ? base + 1 : first, 0);
}

bool scope_wants(const struct options *options, const struct process *process)
{
	if (!options->all_python) {
		for (size_t i = 0; i < options->tgid_count; i++)
			if (options->tgids[i] == process->tgid)
				return true;
		return false;
	}
	if (options->user && options->uid != process->uid)
		return false;
	if (options->cgroup_glob && fnmatch(options->cgroup_glob, process->cgroup, 0))
		return false;
	if (options->exclude_glob && name_matches(options->exclude_glob, process))
		return false;
	return true;
}

bool scope_is_everything(const struct options *options)
{
	return options->all_python && !options->user && !options->cgroup_glob &&
	       !options->exclude_glob;
}
