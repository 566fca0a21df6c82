/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The machine code of a build: see code.h.  The only file that knows x86 instructions. */
#include "code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CODE_SEGMENTS 8
#define MAX_CODE_BYTES (128u << 20)
#define MAX_LINE_BYTES 512 /* how far straight-line code is followed */
#define SHORT_JUMP_REACH 132
#define RESYNC_BYTES 256 /* linear decoding finds the instruction boundaries within far less */

struct code_segment {
	uint64_t vaddr;
	uint64_t size;
	uint8_t *bytes;
};

struct code {
	struct code_segment segments[MAX_CODE_SEGMENTS];
	size_t count;
	csh decoder;
	cs_insn *insn;
};

int code__new(const struct elf_file *elf, struct code **out)
{
	const struct elf_segment *segments;
	struct code *code;
	size_t count;
	int err = 0;

	code = calloc(1, sizeof(*code));
	if (!code)
		return -ENOMEM;
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &code->decoder) != CS_ERR_OK) {
		free(code);
		return -ENOMEM;
	}
	cs_option(code->decoder, CS_OPT_DETAIL, CS_OPT_ON);
	code->insn = cs_malloc(code->decoder);
	if (!code->insn)
		err = -ENOMEM;
	segments = elf_file__segments(elf, &count);
	for (size_t i = 0; !err && i < count && code->count < MAX_CODE_SEGMENTS; i++) {
		struct code_segment *segment = &code->segments[code->count];

		if (!segments[i].executable)
			continue;
		if (segments[i].size > MAX_CODE_BYTES) {
			err = -EFBIG;
			break;
		}
		err = elf_file__image(elf, &segments[i], &segment->bytes);
		if (err)
			break;
		segment->vaddr = segments[i].vaddr;
		segment->size = segments[i].size;
		code->count++;
	}
	if (err)
		code__free(code);
	else
		*out = code;
	return err;
}

void code__free(struct code *code)
{
	if (!code)
		return;
	for (size_t i = 0; i < code->count; i++)
		free(code->segments[i].bytes);
	if (code->insn)
		cs_free(code->insn, 1);
	cs_close(&code->decoder);
	free(code);
}

static const struct code_segment *segment_at(const struct code *code, uint64_t vaddr)
{
	for (size_t i = 0; i < code->count; i++) {
		const struct code_segment *segment = &code->segments[i];

		if (vaddr >= segment->vaddr && vaddr - segment->vaddr < segment->size)
			return segment;
	}
	return NULL;
}

csh code__decoder(const struct code *code)
{
	return code->decoder;
}

bool code__holds(const struct code *code, uint64_t vaddr)
{
	return segment_at(code, vaddr);
}

const cs_insn *code__decode(struct code *code, uint64_t vaddr)
{
	const struct code_segment *segment = segment_at(code, vaddr);
	const uint8_t *bytes;
	uint64_t at = vaddr;
	size_t left;

	if (!segment)
		return NULL;
	bytes = segment->bytes + (vaddr - segment->vaddr);
	left = segment->size - (vaddr - segment->vaddr);
	return cs_disasm_iter(code->decoder, &bytes, &left, &at, code->insn) ? code->insn : NULL;
}

/*
 * arch/x86/kernel/uprobes.c, branch_setup_xol_ops() and push_setup_xol_ops(), as in
 * Linux 5.x and later.  Longer nops are emulated by the newest kernels only; of those
 * the five-byte one must not be probed at all, for it may become a call.
 */
bool insn_is_emulated(const uint8_t *bytes, size_t length)
{
	if (length == 1)
		return bytes[0] == 0x90 || (bytes[0] & 0xf8) == 0x50; /* nop, push */
	if (length == 2 && bytes[0] == 0x41)
		return (bytes[1] & 0xf8) == 0x50; /* push %r8 to %r15 */
	if (length == 5 && bytes[0] == 0xe8)      /* call */
		return true;
	return insn_jump_target(bytes, length, 1) != 0;
}

uint64_t insn_jump_target(const uint8_t *bytes, size_t length, uint64_t vaddr)
{
	int32_t distance;

	if (length == 2 && (bytes[0] == 0xeb || (bytes[0] & 0xf0) == 0x70))
		return vaddr + 2 + (uint64_t)(int64_t)(int8_t)bytes[1];
	if ((length == 5 && bytes[0] == 0xe9) ||
	    (length == 6 && bytes[0] == 0x0f && (bytes[1] & 0xf0) == 0x80)) {
		memcpy(&distance, bytes + length - 4, sizeof(distance));
		return vaddr + length + (uint64_t)(int64_t)distance;
	}
	return 0;
}

