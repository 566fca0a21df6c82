/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A Python made of nothing but memory, for unit tests of the kernel side: thread states, frames
 * and code objects as one of our layouts has them.  Each function here does to that memory what an
 * interpreter does, and hits the probe an interpreter would hit.  A test is the story of a thread.
 */
#ifndef PYTRACE_SMALL_PYTHON_H
#define PYTRACE_SMALL_PYTHON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../user/attach/heads.h"
#include "../replay/image.h"
#include "../replay/kernel.h"

#define SMALL_BUILD 1
#define SMALL_TGID 100
#define SMALL_RUNTIME 0x600000ull
#define SMALL_INTERP 0x601000ull
#define SMALL_HEAP 0x700000ull
#define SMALL_STACKS 0x10000000ull
#define SMALL_STACK_BYTES 0x1000000ull
#define SMALL_FRAME_BYTES 0x80
#define SMALL_JUNK 0xdead0000ull /* what registers hold that hold nothing we know */

enum small_version {
	SMALL_OPCODE,     /* as 3.13: probes at opcodes, instruction pointers */
	SMALL_FRAME_EVAL, /* as 3.10: one probe where frames leave, f_lasti and f_state */
	SMALL_STACKTOP,   /* as 3.9: the same, with f_stacktop */
};

enum small_site {
	AT_ENTRY,
	AT_RETURN,
	AT_YIELD,
	AT_UNWIND,
	AT_THROW,
	AT_LEAVE,
	SMALL_SITES,
};

/* Opcodes, and where they are in every function's code. */
enum { OP_NOP = 30, OP_RETURN = 36, OP_CALL = 53, OP_YIELD = 118, OP_RESUME = 149 };
enum {
	UNIT_RESUME,
	UNIT_CALL = 2,
	UNIT_RETURN = 4,
	UNIT_YIELD = 7,
	UNIT_RESUMED,
	SMALL_UNITS = 12
};

/* Offsets. */
enum { TS_NEXT, TS_INTERP = 8, TS_ID = 16, TS_FRAME = 24 };
enum { F_PREVIOUS, F_CODE = 8, F_INSTR = 16, F_OWNER = 24, F_STATE = 25, F_STACKTOP = 32 };
enum { CO_NAME = 16, CO_QUALNAME = 24, CO_FILE = 32, CO_LINE = 40, CO_VERSION = 44, CO_CODE = 48 };
enum { CO_UNITS = 64, BYTES_DATA = 32 };
enum { STR_LENGTH = 16, STR_HASH = 24, STR_STATE = 32, STR_DATA = 40 };
enum { OWNER_THREAD, OWNER_GENERATOR, OWNER_ENTRY };

struct small_thread {
	struct kernel_task *task;
	uint64_t ident, tstate;
	uint64_t frame; /* that runs now */
	uint64_t next;  /* where the next plain frame goes */
};

/* What a register holds that does not hold the frame at all sites for sure. */
enum chance { CHANCE_JUNK, CHANCE_FRAME, CHANCE_BELOW };
#define CHANCE_REGISTER KERNEL_BP

struct small_python {
	enum small_version version;
	struct py_layout layout;
	struct image *image;
	uint64_t heap;
	uint32_t threads;
	uint32_t versions;  /* of code objects */
	bool late;          /* exit sites stand behind where the frame is taken off */
	bool unseen;        /* probes are not hit */
	bool twice;         /* each is hit twice */
	int frame_register; /* that holds the frame at all sites; -1: none does */
	enum chance chance; /* what is in another one */
	uint64_t junk;
};

static struct small_python py;

/* --- memory */

static inline void put64(uint64_t at, uint64_t value)
{
	image__write(py.image, at, &value, sizeof(value));
}

static inline void put32(uint64_t at, uint32_t value)
{
	image__write(py.image, at, &value, sizeof(value));
}

static inline void put8(uint64_t at, uint8_t value)
{
	image__write(py.image, at, &value, sizeof(value));
}

static inline uint64_t get64(uint64_t at)
{
	uint64_t value = 0;

	assert_int_equal(image__read(py.image, at, &value, sizeof(value)), 0);
	return value;
}

static inline uint64_t reserve(size_t size)
{
	static const uint8_t zeros[4096];
	uint64_t at = py.heap;

	assert_true(size <= sizeof(zeros));
	image__write(py.image, at, zeros, size);
	py.heap += (size + 63) & ~63ull;
	return at;
}

