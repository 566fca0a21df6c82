/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What this kernel, machine and privilege allow.  Features are tried, versions not compared. */
#ifndef PYTRACE_FEATURES_H
#define PYTRACE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

enum feature_state {
	FEATURE_OK,
	FEATURE_MISSING_OPTIONAL, /* something is slower or less without it */
	FEATURE_MISSING,          /* cannot trace */
};

struct feature {
	const char *name;
	enum feature_state state;
	char detail[200]; /* what is there, or what to do about it */
};

#define MAX_FEATURES 16

struct features {
	struct feature list[MAX_FEATURES];
	size_t count;
	bool uprobe_multi;
	const struct feature *refusal; /* the first that stops us, or NULL */
};

/* Try everything that tracing needs.  Takes some milliseconds and leaves nothing behind. */
void features_probe(struct features *features);

#endif
