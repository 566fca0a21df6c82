/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "tally.h"

#include "places.h"

static size_t smallest(const struct tally *tally)
{
	size_t least = 0;

	for (size_t i = 1; i < tally->count; i++)
		if (tally->entries[i].amount < tally->entries[least].amount)
			least = i;
	return least;
}

void tally_add(struct tally *tally, const struct profile_name *name, uint64_t amount)
{
	size_t i;

	tally->all += amount;
	if (!name || !name->function || !*name->function)
		return;
	for (i = 0; i < tally->count; i++)
		if (same_name(&tally->entries[i].name, name))
			break;
	if (i == TALLY_ENTRIES) { /* what is large is kept, if it comes late as well */
		i = smallest(tally);
		tally->entries[i].name = *name;
	} else if (i == tally->count) {
		tally->entries[i].name = *name;
		tally->entries[i].amount = 0;
		tally->count++;
	}
	tally->entries[i].amount += amount;
}

const struct profile_name *tally_most(const struct tally *tally, uint64_t *amount)
{
	const struct profile_name *most = NULL;

	*amount = 0;
	for (size_t i = 0; i < tally->count; i++) {
		if (tally->entries[i].amount <= *amount)
			continue;
		*amount = tally->entries[i].amount;
		most = &tally->entries[i].name;
	}
	return most;
}
