// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include "targets.h"

#include <stdlib.h>

#include "discover/target.h"
#include "discover/target_text.h"

static void told_free(struct target_told *told)
{
	if (told)
		free(told->text);
	free(told);
}

static void all_free(struct target_told **all)
{
	struct target_told *told, *next;

	HASH_ITER(hh, *all, told, next)
	{
		HASH_DEL(*all, told);
		told_free(told);
	}
}

void targets__add(struct targets *targets, const struct record_target *record)
{
	struct target_told *told;

	if (!record->id || targets__find(targets, record->id))
		return;
	told = calloc(1, sizeof(*told));
	if (!told)
		return;
	told->id = record->id;
	told->text = target_text(record);
	if (!told->text) {
		told_free(told);
		return;
	}
	if (record->key.kind == TARGET_EPOLL) {
		told->epoll = true;
		told->fd = record->key.number;
		told->members = epoll_members((pid_t)record->key.id[0], (int)told->fd);
	}
	HASH_ADD(hh, targets->now, id, sizeof(told->id), told);
}

const struct target_told *targets__find(const struct targets *targets, uint32_t id)
{
	struct target_told *told = NULL;

	HASH_FIND(hh, targets->now, &id, sizeof(id), told);
	if (!told)
		HASH_FIND(hh, targets->before, &id, sizeof(id), told);
	return told;
}

bool targets__full(const struct targets *targets)
{
	return HASH_COUNT(targets->now) > 2 * MAX_TARGETS;
}

void targets__renew(struct targets *targets)
{
	all_free(&targets->before);
	targets->before = targets->now;
	targets->now = NULL;
}

void targets__free(struct targets *targets)
{
	all_free(&targets->now);
	all_free(&targets->before);
}
