/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The rules by which a process is said to be limited by one thing. */
#ifndef PYTRACE_RULES_H
#define PYTRACE_RULES_H

#include "measure.h"

/* Below this share of the time a process that no rule is about is called idle. */
#define IDLE_SHARE 0.02
/* Below this one nothing holds it up, whatever its few active moments are made of. */
#define BUSY_SHARE 0.50

/* Whose names a verdict comes with. */
enum blame {
	BLAME_CPU,  /* what ran most */
	BLAME_WAIT, /* what waited longest in that class */
	BLAME_GIL,  /* that, and who held it */
	BLAME_GC,
	BLAME_LOOP,
	BLAME_QUEUE,
	BLAME_MEMORY, /* where pages were first touched */
};

struct limit_rule {
	const char *name;
	const char *verdict;
	double (*measure)(const struct facts *facts); /* NAN: not known */
	double least;                                 /* it holds from this on ... */
	bool (*takes)(const struct facts *facts);     /* and if this is so; NULL: always */
	const char *takes_text;
	const char *of; /* what the measure is a share of; NULL: it is bytes a second */
	int part;       /* of LIMIT_PARTS: what it is about */
	enum blame blame;
	const char *lead; /* what the line says, up to the share */
	const char *cause;
	const char *next_step;
};

/* The first that holds wins. */
extern const struct limit_rule limit_rules[LIMIT_RULES];

/* The same limit with a cause that is known better. */
struct limit_cause {
	const char *rule;
	bool (*holds)(const struct facts *facts);
	const char *lead;
	const char *cause;
	const char *next_step;
};

/* The first that holds for the rule, or NULL. */
const struct limit_cause *limit_cause_of(const struct limit_rule *rule, const struct facts *facts);

#endif
