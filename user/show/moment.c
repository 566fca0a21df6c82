/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "moment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../profile.h"
#include "escape.h"
#include "json_value.h"
#include "screen.h"
#include "show.h"
#include "units.h"

const char *thread_does_name(enum thread_does does)
{
	static const char *const names[] = {
		[THREAD_RUNS] = "running",
		[THREAD_WAITS] = "waiting",
		[THREAD_STOPPED] = "stopped",
		[THREAD_ENDING] = "ending",
	};

	return names[does];
}

/* What is odd about the stack, or NULL. */
static const char *remark(const struct moment_thread *thread)
{
	switch (thread->quality) {
	case STACK_NONE:
		return thread->python ? "in no Python code" : "not a Python thread";
	case STACK_TRUNCATED:
		return "deeper than is shown";
	case STACK_UNREADABLE:
		return "the rest of the stack could not be read";
	case STACK_MIXED:
		return "it ran meanwhile: frames may be of different moments";
	case STACK_COMPLETE:
		break;
	}
	return NULL;
}

/* "waiting 12.3 s: net, recvfrom, 10.0.0.7:5432" */
static void put_state(FILE *out, const struct moment_thread *thread, const char *target)
{
	char since[UNIT_BYTES];

	fputs(thread_does_name(thread->does), out);
	if (thread->does == THREAD_WAITS || thread->does == THREAD_STOPPED) {
		if (thread->since >= 0)
			fprintf(out, " %s", format_duration(since, thread->since * 1e9));
	}
	if (thread->does == THREAD_WAITS) {
		fprintf(out, ": %s", wait_class_name(thread->wait_class));
		if (thread->syscall)
			fprintf(out, ", %s", thread->syscall);
		if (target)
			fprintf(out, ", %s", target);
		if (thread->held_by)
			fprintf(out, ", held by thread %u", thread->held_by);
		if (thread->deadlocked)
			fputs(", DEADLOCK", out);
	}
	if (thread->holds_gil)
		fputs(thread->does == THREAD_WAITS ? ", HOLDS THE GIL" : ", holds the GIL", out);
}

static int put_frames(const struct screen *screen, const struct moment_thread *thread)
{
	for (size_t i = 0; i < thread->frame_count; i++) {
		const struct moment_frame *frame = &thread->frames[i];
		char *function = escape_terminal(frame->function, screen->utf8);
		char *file = escape_terminal(frame->file, screen->utf8);

		if (function && file) {
			char place[32];

			fprintf(screen->out, "      %s  ", function);
			screen_put(screen, STYLE_DIM, file);
			snprintf(place, sizeof(place), ":%u", frame->at_line ?: frame->line);
			screen_put(screen, STYLE_DIM, place);
			fputc('\n', screen->out);
		}
		free(function);
		free(file);
		if (!function || !file)
			return -ENOMEM;
	}
	return 0;
}

static int put_thread(const struct screen *screen, const struct moment_thread *thread)
{
	char *name = escape_terminal(thread->name, screen->utf8);
	char *target = escape_terminal(thread->target ?: "", screen->utf8);
	const char *note = remark(thread);
	int err = name && target ? 0 : -ENOMEM;

	if (!err) {
		char title[96];

		snprintf(title, sizeof(title), "  thread %u %s: ", thread->tid, name);
		screen_put(screen, STYLE_TITLE, title);
		put_state(screen->out, thread, target[0] ? target : NULL);
		fputc('\n', screen->out);
		err = put_frames(screen, thread);
		if (note) {
			fputs("      ", screen->out);
			screen_put(screen, STYLE_DIM, note);
			fputc('\n', screen->out);
		}
	}
	free(name);
	free(target);
	return err;
}

