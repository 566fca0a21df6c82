/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reports of a profile, read again.  After cmocka.h. */
#ifndef PYTRACE_SHOW_FIXTURE_H
#define PYTRACE_SHOW_FIXTURE_H

#include <jansson.h>

#include "../../user/show/json.h"
#include "../../user/show/text.h"
#include "sample_profile.h"

typedef int writer(FILE *out, const struct profile *profile, const struct show_options *options);

static inline char *written(writer *write_report, const struct profile *profile,
			    const struct show_options *options)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	assert_int_equal(write_report(out, profile, options), 0);
	fclose(out);
	assert_int_equal(strlen(text), bytes);
	return text;
}

static inline json_t *parsed(const struct profile *profile, const struct show_options *options)
{
	char *text = written(show_json, profile, options);
	json_error_t error;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	if (!root)
		fail_msg("%s at %d", error.text, error.position);
	/* One line, and it is ended. */
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	free(text);
	return root;
}

static const struct show_options plain = {.utf8 = true};

static inline double number(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	assert_true(json_is_number(value));
	return json_number_value(value);
}

#endif
