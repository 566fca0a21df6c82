/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "tally.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static size_t smallest(const struct tally *tally)
{
	size_t least = 0;

	for (size_t i = 1; i < tally->count; i++)
		if (tally->entries[i].ns < tally->entries[least].ns)
			least = i;
	return least;
}

void tally_add(struct tally *tally, const struct profile_name *name, uint64_t ns)
{
	size_t i;

	tally->all_ns += ns;
	if (!name || !name->function || !*name->function)
		return;
	for (i = 0; i < tally->count; i++) {
		const struct profile_name *known = &tally->entries[i].name;

		if (known->line == name->line && same_text(known->function, name->function) &&
		    same_text(known->file, name->file))
			break;
	}
	if (i == TALLY_ENTRIES) { /* what is large is kept, if it comes late as well */
		i = smallest(tally);
		tally->entries[i].name = *name;
	} else if (i == tally->count) {
		tally->entries[i].name = *name;
		tally->entries[i].ns = 0;
		tally->count++;
	}
	tally->entries[i].ns += ns;
}

const struct profile_name *tally_most(const struct tally *tally, uint64_t *ns)
{
	const struct profile_name *most = NULL;

	*ns = 0;
	for (size_t i = 0; i < tally->count; i++) {
		if (tally->entries[i].ns <= *ns)
			continue;
		*ns = tally->entries[i].ns;
		most = &tally->entries[i].name;
	}
	return most;
}
