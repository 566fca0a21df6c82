/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The machine code of a build: what a probe at an instruction costs, where
 * straight-line code leads, and what jumps into it.
 */
#ifndef PYTRACE_DISCOVER_CODE_H
#define PYTRACE_DISCOVER_CODE_H

#include <capstone/capstone.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf_file.h"

struct code;

/* Returns 0 or a negative errno. `elf` is not needed afterwards. */
int code__new(const struct elf_file *elf, struct code **out);
void code__free(struct code *code);

/* The decoder, for questions about what code__decode() returned. */
csh code__decoder(const struct code *code);

/* Is there executable code at `vaddr`? */
bool code__holds(const struct code *code, uint64_t vaddr);

/* Decode the instruction at `vaddr`. Returns NULL if there is none; the next call overwrites it. */
const cs_insn *code__decode(struct code *code, uint64_t vaddr);

/*
 * Does the kernel emulate this instruction under a uprobe, whichever version
 * it is, rather than single-step it out of line?
 */
bool insn_is_emulated(const uint8_t *bytes, size_t length);

/* The target of a direct jump or conditional jump; 0: it is not one. */
uint64_t insn_jump_target(const uint8_t *bytes, size_t length, uint64_t vaddr);

/*
 * The place a jump or call takes its target from, where that is at a fixed
 * distance (jmp *place(%rip)); 0: it is not one.
 */
uint64_t insn_jump_place(const cs_insn *insn);

/* Does straight-line code end here, or go where we cannot follow? */
bool insn_ends_line(const cs_insn *insn);

#define POINT_LANDERS 4

/* A place for a probe at the beginning of straight-line code. */
struct probe_point {
	uint64_t from; /* where the code begins */
	uint64_t at;   /* the first emulated instruction, or else the first that can be probed */
	bool emulated;
	unsigned int entries;  /* direct jumps in this file to `from` */
	uint64_t landing;      /* lowest target of a direct jump inside (from, at]; 0: none */
	unsigned int landings; /* how many direct jumps lead in there, and where they stand */
	uint64_t landers[POINT_LANDERS];
};

/* Fill point->at and ->emulated for point->from. Returns 0 or -ENOENT: no instruction there. */
int code__find_point(struct code *code, struct probe_point *point);

/*
 * Look for the direct jumps to and into the `count` points: fills entries and
 * landing. One pass over all code, for all points at once.
 */
void code__find_jumps(struct code *code, struct probe_point *points, size_t count);

#endif
