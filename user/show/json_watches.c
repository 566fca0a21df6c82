/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "json_watches.h"

static json_t *watch_json(struct json_builder *b, const struct profile_watch *watch)
{
	json_t *object = json_object();

	json_put(b, object, "tgid", watch->glob ? json_null() : json_integer(watch->tgid));
	json_put(b, object, "glob", json_name_or_null(watch->glob));
	json_put(b, object, "function", json_name_or_null(watch->function));
	json_put(b, object, "file", json_name_or_null(watch->file));
	json_put(b, object, "line", watch->glob ? json_null() : json_integer(watch->line));
	json_put(b, object, "watched", json_boolean(watch->watched));
	json_put(b, object, "reason", *watch->reason ? json_name(watch->reason) : json_null());
	json_put(b, object, "since_seconds", json_seconds((double)watch->since_ns));
	json_put(b, object, "returns", json_count(watch->returns));
	json_put(b, object, "returns_watched", json_count(watch->returns_watched));
	return object;
}

json_t *json_watches(struct json_builder *b, const struct profile *profile)
{
	json_t *array = json_array();

	for (size_t i = 0; i < profile->watch_count; i++)
		json_push(b, array, watch_json(b, &profile->watches[i]));
	return array;
}