static inline uint64_t make_string(const char *text)
{
	static const uint8_t rest[8]; /* memory comes in pieces of 16 bytes (Objects/obmalloc.c) */
	uint64_t at = reserve(STR_DATA + strlen(text) + sizeof(rest));

	put64(at + STR_LENGTH, strlen(text));
	put64(at + STR_HASH, at * 31);
	put32(at + STR_STATE, 1 << 2 | 1 << 5 | 1 << 6); /* kind 1, compact, ASCII */
	image__write(py.image, at + STR_DATA, text, strlen(text));
	image__write(py.image, at + STR_DATA + strlen(text), rest, sizeof(rest));
	return at;
}

/* Code at an address where other code may have been. */
static inline uint64_t make_code_at(uint64_t at, const char *name)
{
	uint64_t units = at + CO_UNITS;
	uint8_t bytes[2 * SMALL_UNITS];

	for (int i = 0; i < SMALL_UNITS; i++) {
		bytes[2 * i] = i == UNIT_RESUME || i == UNIT_RESUMED ? OP_RESUME
			       : i == UNIT_CALL                      ? OP_CALL
			       : i == UNIT_RETURN                    ? OP_RETURN
			       : i == UNIT_YIELD                     ? OP_YIELD
								     : OP_NOP;
		bytes[2 * i + 1] = i == UNIT_RESUMED;
	}
	put64(at + CO_NAME, make_string(name));
	put64(at + CO_QUALNAME, get64(at + CO_NAME));
	put64(at + CO_FILE, make_string("small.py"));
	put32(at + CO_LINE, 1);
	put32(at + CO_VERSION, ++py.versions);
	if (py.version != SMALL_OPCODE) {
		units = reserve(BYTES_DATA + sizeof(bytes));
		put64(at + CO_CODE, units);
		units += BYTES_DATA;
	}
	image__write(py.image, units, bytes, sizeof(bytes));
	return at;
}

static inline uint64_t make_code(const char *name)
{
	return make_code_at(reserve(128), name);
}

/* --- the interpreter */

static inline void small_layout(struct py_layout *l)
{
	bool opcode = py.version == SMALL_OPCODE;

	memset(l, 0xff, offsetof(struct py_layout, frame_head));
	l->runtime_vaddr = SMALL_RUNTIME;
	l->runtime_interpreters_head = 0;
	l->interp_next = 0;
	l->interp_threads_head = 8;
	l->interp_gil = 16;
	l->ts_next = TS_NEXT;
	l->ts_interp = TS_INTERP;
	l->ts_thread_id = TS_ID;
	l->ts_frame = TS_FRAME;
	l->frame_previous = F_PREVIOUS;
	l->frame_code = F_CODE;
	l->frame_instr = F_INSTR;
	l->code_filename = CO_FILE;
	l->code_name = CO_NAME;
	l->code_firstlineno = CO_LINE;
	l->unicode_length = STR_LENGTH;
	l->unicode_hash = STR_HASH;
	l->unicode_state = STR_STATE;
	l->unicode_ascii_data = STR_DATA;
	l->unicode_compact_data = STR_DATA + 16;
	l->unicode_kind_shift = 2;
	l->unicode_kind_bits = 3;
	l->unicode_compact_shift = 5;
	l->unicode_ascii_shift = 6;
	l->op_return_value = OP_RETURN;
	if (opcode) {
		l->frame_owner = F_OWNER;
		l->owner_generator = OWNER_GENERATOR;
		l->owner_entry = OWNER_ENTRY;
		l->code_qualname = CO_QUALNAME;
		l->code_version = CO_VERSION;
		l->code_units = CO_UNITS;
		l->resume_ops[0] = OP_RESUME;
		l->leaving_ops[OP_RETURN >> 3] |= 1 << (OP_RETURN & 7);
		l->leaving_ops[OP_YIELD >> 3] |= 1 << (OP_YIELD & 7);
	} else {
		l->lasti_unit = py.version == SMALL_FRAME_EVAL ? 2 : 1; /* bytes a step */
		l->code_units = CO_CODE;
		l->bytes_data = BYTES_DATA;
	}
	if (py.version == SMALL_FRAME_EVAL)
		l->frame_state = F_STATE;
	if (py.version == SMALL_STACKTOP)
		l->frame_stacktop = F_STACKTOP;
	layout_derive(l);
}

