/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Does the layout hold in a live process?  It runs on while we read, so one
 * reading that does not fit proves nothing: only if it keeps failing does it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "memory.h"
#include "process.h"
#include "procfs.h"

#define MAX_INTERPRETERS 64
#define MAX_STATES 8192
#define MAX_FRAMES 16 /* from the top */
#define MAX_TIDS 8192
#define ATTEMPTS 5
#define PAUSE_NS 2000000

struct check {
	const struct py_layout *layout;
	pid_t tgid;
	uint64_t runtime;
	pid_t *tids;
	size_t tid_count;
	unsigned int states;  /* thread states met */
	unsigned int threads; /* of those, ones whose thread is there */
	unsigned int good_stacks, bad_stacks;
	char *reason;
};

static int read_pointer(const struct check *check, uint64_t address, uint64_t *value)
{
	return memory_read_u64(check->tgid, address, value);
}

static int mismatch(const struct check *check, const char *what)
{
	snprintf(check->reason, BUILD_REASON_BYTES, "its memory does not fit the layout: %s", what);
	return -EPROTO;
}

/* An address that is no memory is the layout's fault; not being let in is not. */
static int unreadable(const struct check *check, int err, const char *what)
{
	return err == -EFAULT || err == -EIO ? mismatch(check, what) : err;
}

/* 1: this thread state has a thread of the process, 0: it has none, or a negative errno. */
static int check_thread(const struct check *check, uint64_t state)
{
	const struct py_layout *l = check->layout;
	uint64_t id, self, native;
	int err;

	err = read_pointer(check, state + l->ts_thread_id, &id);
	if (err)
		return unreadable(check, err, "thread state unreadable");
	/* pthread_self() is the thread's control block, and that points to itself (x86_64 TLS) */
	if (!id || read_pointer(check, id, &self) || self != id)
		return 0;
	if (l->ts_native_thread_id == LAYOUT_ABSENT)
		return 1;
	err = read_pointer(check, state + l->ts_native_thread_id, &native);
	if (err)
		return unreadable(check, err, "thread state unreadable");
	for (size_t i = 0; i < check->tid_count; i++) {
		if ((uint64_t)check->tids[i] == native)
			return 1;
	}
	return 0;
}

/* The frame on top of a thread state's stack; 0: it runs no Python code. */
static int current_frame(const struct check *check, uint64_t state, uint64_t *frame)
{
	const struct py_layout *l = check->layout;
	uint64_t cframe;
	int err;

	if (l->ts_cframe == LAYOUT_ABSENT)
		return read_pointer(check, state + l->ts_frame, frame);
	*frame = 0;
	err = read_pointer(check, state + l->ts_cframe, &cframe);
	return err || !cframe ? err : read_pointer(check, cframe + l->cframe_current_frame, frame);
}

/* Is the first line of a frame's code a line number, and its file name a string? */
static int check_code(const struct check *check, uint64_t code)
{
	const struct py_layout *l = check->layout;
	uint64_t name, length;
	int32_t line;
	int err;

	err = memory_read(check->tgid, code + l->code_firstlineno, &line, sizeof(line));
	if (!err)
		err = read_pointer(check, code + l->code_filename, &name);
	if (!err)
		err = read_pointer(check, name + l->unicode_length, &length);
	if (err)
		return unreadable(check, err, "code object unreadable");
	if (line < 0 || length > 1u << 20)
		return mismatch(check, "code object nonsense");
	return 0;
}

static int check_frames(const struct check *check, uint64_t state)
{
	const struct py_layout *l = check->layout;
	uint64_t frame, code;
	uint8_t owner;
	int err;

	err = current_frame(check, state, &frame);
	for (int i = 0; !err && frame && i < MAX_FRAMES; i++) {
		owner = 0;
		if (l->frame_owner != LAYOUT_ABSENT)
			err = memory_read(check->tgid, frame + l->frame_owner, &owner, 1);
		if (!err)
			err = read_pointer(check, frame + l->frame_code, &code);
		if (err)
			break;
		if (l->frame_owner == LAYOUT_ABSENT || owner < l->owner_entry) {
			err = check_code(check, code & ~(uint64_t)l->code_tag_mask);
			if (err)
				return err;
		}
		err = read_pointer(check, frame + l->frame_previous, &frame);
	}
	return err ? unreadable(check, err, "frame unreadable") : 0;
}

static int check_interpreter(struct check *check, uint64_t interp)
{
	const struct py_layout *l = check->layout;
	uint64_t state, owner;
	int err;

	err = read_pointer(check, interp + l->interp_threads_head, &state);
	while (!err && state && check->states < MAX_STATES) {
		int alive;

		check->states++;
		err = read_pointer(check, state + l->ts_interp, &owner);
		if (err)
			break;
		if (owner != interp)
			return mismatch(check, "thread state of another interpreter");
		alive = check_thread(check, state);
		if (alive < 0)
			return alive;
		check->threads += (unsigned int)alive;
		if (alive && check_frames(check, state))
			check->bad_stacks++; /* it may have run on meanwhile */
		else if (alive)
			check->good_stacks++;
		err = read_pointer(check, state + l->ts_next, &state);
	}
	return err ? unreadable(check, err, "thread states unreadable") : 0;
}

static int check_once(struct check *check)
{
	const struct py_layout *l = check->layout;
	uint64_t interp;
	int err;

	check->states = 0;
	check->threads = 0;
	check->good_stacks = 0;
	check->bad_stacks = 0;
	err = read_pointer(check, check->runtime + l->runtime_interpreters_head, &interp);
	if (err)
		return unreadable(check, err, "runtime unreadable");
	if (!interp)
		return -EAGAIN;
	for (int i = 0; interp && i < MAX_INTERPRETERS; i++) {
		err = check_interpreter(check, interp);
		if (err)
			return err;
		err = read_pointer(check, interp + l->interp_next, &interp);
		if (err)
			return unreadable(check, err, "interpreters unreadable");
	}
	if (!check->states)
		return -EAGAIN;
	if (!check->threads)
		return mismatch(check, "no thread state has a thread");
	/* otherwise the reason is that of the last bad one */
	return check->good_stacks || !check->bad_stacks ? 0 : -EPROTO;
}

int process_verify(const struct builds *builds, const struct process *process, char *reason)
{
	const struct build *build = builds__get(builds, process->build);
	struct timespec pause = {.tv_nsec = PAUSE_NS};
	char why[BUILD_REASON_BYTES] = "";
	struct check check = {.tgid = process->tgid, .runtime = process->runtime, .reason = why};
	ssize_t tids;
	int err;

	if (process->kind != PYTHON_YES || !build || !build->layout_known) {
		snprintf(reason, BUILD_REASON_BYTES, "its layout is not known");
		return -EPROTO;
	}
	check.layout = &build->layout;
	check.tids = calloc(MAX_TIDS, sizeof(*check.tids));
	if (!check.tids)
		return -ENOMEM;
	for (int i = 0; i < ATTEMPTS; i++) {
		if (i)
			nanosleep(&pause, NULL);
		tids = procfs_own_tids(process->tgid, check.tids, MAX_TIDS);
		err = tids < 0 ? (int)tids : 0;
		check.tid_count = tids < 0 ? 0 : (size_t)tids;
		if (!err)
			err = check_once(&check);
		if (err != -EPROTO)
			break;
	}
	free(check.tids);
	if (err == -EPROTO)
		snprintf(reason, BUILD_REASON_BYTES, "%s", why);
	return err;
}
