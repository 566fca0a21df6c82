/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What --watch asked for, and what became of it, as JSON. */
#ifndef PYTRACE_JSON_WATCHES_H
#define PYTRACE_JSON_WATCHES_H

#include "json_value.h"

/* NULL without memory. */
json_t *json_watches(struct json_builder *b, const struct profile *profile);

#endif