/* Every way a build can be: a test is to hold for all. */
struct shape {
	enum small_version version;
	bool late;
	int frame_register;
};

static inline void py_begin(const struct shape *shape)
{
	struct process_entry entry = {.runtime = SMALL_RUNTIME,
				      .build = SMALL_BUILD,
				      .flags = PROCESS_TRACED | PROCESS_CALLS};

	py = (struct small_python){.version = shape->version,
				   .late = shape->late,
				   .frame_register = shape->frame_register,
				   .image = image__new(),
				   .heap = SMALL_HEAP,
				   .junk = SMALL_JUNK};
	small_layout(&py.layout);
	kernel__reset();
	kernel__memory(image__read, py.image);
	kernel__add_build(SMALL_BUILD, &py.layout);
	kernel__add_process(SMALL_TGID, &entry);
	put64(SMALL_RUNTIME, SMALL_INTERP);
	for (int at = 0; at < 64; at += 8)
		put64(SMALL_INTERP + at, 0);
	put64(SMALL_INTERP + 16, SMALL_INTERP + 32); /* the GIL's struct */
}

static const struct shape shapes[] = {
	{SMALL_OPCODE, false, -1},     {SMALL_OPCODE, true, -1},     {SMALL_OPCODE, false, 3},
	{SMALL_OPCODE, true, 3},       {SMALL_FRAME_EVAL, true, -1}, {SMALL_FRAME_EVAL, true, 3},
	{SMALL_FRAME_EVAL, false, -1}, {SMALL_STACKTOP, true, -1},   {SMALL_STACKTOP, false, -1},
	{SMALL_STACKTOP, false, 3},
};

#define for_each_shape(s)                                                                          \
	for (const struct shape *s = shapes; s < shapes + sizeof(shapes) / sizeof(*shapes); s++)

static inline void py_end(void)
{
	image__free(py.image);
	kernel__free();
}

/* A thread state of a thread, in an interpreter (0: a new one). */
static inline uint64_t make_state(uint64_t ident, uint64_t interp)
{
	uint64_t tstate = reserve(64), last = SMALL_INTERP;

	if (!interp) {
		interp = reserve(64);
		while (get64(last))
			last = get64(last);
		put64(last, interp); /* the last of the list */
		put64(interp + 16, SMALL_INTERP + 32);
	}
	put64(tstate + TS_NEXT, get64(interp + 8));
	put64(tstate + TS_INTERP, interp);
	put64(tstate + TS_ID, ident);
	put64(interp + 8, tstate);
	return tstate;
}

static inline struct small_thread make_thread(void)
{
	uint32_t n = py.threads++;
	struct small_thread th = {
		.ident = 0x7f0000000000ull + n * 0x1000,
		.next = SMALL_STACKS + n * SMALL_STACK_BYTES + 64,
	};

	th.task = kernel__task(SMALL_TGID, SMALL_TGID + n, th.ident);
	th.tstate = make_state(th.ident, SMALL_INTERP);
	return th;
}

static inline void end_thread(struct small_thread *th)
{
	kernel__thread_exits(th->task);
	kernel__task_free(th->task);
}

/* Go on with another frame: what greenlets do, too. */
static inline void go_on_with(struct small_thread *th, uint64_t frame)
{
	th->frame = frame;
	put64(th->tstate + TS_FRAME, frame);
}

static inline void hit_at(struct small_thread *th, enum small_site site, uint64_t frame)
{
	static const enum site_kind kinds[SMALL_SITES] = {
		[AT_ENTRY] = SITE_ENTRY,   [AT_RETURN] = SITE_RETURN, [AT_YIELD] = SITE_YIELD,
		[AT_UNWIND] = SITE_UNWIND, [AT_THROW] = SITE_THROW,   [AT_LEAVE] = SITE_LEAVE,
	};
	uint64_t vaddr = 0x400000 + site * 64, registers[REGISTERS];

	for (int i = 0; i < REGISTERS; i++)
		registers[i] = i == py.frame_register ? frame : py.junk++;
	if (py.chance && kinds[site] != SITE_UNWIND)
		registers[CHANCE_REGISTER] =
			py.chance == CHANCE_FRAME ? frame : get64(frame + F_PREVIOUS);
	for (int times = py.unseen ? 0 : py.twice ? 2 : 1; times > 0; times--) {
		kernel__pass(1000);
		kernel__hit(th->task, SITE_COOKIE(SMALL_BUILD, site, kinds[site], vaddr), vaddr,
			    registers);
	}
}

