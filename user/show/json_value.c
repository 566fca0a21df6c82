/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* JSON values of the things a profile is made of. */
#include "json_value.h"

#include <math.h>
#include <stdlib.h>

#include "../judge/quantile.h"
#include "escape.h"

void json_put(struct json_builder *b, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value))
		b->failed = true;
}

void json_push(struct json_builder *b, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value))
		b->failed = true;
}

json_t *json_name(const char *text)
{
	char *safe = escape_utf8(text);
	json_t *value = safe ? json_string(safe) : NULL;

	free(safe);
	return value;
}

json_t *json_name_or_null(const char *text)
{
	return text && *text ? json_name(text) : json_null();
}

json_t *json_count(uint64_t count)
{
	return json_integer(count > INT64_MAX ? INT64_MAX : (json_int_t)count);
}

json_t *json_number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_seconds(double ns)
{
	return json_number(ns / 1e9);
}

json_t *json_wait_seconds(struct json_builder *b, const uint64_t wait_ns[WAIT_CLASSES])
{
	json_t *object = json_object();

	for (int c = 0; c < WAIT_CLASSES; c++)
		json_put(b, object, wait_class_name(c), json_seconds((double)wait_ns[c]));
	return object;
}

/* Empty buckets at both ends are left out. */
static json_t *buckets(struct json_builder *b, const struct histogram *histogram)
{
	json_t *object = json_object(), *counts = json_array();
	int first = 0, end = BUCKET_COUNT;

	while (first < end && !histogram_bucket(histogram, first))
		first++;
	while (end > first && !histogram_bucket(histogram, end - 1))
		end--;
	for (int i = first; i < end; i++)
		json_push(b, counts, json_count(histogram_bucket(histogram, i)));
	json_put(b, object, "scale", json_integer(BUCKET_SCALE));
	json_put(b, object, "offset", json_integer(first < end ? BUCKET_FIRST + first : 0));
	json_put(b, object, "counts", counts);
	return object;
}

json_t *json_histogram(struct json_builder *b, const struct histogram *histogram,
		       const struct histogram *censored)
{
	json_t *object = json_object();
	bool empty = !histogram->count;

	json_put(b, object, "sum", json_seconds((double)histogram->sum_ns));
	json_put(b, object, "min", empty ? json_null() : json_seconds((double)histogram->min_ns));
	json_put(b, object, "max", empty ? json_null() : json_seconds((double)histogram->max_ns));
	for (int k = 0; k < TOLD_QUANTILES; k++)
		json_put(b, object, told_quantiles[k].name,
			 json_seconds(histogram_censored_quantile_ns(histogram, censored,
								     told_quantiles[k].q)));
	json_put(b, object, "censored", json_count(histogram->censored));
	json_put(b, object, "count", json_count(histogram->count));
	json_put(b, object, "buckets", buckets(b, histogram));
	json_put(b, object, "censored_buckets", censored ? buckets(b, censored) : json_null());
	return object;
}
