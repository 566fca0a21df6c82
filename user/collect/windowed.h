/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Calls that were counted in probe windows. */
#ifndef PYTRACE_WINDOWED_H
#define PYTRACE_WINDOWED_H

#include "totals.h"

/* So many calls of this length were counted, in windows of this group. */
void windowed_count(struct function_total *function, uint32_t group, int bucket, bool censored,
		    uint32_t count);
/* So many began. */
void windowed_began(struct function_total *function, uint32_t group, uint64_t calls);
/* The calls of the window that is open can be taken up: it ended then, or the process did. */
void windowed_end(struct process_total *total, uint64_t end_ns);
/* So much more time was probed. */
void windowed_add_ns(struct process_total *total, uint64_t ns);
/* A report is out: its numbers go. */
void windowed_forget(struct function_total *function);
void windowed_reset(struct probing *probing);
/* What was counted for `from` is `to`'s. */
void windowed_move(struct function_total *to, struct function_total *from);
/* Moves what was counted into the profile. */
void windowed_profile(struct profile_function *out, struct function_total *function,
		      const struct process_total *total);

#endif