/* Where a frame stands; `state` is f_state in 3.10. */
static inline void stand_at(uint64_t frame, int unit, int state)
{
	if (py.version == SMALL_OPCODE) {
		put64(frame + F_INSTR, get64(frame + F_CODE) + CO_UNITS + 2 * unit);
		return;
	}
	put32(frame + F_INSTR, unit < 0 ? ~0u : (uint32_t)unit * 2 / py.layout.lasti_unit);
	if (py.version == SMALL_FRAME_EVAL)
		put8(frame + F_STATE, (uint8_t)state);
	else
		put64(frame + F_STACKTOP, state == -1 ? frame + 64 : 0);
}

static inline void make_frame(uint64_t frame, uint64_t code, uint64_t previous, int owner)
{
	for (int at = 0; at < SMALL_FRAME_BYTES; at += 8)
		put64(frame + at, 0);
	put64(frame + F_PREVIOUS, previous);
	put64(frame + F_CODE, code);
	put8(frame + F_OWNER, (uint8_t)owner);
	stand_at(frame, py.version == SMALL_OPCODE ? UNIT_RESUME : -1, 0);
}

/* A call whose frame is at an address of our choice. */
static inline uint64_t call_at(struct small_thread *th, uint64_t code, uint64_t frame,
			       uint64_t previous, int owner)
{
	if (th->frame)
		stand_at(th->frame, UNIT_CALL, 0);
	make_frame(frame, code, previous, owner);
	go_on_with(th, frame);
	hit_at(th, AT_ENTRY, frame);
	return frame;
}

/* The usual call: the frame is on top of its caller's. */
static inline uint64_t call(struct small_thread *th, uint64_t code)
{
	uint64_t frame = th->next;

	th->next += SMALL_FRAME_BYTES;
	return call_at(th, code, frame, th->frame, OWNER_THREAD);
}

/* The frame that runs is gone, and the one below runs on. */
static inline void drop_frame(struct small_thread *th)
{
	uint64_t frame = th->frame;

	if (frame == th->next - SMALL_FRAME_BYTES)
		th->next = frame;
	go_on_with(th, get64(frame + F_PREVIOUS));
}

static inline void leave_at(struct small_thread *th, enum small_site site)
{
	uint64_t frame = th->frame;

	if (py.late)
		drop_frame(th);
	hit_at(th, py.version == SMALL_OPCODE ? site : AT_LEAVE, frame);
	if (!py.late)
		drop_frame(th);
}

static inline void ret(struct small_thread *th)
{
	stand_at(th->frame, UNIT_RETURN, 1);
	leave_at(th, AT_RETURN);
}

/* PyTraceBack_Here for the frame that runs: an exception is raised in it, or arrives. */
static inline void traceback(struct small_thread *th)
{
	stand_at(th->frame, UNIT_CALL, 2);
	hit_at(th, AT_UNWIND, SMALL_JUNK);
}

/* An exception leaves so many frames, and arrives in the next, if there is one. */
static inline void raise_out_of(struct small_thread *th, int frames)
{
	for (int i = 0; i < frames; i++) {
		traceback(th);
		stand_at(th->frame, UNIT_CALL, 3);
		if (py.version == SMALL_OPCODE)
			drop_frame(th);
		else
			leave_at(th, AT_LEAVE);
	}
	if (th->frame)
		traceback(th);
}

/* What is swallowed by C code: the frame below hears nothing. */
static inline void raise_into_c(struct small_thread *th)
{
	traceback(th);
	stand_at(th->frame, UNIT_CALL, 3);
	if (py.version == SMALL_OPCODE)
		drop_frame(th);
	else
		leave_at(th, AT_LEAVE);
}

/* --- generators: their frames are in them */

static inline uint64_t make_generator(void)
{
	return reserve(SMALL_FRAME_BYTES);
}

static inline void generator_begins(struct small_thread *th, uint64_t code, uint64_t generator)
{
	call_at(th, code, generator, th->frame, OWNER_GENERATOR);
}

