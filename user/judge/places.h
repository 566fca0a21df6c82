/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a place in a stack is part of. */
#ifndef PYTRACE_PLACES_H
#define PYTRACE_PLACES_H

#include "../profile.h"

/* Is the path `end`, or does it end with "/end"? */
bool path_ends_with(const char *path, const char *end);

/* The same text; NULL is "". */
bool same_text(const char *a, const char *b);

bool same_name(const struct profile_name *a, const struct profile_name *b);

/* Is it of the standard library or an installed package, and so seldom what its user can change? */
bool place_is_library(const char *file);

/* Is it an installed package's?  Some have files of the standard library's names. */
bool place_is_installed(const char *file);

/* The function that waited; its texts are the wait's own. */
struct profile_name wait_function(const struct profile_wait *wait);

/* The i-th frame of a stack, the innermost being 0. */
const struct profile_name *stack_frame(const struct profile *profile,
				       const struct profile_stack *stack, size_t i);

/* The innermost frame of `count` that is none of the library's; NULL if all are. */
const struct profile_name *innermost_own(const struct profile *profile, const uint32_t *frames,
					 size_t count);

/* Is there a frame of that function (last component of its name), in a file that ends so? */
bool frames_have(const struct profile *profile, const uint32_t *frames, size_t count,
		 const char *function, const char *file);

#endif
