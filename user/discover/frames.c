/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "frames.h"

#include "lines.h"
#include "memory.h"
#include "musl.h"

/* Frames of C functions have no code; a chain that never ends is not walked for ever. */
#define MAX_STEPS 100000
#define MAX_WAITERS 4096 /* for one GIL */

static int current_frame(pid_t tgid, const struct py_layout *l, uint64_t tstate, uint64_t *frame)
{
	uint64_t cframe;
	int err;

	if (l->ts_cframe == LAYOUT_ABSENT)
		return memory_read_u64(tgid, tstate + l->ts_frame, frame);
	err = memory_read_u64(tgid, tstate + l->ts_cframe, &cframe);
	*frame = 0;
	return err || !cframe ? err
			      : memory_read_u64(tgid, cframe + l->cframe_current_frame, frame);
}

/* Is it a frame of the C stack, put there by a C function that called Python? */
static int is_entry(pid_t tgid, const struct py_layout *l, uint64_t frame, bool *entry)
{
	uint8_t owner;
	int err = 0;

	*entry = false;
	if (l->frame_owner == LAYOUT_ABSENT)
		return 0;
	err = memory_read(tgid, frame + l->frame_owner, &owner, sizeof(owner));
	*entry = !err && owner >= l->owner_entry;
	return err;
}

enum walk_end frames_walk(pid_t tgid, const struct py_layout *l, uint64_t tstate,
			  struct walked_frame *frames, size_t max, size_t *count)
{
	uint64_t frame;

	*count = 0;
	if (current_frame(tgid, l, tstate, &frame))
		return WALK_UNREADABLE;
	for (int i = 0; frame && i < MAX_STEPS; i++) {
		uint64_t code;
		bool entry;

		if (is_entry(tgid, l, frame, &entry))
			return WALK_UNREADABLE;
		if (!entry) {
			if (*count == max)
				return WALK_TRUNCATED;
			if (memory_read_u64(tgid, frame + l->frame_code, &code))
				return WALK_UNREADABLE;
			code &= ~(uint64_t)l->code_tag_mask;
			frames[(*count)++] = (struct walked_frame){
				frame, code, frame_line(tgid, l, frame, code)};
		}
		if (memory_read_u64(tgid, frame + l->frame_previous, &frame))
			return WALK_UNREADABLE;
	}
	return frame ? WALK_TRUNCATED : WALK_COMPLETE;
}

uint64_t gil_address(pid_t tgid, const struct py_layout *l, uint64_t runtime, uint64_t tstate)
{
	uint64_t interp, gil;

	if (l->nogil)
		return 0;
	if (l->runtime_gil != LAYOUT_ABSENT)
		return runtime + l->runtime_gil;
	if (l->interp_gil == LAYOUT_ABSENT ||
	    memory_read_u64(tgid, tstate + l->ts_interp, &interp) ||
	    memory_read_u64(tgid, interp + l->interp_gil, &gil))
		return 0;
	return gil;
}

/*
 * The newest node of the list with this one, 0 if it is in no such list: whatever else a futex
 * may be in fails one of these checks.
 */
static uint64_t musl_newest(pid_t tgid, uint64_t node)
{
	struct musl_waiter waiter;

	if (memory_read(tgid, node, &waiter, sizeof(waiter)) ||
	    waiter.barrier != MUSL_BARRIER_ASLEEP)
		return 0;
	for (int i = 0; waiter.prev && i < MAX_WAITERS; i++) {
		uint64_t newer = waiter.prev;

		if (memory_read(tgid, newer, &waiter, sizeof(waiter)) || waiter.next != node)
			return 0;
		node = newer;
	}
	return node;
}

static bool musl_awaited(pid_t tgid, const struct py_layout *l, uint64_t gil, uint64_t futex)
{
	uint64_t node = futex - offsetof(struct musl_waiter, barrier), head;
	const uint32_t conds[] = {l->gil_cond, l->gil_switch_cond};

	for (int i = 0; i < MUSL_ATTEMPTS; i++) {
		uint64_t newest = musl_newest(tgid, node);

		for (size_t j = 0; newest && j < sizeof(conds) / sizeof(*conds); j++) {
			if (!memory_read_u64(tgid, gil + conds[j] + MUSL_COND_HEAD, &head) &&
			    head == newest)
				return true;
		}
	}
	return false;
}

bool gil_awaited(pid_t tgid, const struct py_layout *l, uint64_t gil, uint64_t futex)
{
	if (!gil)
		return false;
	return futex - gil < l->gil_size || (l->musl && musl_awaited(tgid, l, gil, futex));
}

uint64_t gil_holder(pid_t tgid, const struct py_layout *l, uint64_t gil)
{
	uint64_t holder;
	int32_t locked;

	if (!gil || memory_read(tgid, gil + l->gil_locked, &locked, sizeof(locked)) ||
	    locked != 1 || memory_read_u64(tgid, gil + l->gil_last_holder, &holder))
		return 0;
	return holder;
}