uint64_t insn_jump_place(const cs_insn *insn)
{
	const cs_x86_op *op = &insn->detail->x86.operands[0];

	if ((insn->id != X86_INS_JMP && insn->id != X86_INS_CALL) || op->type != X86_OP_MEM ||
	    op->mem.base != X86_REG_RIP || op->mem.index)
		return 0;
	return insn->address + insn->size + (uint64_t)op->mem.disp;
}

bool insn_ends_line(const cs_insn *insn)
{
	static const uint8_t ends[] = {CS_GRP_JUMP, CS_GRP_CALL, CS_GRP_RET,
				       CS_GRP_INT,  CS_GRP_IRET, CS_GRP_PRIVILEGE};

	for (uint8_t i = 0; i < insn->detail->groups_count; i++) {
		if (memchr(ends, insn->detail->groups[i], sizeof(ends)))
			return true;
	}
	return insn->id == X86_INS_UD2 || insn->id == X86_INS_HLT;
}

int code__find_point(struct code *code, struct probe_point *point)
{
	uint64_t vaddr = point->from, first = 0;

	while (vaddr - point->from < MAX_LINE_BYTES) {
		const cs_insn *insn = code__decode(code, vaddr);

		if (!insn)
			break;
		if (insn_is_emulated(insn->bytes, insn->size)) {
			point->at = vaddr;
			point->emulated = true;
			return 0;
		}
		if (!first && insn->id != X86_INS_ENDBR64 && insn->id != X86_INS_NOP)
			first = vaddr;
		if (insn_ends_line(insn))
			break;
		vaddr += insn->size;
	}
	point->at = first;
	point->emulated = false;
	return first ? 0 : -ENOENT;
}

static void note_jump(struct probe_point *point, uint64_t source, uint64_t target)
{
	if (!target)
		return;
	if (target == point->from)
		point->entries++;
	if (target <= point->from || target > point->at)
		return;
	if (!point->landing || target < point->landing)
		point->landing = target;
	if (point->landings < POINT_LANDERS)
		point->landers[point->landings] = source;
	point->landings++;
}

/*
 * Jumps with a 32-bit distance can come from anywhere, but bytes that only look
 * like one hardly ever hit so small a place: no need to decode.
 */
static void find_long_jumps(const struct code_segment *segment, struct probe_point *points,
			    size_t count, uint64_t lowest, uint64_t highest)
{
	for (uint64_t i = 0; i + 6 <= segment->size; i++) {
		const uint8_t *bytes = segment->bytes + i;
		size_t length;
		uint64_t target;

		if (bytes[0] == 0xe9)
			length = 5;
		else if (bytes[0] == 0x0f && (bytes[1] & 0xf0) == 0x80)
			length = 6;
		else
			continue;
		target = insn_jump_target(bytes, length, segment->vaddr + i);
		if (target < lowest || target > highest)
			continue;
		for (size_t p = 0; p < count; p++)
			note_jump(&points[p], segment->vaddr + i, target);
	}
}

/* Jumps with an 8-bit distance are near, and must be told from chance: decode. */
static void find_short_jumps(struct code *code, struct probe_point *point)
{
	const struct code_segment *segment = segment_at(code, point->from);
	uint64_t before = SHORT_JUMP_REACH + RESYNC_BYTES, vaddr = point->from;

	if (!segment)
		return;
	vaddr -= vaddr - segment->vaddr < before ? vaddr - segment->vaddr : before;
	while (vaddr < point->at + SHORT_JUMP_REACH) {
		const cs_insn *insn = code__decode(code, vaddr);
		uint64_t next = vaddr + (insn ? insn->size : 1);

		if (insn && insn->size == 2)
			note_jump(point, vaddr, insn_jump_target(insn->bytes, 2, vaddr));
		/* `from` is known to begin an instruction */
		vaddr = vaddr < point->from && next > point->from ? point->from : next;
		if (!code__holds(code, vaddr))
			break;
	}
}

void code__find_jumps(struct code *code, struct probe_point *points, size_t count)
{
	uint64_t lowest = UINT64_MAX, highest = 0;

	for (size_t i = 0; i < count; i++) {
		points[i].entries = 0;
		points[i].landing = 0;
		points[i].landings = 0;
		lowest = points[i].from < lowest ? points[i].from : lowest;
		highest = points[i].at > highest ? points[i].at : highest;
		find_short_jumps(code, &points[i]);
	}
	for (size_t i = 0; i < code->count; i++)
		find_long_jumps(&code->segments[i], points, count, lowest, highest);
}
