/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* See text_watches.h. */
#include "text_watches.h"

#include "../judge/glob.h"
#include "text_line.h"
#include "units.h"

static int put_watched(const struct screen *screen, const struct profile_watch *watch)
{
	char since[UNIT_BYTES];

	format_duration(since, (double)watch->since_ns);
	if (watch->returns_watched < watch->returns)
		return text_put_line(screen, STYLE_DIM, TEXT_INDENT,
				     "Watched for %s: %s() at %s:%u, but for %zu of the %zu places "
				     "where it returns: calls that end there have no length",
				     since, watch->function, file_base(watch->file), watch->line,
				     watch->returns - watch->returns_watched, watch->returns);
	return text_put_line(screen, STYLE_DIM, TEXT_INDENT, "Watched for %s: %s() at %s:%u", since,
			     watch->function, file_base(watch->file), watch->line);
}

static int put_unwatched(const struct screen *screen, const struct profile_watch *watch)
{
	return text_put_line(screen, STYLE_DIM, TEXT_INDENT, "Not watched: %s() at %s:%u: %s",
			     watch->function, file_base(watch->file), watch->line, watch->reason);
}

int text_watches(const struct screen *screen, const struct profile *profile, uint32_t tgid)
{
	int err = 0;

	for (size_t i = 0; i < profile->watch_count && !err; i++) {
		const struct profile_watch *watch = &profile->watches[i];

		if (tgid && !watch->glob && watch->tgid == tgid)
			err = watch->watched ? put_watched(screen, watch)
					     : put_unwatched(screen, watch);
		else if (!tgid && watch->glob)
			err = text_put_line(screen, STYLE_WARN, 0, "--watch '%s': %s", watch->glob,
					    watch->reason);
	}
	return err;
}