static inline void yields(struct small_thread *th)
{
	stand_at(th->frame, py.version == SMALL_OPCODE ? UNIT_RESUMED : UNIT_YIELD, -1);
	leave_at(th, AT_YIELD);
}

/* send(), or throw() and close(), which opcode builds tell apart. */
static inline void goes_on(struct small_thread *th, uint64_t generator, enum small_site site)
{
	if (th->frame)
		stand_at(th->frame, UNIT_CALL, 0);
	put64(generator + F_PREVIOUS, th->frame);
	stand_at(generator, py.version == SMALL_OPCODE ? UNIT_RESUMED : UNIT_YIELD, 0);
	go_on_with(th, generator);
	hit_at(th, py.version == SMALL_OPCODE ? site : AT_ENTRY, generator);
}

/* --- greenlets: a thread that changes from one stack to another */

#define CHUNK 0x30000000ull

/* The lowest frame of a new greenlet: from 3.11 on first in a chunk of its own. */
static inline uint64_t greenlet_frame(uint64_t chunk)
{
	uint8_t zeros[4096] = {0};

	if (py.version != SMALL_OPCODE)
		return chunk + 0x40;
	image__write(py.image, chunk, zeros, sizeof(zeros));
	put64(chunk + 8, 0x4000);
	return chunk + 32;
}

static inline void chunk_is_given_back(uint64_t chunk)
{
	if (py.version == SMALL_OPCODE)
		image__forget(py.image, chunk, 4096);
}

/*
 * Start one: its lowest frame has none below it that is a call of its stack.  From 3.12 on there is
 * a frame of the C stack, and below that whoever started it.
 */
static inline uint64_t greenlet_starts(struct small_thread *th, uint64_t code, uint64_t chunk)
{
	uint64_t frame = greenlet_frame(chunk), below = 0;

	if (py.version == SMALL_OPCODE) {
		below = chunk - 0x1000;
		make_frame(below, code, th->frame, OWNER_ENTRY);
		stand_at(below, UNIT_CALL, 0);
	}
	return call_at(th, code, frame, below, OWNER_THREAD);
}

/* A call of its, above `below`. */
static inline uint64_t greenlet_calls(struct small_thread *th, uint64_t code)
{
	return call_at(th, code, th->frame + SMALL_FRAME_BYTES, th->frame, OWNER_THREAD);
}

/* --- what has been counted */

static inline struct function_stats counted(uint64_t code)
{
	struct function_stats sum = {0};
	const struct function_stats *stats;

	for (uint32_t slot = 0; (stats = kernel__stats(slot)); slot++) {
		if (stats->key.code != code)
			continue;
		sum.calls += stats->calls;
		sum.segments += stats->segments;
		sum.exits += stats->exits;
		sum.exceptions += stats->exceptions;
		sum.ended_unseen += stats->ended_unseen;
		sum.wall_ns += stats->wall_ns;
		sum.suspended_ns += stats->suspended_ns;
	}
	return sum;
}

#define assert_counted(code, ...)                                                                  \
	assert_counts(#code, counted(code), (struct function_stats){__VA_ARGS__}, __FILE__,        \
		      __LINE__)

static inline void assert_counts(const char *what, struct function_stats got,
				 struct function_stats wanted, const char *file, int line)
{
	if (!wanted.segments)
		wanted.segments = wanted.calls;
	if (got.calls == wanted.calls && got.segments == wanted.segments &&
	    got.exits == wanted.exits && got.exceptions == wanted.exceptions &&
	    got.ended_unseen == wanted.ended_unseen)
		return;
#define PRINT(title, s)                                                                            \
	print_error(                                                                               \
		"%s: %s %llu calls, %llu segments, %llu exits, %llu exceptions, %llu unseen\n",    \
		what, title, (s).calls, (s).segments, (s).exits, (s).exceptions, (s).ended_unseen)
	print_error("a build of version %d, whose exits are %s, with the frame in register %d\n",
		    (int)py.version, py.late ? "late" : "early", py.frame_register);
	PRINT("wanted", wanted);
	PRINT("got   ", got);
#undef PRINT
	_fail(file, line);
}

#define assert_loss(cause, n) assert_int_equal(kernel__loss(cause), n)

#endif
