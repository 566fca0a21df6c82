/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which container a process runs in, as its control groups tell: see cgroup.h. */
#include "cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* May it stand beside an id?  As in docker-ID.scope, cri-containerd:ID, /ID/. */
static bool is_border(char c)
{
	return !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
}

void cgroup_container_id(const char *path, char *id)
{
	const char *at = path;

	id[0] = '\0';
	while (*at) {
		size_t digits = 0;

		while (is_hex(at[digits]))
			digits++;
		if (digits == CONTAINER_ID_DIGITS && is_border(at[digits]) &&
		    (at == path || is_border(at[-1]))) {
			memcpy(id, at, digits);
			id[digits] = '\0';
		}
		at += digits ? digits : 1;
	}
}

void cgroup_choose(const char *text, char *path, size_t size, char *id)
{
	char line[4096], found[CONTAINER_ID_DIGITS + 1];
	size_t best = 0;

	path[0] = '\0';
	id[0] = '\0';
	while (*text) {
		size_t length = strcspn(text, "\n"), worth;
		char *controllers, *where;

		snprintf(line, sizeof(line), "%.*s",
			 (int)(length < sizeof(line) ? length : sizeof(line) - 1), text);
		text += length + (text[length] == '\n');
		controllers = strchr(line, ':');
		where = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!where)
			continue;
		where++;
		cgroup_container_id(where, found);
		worth = 1 + strlen(where);
		if (!strncmp(line, "0::", 3) && strcmp(where, "/"))
			worth += sizeof(line);
		if (found[0])
			worth += 2 * sizeof(line);
		if (worth <= best)
			continue;
		best = worth;
		snprintf(path, size, "%s", where);
		memcpy(id, found, sizeof(found));
	}
}
