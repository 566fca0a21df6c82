/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Building JSON without a check after each step: a value that could not be made
 * marks the whole document as failed, which its writer asks once, at the end.
 */
#ifndef PYTRACE_JSON_VALUE_H
#define PYTRACE_JSON_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../profile.h"

struct json_builder {
	bool failed;
};

/* Both take `value` over, NULL too (which is a failure). */
void json_put(struct json_builder *b, json_t *object, const char *key, json_t *value);
void json_push(struct json_builder *b, json_t *array, json_t *value);

/* A name of a target as valid UTF-8; NULL becomes "". */
json_t *json_name(const char *text);
/* The same, but null where there is none. */
json_t *json_name_or_null(const char *text);
json_t *json_count(uint64_t count);
/* A finite number, or null. */
json_t *json_number(double value);
/* Nanoseconds as seconds; null for NaN. */
json_t *json_seconds(double ns);

/* {"gil": seconds, ...}, every class. */
json_t *json_wait_seconds(struct json_builder *b, const uint64_t wait_ns[WAIT_CLASSES]);

/* {sum, min, max, p50, p90, p95, p99, censored, count, buckets{scale, offset, counts}}. */
json_t *json_histogram(struct json_builder *b, const struct histogram *histogram,
		       const struct histogram *censored);

#endif
