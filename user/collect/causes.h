/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What slow calls of functions waited for, in this window. */
#ifndef PYTRACE_COLLECT_CAUSES_H
#define PYTRACE_COLLECT_CAUSES_H

#include "profile.h"
#include "totals.h"

#define FUNCTION_CAUSES 32 /* of one function and window; the least of them goes */

/* What one slow call waited for. */
struct slow_cause {
	uint32_t wait_class;
	/* the holder of the GIL, or who ended a wait for a lock; NULL: another class, or unknown */
	const struct function_total *who;
	const struct target_total *target; /* of any other class; NULL: unknown */
};

struct cause_total {
	struct slow_cause cause;
	uint64_t calls, ns;
};

/* One more slow call, that waited mostly for this: so much of its time, more than for all else. */
void causes_add(struct function_total *function, const struct slow_cause *cause, uint64_t ns);

/* The same of several. */
void causes_add_many(struct function_total *function, const struct slow_cause *cause,
		     uint64_t calls, uint64_t ns);

/* `from` is `to`. */
void causes_rename(struct function_total *function, const struct function_total *from,
		   const struct function_total *to);
/* What was added to `from` is `to`'s. */
void causes_move(struct function_total *to, const struct function_total *from);
void causes_forget(struct function_total *function);

/* 0, or -1 without memory. */
int causes_profile(struct profile_tail *out, const struct function_total *function);

#endif
