/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Calls that the JIT (3.13 and later, or the interpreter of its micro-operations) runs
 * pass no opcode handler.  Whether it is on the interpreter tells itself; one that is
 * not up yet will go by the environment (Python/pylifecycle.c, init_interp_main).
 */
#include "jit.h"

#include <errno.h>
#include <stdio.h>

#include "memory.h"
#include "procfs.h"

#define MAX_INTERPRETERS 64
#define IMMORTAL 0x80000000u /* 3.13's immortal objects have more references than that */

/* 1: on, 0: off in this interpreter, or a negative errno. */
static int interpreter_jit(const struct build *build, pid_t tgid, uint64_t interp)
{
	uint32_t references;
	uint64_t optimizer;
	uint8_t on;
	int err;

	if (build->interp_jit != LAYOUT_ABSENT) {
		err = memory_read(tgid, interp + build->interp_jit, &on, sizeof(on));
		return err ? err : on <= 1 ? on : -EPROTO;
	}
	if (build->interp_optimizer == LAYOUT_ABSENT)
		return -ENOTSUP;
	/* a static one compiles nothing (Python/optimizer.c, _PyOptimizer_Default) */
	err = memory_read(tgid, interp + build->interp_optimizer, &optimizer, sizeof(optimizer));
	if (!err && !optimizer)
		err = -EAGAIN;
	if (!err)
		err = memory_read(tgid, optimizer, &references, sizeof(references));
	return err ? err : references < IMMORTAL;
}

/* 1: on, 0: off in all interpreters, -EAGAIN: it is not up yet, or another negative errno. */
static int process_jit(const struct build *build, const struct process *process)
{
	uint64_t at = process->runtime + build->layout.runtime_interpreters_head, interp = 0;
	int state = -EAGAIN;

	for (int i = 0; i < MAX_INTERPRETERS; i++) {
		int err = memory_read(process->tgid, at, &interp, sizeof(interp));

		if (err)
			return err;
		if (!interp)
			break;
		state = interpreter_jit(build, process->tgid, interp);
		if (state)
			break;
		at = interp + build->layout.interp_next;
	}
	return state;
}

static void refuse_calls(struct process *process)
{
	process->calls_refused = true;
	snprintf(process->reason, sizeof(process->reason),
		 "its JIT is on: calls it has compiled could not be counted");
}

void jit_inherit(const struct build *build, bool refused, struct process *child)
{
	if (refused && build && build->jit && build->method == CALLS_OPCODE)
		refuse_calls(child);
}

void jit_note(const struct build *build, bool anonymous_code, struct process *process)
{
	int state, setting;

	if (!build->jit || build->method != CALLS_OPCODE)
		return;
	setting = procfs_jit_variable(process->tgid);
	state = process_jit(build, process);
	/* what is read is "off" until the interpreter is up: by then its environment counts */
	if (state == 1 || setting == 1) {
		refuse_calls(process);
	} else if (state && setting < 0 && anonymous_code) {
		snprintf(process->reason, sizeof(process->reason),
			 "its JIT may be on: calls it has compiled are not seen");
	}
}
