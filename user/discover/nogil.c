/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "nogil.h"

#include <stdbool.h>

#include "memory.h"

static uint64_t read_u64(pid_t tgid, uint64_t address)
{
	uint64_t value;

	return memory_read(tgid, address, &value, sizeof(value)) ? 0 : value;
}

/* Its interpreter's world, or that of all. */
uint64_t nogil_stopper(pid_t tgid, const struct py_layout *l, uint64_t runtime, uint64_t tstate)
{
	uint64_t interp = read_u64(tgid, tstate + l->ts_interp);
	uint64_t stopper = read_u64(tgid, interp + l->interp_stop_requester);

	return stopper ?: read_u64(tgid, runtime + l->runtime_stop_requester);
}

/* It has the section as its innermost already, without the mutex. */
static bool enters_section(pid_t tgid, const struct py_layout *l, uint64_t tstate)
{
	uint64_t section = read_u64(tgid, tstate + l->ts_critical_section), mutex;

	section &= ~(uint64_t)l->section_tags;
	return section && !memory_read(tgid, section + l->section_mutex, &mutex, sizeof(mutex)) &&
	       !mutex;
}

enum target_kind nogil_parked(pid_t tgid, const struct py_layout *l, uint64_t runtime,
			      uint64_t tstate, uint64_t futex, uint64_t sp)
{
	uint32_t state;

	if (!l->nogil || futex - sp >= PARKED_WITHIN ||
	    memory_read(tgid, tstate + l->ts_state, &state, sizeof(state)))
		return TARGET_NONE;
	if (state == l->thread_suspended ||
	    (state == l->thread_attached && nogil_stopper(tgid, l, runtime, tstate) == tstate))
		return TARGET_STOP;
	return enters_section(tgid, l, tstate) ? TARGET_SECTION : TARGET_NONE;
}
