/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "places.h"

#include <string.h>

#include "glob.h"

bool path_ends_with(const char *path, const char *end)
{
	size_t length = strlen(path), tail = strlen(end);

	if (length < tail || strcmp(path + length - tail, end))
		return false;
	return length == tail || path[length - tail - 1] == '/';
}

bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

bool same_name(const struct profile_name *a, const struct profile_name *b)
{
	return a->line == b->line && same_text(a->function, b->function) &&
	       same_text(a->file, b->file);
}

bool place_is_installed(const char *file)
{
	return file && (strstr(file, "/site-packages/") || strstr(file, "/dist-packages/"));
}

bool place_is_library(const char *file)
{
	if (!file || !*file)
		return false;
	return !strncmp(file, "<frozen ", 8) || strstr(file, "/lib/python3") ||
	       strstr(file, "/lib64/python3") || place_is_installed(file);
}

struct profile_name wait_function(const struct profile_wait *wait)
{
	return (struct profile_name){wait->function, wait->file, wait->line};
}

const struct profile_name *stack_frame(const struct profile *profile,
				       const struct profile_stack *stack, size_t i)
{
	return i < stack->frame_count ? &profile->names[stack->frames[i]] : NULL;
}

const struct profile_name *innermost_own(const struct profile *profile, const uint32_t *frames,
					 size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!place_is_library(profile->names[frames[i]].file))
			return &profile->names[frames[i]];
	return NULL;
}

bool frames_have(const struct profile *profile, const uint32_t *frames, size_t count,
		 const char *function, const char *file)
{
	for (size_t i = 0; i < count; i++) {
		const struct profile_name *name = &profile->names[frames[i]];

		if (name->function && name->file &&
		    !strcmp(last_component(name->function), function) &&
		    path_ends_with(name->file, file))
			return true;
	}
	return false;
}
