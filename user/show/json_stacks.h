/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Stacks and GILs of a profile as JSON. */
#ifndef PYTRACE_JSON_STACKS_H
#define PYTRACE_JSON_STACKS_H

#include "json_value.h"

/* {function, file, line} */
json_t *json_frame(struct json_builder *b, const struct profile_name *name);

/* The largest `top` of each process (0: all); NULL without memory. */
json_t *json_stacks(struct json_builder *b, const struct profile *profile, int top);
json_t *json_faults(struct json_builder *b, const struct profile *profile, int top);
json_t *json_gils(struct json_builder *b, const struct profile *profile, int top);

/* {held_share, wanted_share, ...} of one process. */
json_t *json_process_gil(struct json_builder *b, const struct profile *profile,
			 const struct profile_process *process);

/* {inclusive, exclusive} of one function. */
json_t *json_page_faults(struct json_builder *b, const struct profile_function *function);

/* {inclusive, exclusive, and inclusive by part} of one function. */
json_t *json_stack_seconds(struct json_builder *b, const struct profile_function *function);

#endif
