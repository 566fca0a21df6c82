/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What event loops called, into totals. */
#include "callbacks.h"
#include "collector_internal.h"

#include <stdio.h>
#include <string.h>

#include "names.h"

static bool ends_in(const char *text, const char *end)
{
	size_t length = strlen(text), wanted = strlen(end);

	return length >= wanted && !strcmp(text + length - wanted, end);
}

bool callback_is_loop_call(const char *function, const char *file)
{
	return (!strcmp(function, "_run") || !strcmp(function, "Handle._run")) &&
	       ends_in(file, "asyncio/events.py");
}

/* What has no Python code: a name in place of a function's. */
static struct function_total *named(struct process_total *process, const char *format,
				    const char *name)
{
	char text[CALLBACK_TASK_TEXT + 16];

	snprintf(text, sizeof(text), format, name);
	return process_total__function(process, text, "", 0);
}

void collector__callback(void *arg, const struct callback_key *key,
			 const struct callback_stats *stats)
{
	struct collector *collector = arg;
	struct process_total *process = collector__find_any(collector, key->tgid);
	struct callback_id id = {.function = NULL};
	struct callback_total *callback;
	char name[CALLBACK_TASK_TEXT - 4], text[CALLBACK_TASK_TEXT] = "";

	if (!process)
		return;
	name_decode(key->name, sizeof(key->name), key->name_chars, key->name_kind, name,
		    sizeof(name));
	snprintf(text, sizeof(text), "%s%s", name, key->name_cut ? "\u2026" : "");
	switch (key->name_is) {
	case CALLBACK_BUILTIN:
		id.function = named(process, "<built-in %s>", text);
		break;
	case CALLBACK_OBJECT:
		id.function = named(process, "<%s object>", text);
		break;
	case CALLBACK_NUMBERED:
		memcpy(id.task, "Task-*", sizeof("Task-*"));
		break;
	case CALLBACK_TASK:
		memcpy(id.task, text, strlen(text));
		break;
	}
	if (!id.function)
		id.function = collector__slot_function(collector, key->function, process);
	if (!id.function)
		return;
	callback = process_total__callback(process, &id);
	if (callback)
		callback_stats_add(&callback->stats, stats);
}