int moment_text(FILE *out, const struct moment *moment, bool another)
{
	struct show_options options = {0};
	struct screen screen = {.out = out};
	char *command, *build;
	int err;

	show_options_detect(&options, fileno(out));
	screen.color = options.color;
	screen.utf8 = options.utf8;
	command = escape_terminal(moment->command, screen.utf8);
	build = escape_terminal(moment->build, screen.utf8);
	err = command && build ? 0 : -ENOMEM;
	if (!err) {
		char title[64];

		snprintf(title, sizeof(title), "%sprocess %u ", another ? "\n" : "", moment->tgid);
		screen_put(&screen, STYLE_TITLE, title);
		fprintf(out, "%s\n  python %s, %s, %zu thread%s\n", command, moment->python, build,
			moment->thread_count, moment->thread_count == 1 ? "" : "s");
		if (moment->reason[0])
			fprintf(out, "  no stacks: %s\n", moment->reason);
	}
	for (size_t i = 0; !err && i < moment->thread_count; i++)
		err = put_thread(&screen, &moment->threads[i]);
	free(command);
	free(build);
	return err ?: ferror(out) ? -EIO : 0;
}

static json_t *frames_json(struct json_builder *b, const struct moment_thread *thread)
{
	json_t *array = json_array();

	for (size_t i = 0; i < thread->frame_count; i++) {
		json_t *object = json_object();

		json_put(b, object, "function", json_name(thread->frames[i].function));
		json_put(b, object, "file", json_name(thread->frames[i].file));
		json_put(b, object, "line", json_integer(thread->frames[i].line));
		json_put(b, object, "at_line",
			 thread->frames[i].at_line ? json_integer(thread->frames[i].at_line)
						   : json_null());
		json_push(b, array, object);
	}
	return array;
}

static json_t *thread_json(struct json_builder *b, const struct moment_thread *thread)
{
	json_t *object = json_object();
	bool waits = thread->does == THREAD_WAITS;

	json_put(b, object, "tid", json_integer(thread->tid));
	json_put(b, object, "name", json_name(thread->name));
	json_put(b, object, "python", json_boolean(thread->python));
	json_put(b, object, "state", json_string(thread_does_name(thread->does)));
	json_put(b, object, "class",
		 waits ? json_string(wait_class_name(thread->wait_class)) : json_null());
	json_put(b, object, "syscall", json_name_or_null(thread->syscall));
	json_put(b, object, "target", json_name_or_null(thread->target));
	json_put(b, object, "since_seconds",
		 thread->since < 0 ? json_null() : json_number(thread->since));
	json_put(b, object, "held_by",
		 thread->held_by ? json_integer(thread->held_by) : json_null());
	json_put(b, object, "deadlocked", json_boolean(thread->deadlocked));
	json_put(b, object, "holds_gil", json_boolean(thread->holds_gil));
	json_put(b, object, "stack", json_string(stack_quality_name(thread->quality)));
	json_put(b, object, "frames", frames_json(b, thread));
	return object;
}

int moment_json(FILE *out, const struct moment *moment)
{
	struct json_builder b = {0};
	json_t *root = json_object(), *threads = json_array();
	int err = 0;

	json_put(&b, root, "schema", json_string("pytrace-bpf/1"));
	json_put(&b, root, "tgid", json_integer(moment->tgid));
	json_put(&b, root, "command", json_name(moment->command));
	json_put(&b, root, "python", json_name(moment->python));
	json_put(&b, root, "build", json_name(moment->build));
	json_put(&b, root, "reason", moment->reason[0] ? json_string(moment->reason) : json_null());
	json_put(&b, root, "has_gil", json_boolean(moment->has_gil));
	for (size_t i = 0; i < moment->thread_count; i++)
		json_push(&b, threads, thread_json(&b, &moment->threads[i]));
	json_put(&b, root, "threads", threads);
	if (b.failed)
		err = -ENOMEM;
	else if (json_dumpf(root, out, JSON_COMPACT) || fputc('\n', out) == EOF)
		err = -EIO;
	json_decref(root);
	return err;
}
