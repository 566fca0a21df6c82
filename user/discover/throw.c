/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The probe site for generators entered by throw() and close().  These begin
 * with no opcode: _PyEval_EvalFrameDefault(tstate, frame, throwflag) tests its
 * third argument, %edx, in its prologue and goes elsewhere if it is set
 * (Python/ceval.c, 3.11 on).  So follow that register from the function's first
 * instruction to the test, along every path, and probe where only throws go.
 */
#include "sites.h"

#include <errno.h>
#include <string.h>

#define MAX_STEPS 1024
#define MAX_PATHS 48
#define MAX_TESTS 8
#define MAX_POINTS 4
#define MAX_SLOTS 2

/* Where the flag is at a point of the code. */
struct holders {
	uint32_t registers; /* bit: index of family() */
	struct {
		unsigned int base; /* index + 1; 0: unused */
		int64_t displacement;
	} slots[MAX_SLOTS];
	bool tested; /* the processor's flags are those of its test */
};

struct search {
	struct code *code;
	struct {
		uint64_t vaddr;
		struct holders holders;
	} paths[MAX_PATHS]; /* in the order found: the nearest to the prologue first */
	size_t path_count;
	uint64_t tests[MAX_TESTS]; /* jumps that depend on the flag */
	size_t test_count;
	struct probe_point points[MAX_POINTS];
	unsigned int jumps[MAX_POINTS]; /* to the point, by tests of the flag */
	size_t point_count;
	bool too_many;
};

/* General registers by family: each row is one register in its widths. */
static int family(unsigned int reg)
{
	static const uint16_t families[16][5] = {
		{X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL, X86_REG_AH},
		{X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_CH},
		{X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH},
		{X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL, X86_REG_BH},
		{X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL, 0},
		{X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL, 0},
		{X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL, 0},
		{X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL, 0},
		{X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B, 0},
		{X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B, 0},
		{X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B, 0},
		{X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B, 0},
		{X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B, 0},
		{X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B, 0},
		{X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B, 0},
		{X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B, 0},
	};

	for (int i = 0; reg && i < 16; i++) {
		for (int j = 0; j < 5; j++) {
			if (families[i][j] == reg)
				return i;
		}
	}
	return -1;
}

#define FAMILY_RDX 2
#define CALLER_SAVED 0x0fc7u /* rax rcx rdx rsi rdi r8-r11 */

/* A stack slot an operand names: base register and displacement, nothing else. */
static bool is_slot(const cs_x86_op *op, unsigned int *base)
{
	int found;

	if (op->type != X86_OP_MEM || op->mem.index || op->mem.segment)
		return false;
	found = family(op->mem.base);
	*base = (unsigned int)found + 1;
	return found == 4 || found == 5; /* rsp, rbp */
}

static int slot_index(const struct holders *h, const cs_x86_op *op)
{
	unsigned int base;

	if (!is_slot(op, &base))
		return -1;
	for (int i = 0; i < MAX_SLOTS; i++) {
		if (h->slots[i].base == base && h->slots[i].displacement == op->mem.disp)
			return i;
	}
	return -1;
}

/* Does the operand read the whole flag? It is an int: 4 bytes. */
static bool holds_flag(const struct holders *h, const cs_x86_op *op)
{
	int reg;

	if (op->size != 4)
		return false;
	if (op->type == X86_OP_MEM)
		return slot_index(h, op) >= 0;
	reg = op->type == X86_OP_REG ? family(op->reg) : -1;
	return reg >= 0 && h->registers & 1u << reg;
}

/* test %r,%r or cmp $0,%r on the flag */
static bool tests_flag(const struct holders *h, const cs_insn *insn)
{
	const cs_x86 *x86 = &insn->detail->x86;

	if (x86->op_count != 2 || !holds_flag(h, &x86->operands[0]))
		return false;
	if (insn->id == X86_INS_TEST)
		return x86->operands[0].type == X86_OP_REG && x86->operands[1].type == X86_OP_REG &&
		       x86->operands[0].reg == x86->operands[1].reg;
	return insn->id == X86_INS_CMP && x86->operands[1].type == X86_OP_IMM &&
	       x86->operands[1].imm == 0;
}

static void forget_written(struct search *search, struct holders *h, const cs_insn *insn)
{
	cs_regs read, written;
	uint8_t reads, writes;

	if (cs_regs_access(code__decoder(search->code), insn, read, &reads, written, &writes)) {
		*h = (struct holders){0};
		return;
	}
	for (uint8_t i = 0; i < writes; i++) {
		int reg = family(written[i]);

		if (written[i] == X86_REG_EFLAGS)
			h->tested = false;
		if (reg < 0)
			continue;
		h->registers &= ~(1u << reg);
		for (int s = 0; s < MAX_SLOTS; s++) {
			if (h->slots[s].base == (unsigned int)reg + 1)
				h->slots[s].base = 0;
		}
	}
	for (uint8_t i = 0; i < insn->detail->x86.op_count; i++) {
		const cs_x86_op *op = &insn->detail->x86.operands[i];
		int slot = op->access & CS_AC_WRITE ? slot_index(h, op) : -1;

		if (slot >= 0)
			h->slots[slot].base = 0;
	}
}

/* What an instruction that neither jumps nor tests does to the flag's whereabouts. */
static void step(struct search *search, struct holders *h, const cs_insn *insn)
{
	const cs_x86 *x86 = &insn->detail->x86;
	bool copies = insn->id == X86_INS_MOV && x86->op_count == 2 &&
		      holds_flag(h, &x86->operands[1]) && x86->operands[0].size == 4;
	unsigned int base;
	int reg;

	if (cs_insn_group(code__decoder(search->code), insn, CS_GRP_CALL)) {
		h->registers &= ~CALLER_SAVED;
		h->tested = false;
		return;
	}
	forget_written(search, h, insn);
	if (!copies)
		return;
	if (x86->operands[0].type == X86_OP_REG) {
		reg = family(x86->operands[0].reg);
		if (reg >= 0)
			h->registers |= 1u << reg;
		return;
	}
	for (int i = 0; i < MAX_SLOTS && is_slot(&x86->operands[0], &base); i++) {
		if (!h->slots[i].base) {
			h->slots[i].base = base;
			h->slots[i].displacement = x86->operands[0].mem.disp;
			break;
		}
	}
}

static void add_path(struct search *search, uint64_t vaddr, const struct holders *h)
{
	for (size_t i = 0; i < search->path_count; i++) {
		if (search->paths[i].vaddr == vaddr)
			return;
	}
	if (search->path_count == MAX_PATHS)
		return; /* far from the prologue by now */
	search->paths[search->path_count].vaddr = vaddr;
	search->paths[search->path_count++].holders = *h;
}

/* At `test`, a conditional jump, throws go to `vaddr`: the jump's target or what follows it. */
static void add_point(struct search *search, uint64_t test, uint64_t vaddr, bool by_jump)
{
	const cs_insn *insn = code__decode(search->code, vaddr);
	size_t i = 0;

	while (i < search->test_count && search->tests[i] != test)
		i++;
	if (i < search->test_count)
		return;
	if (i == MAX_TESTS) {
		search->too_many = true;
		return;
	}
	search->tests[search->test_count++] = test;
	/* nothing but a jump on to where others go, too */
	if (insn && insn->id == X86_INS_JMP && insn_jump_target(insn->bytes, insn->size, vaddr)) {
		vaddr = insn_jump_target(insn->bytes, insn->size, vaddr);
		by_jump = true;
	}
	i = 0;
	while (i < search->point_count && search->points[i].from != vaddr)
		i++;
	if (i == MAX_POINTS) {
		search->too_many = true;
		return;
	}
	search->points[i].from = vaddr;
	search->jumps[i] += by_jump;
	search->point_count += i == search->point_count;
}

/* Follow one path until it ends or splits.  Returns the steps taken. */
static unsigned int follow(struct search *search, uint64_t vaddr, struct holders h,
			   unsigned int budget)
{
	unsigned int steps;

	for (steps = 0; steps < budget; steps++) {
		const cs_insn *insn = code__decode(search->code, vaddr);
		uint64_t next, target;

		if (!insn || (!h.registers && !h.slots[0].base && !h.slots[1].base && !h.tested))
			break;
		next = vaddr + insn->size;
		target = insn_jump_target(insn->bytes, insn->size, vaddr);
		if (h.tested && (insn->id == X86_INS_JNE || insn->id == X86_INS_JE)) {
			bool set = insn->id == X86_INS_JNE;

			add_point(search, vaddr, set ? target : next, set);
			break;
		}
		if (target && insn->id != X86_INS_JMP) {
			add_path(search, target, &h);
			vaddr = next;
			continue;
		}
		if (target) {
			add_path(search, target, &h);
			break;
		}
		if (insn_ends_line(insn) &&
		    !cs_insn_group(code__decoder(search->code), insn, CS_GRP_CALL))
			break;
		if (tests_flag(&h, insn))
			h.tested = true;
		else
			step(search, &h, insn);
		vaddr = next;
	}
	return steps;
}

int sites_add_throw(const struct elf_file *elf, struct code *code, struct build *build)
{
	struct search search = {.code = code};
	struct holders h = {.registers = 1u << FAMILY_RDX};
	size_t before = build->site_count;
	struct elf_symbol symbol;
	unsigned int steps = 0;
	int err;

	err = elf_file__symbol(elf, "_PyEval_EvalFrameDefault", &symbol);
	if (err)
		return err;
	add_path(&search, symbol.vaddr, &h);
	for (size_t i = 0; i < search.path_count && steps < MAX_STEPS; i++)
		steps += 1 + follow(&search, search.paths[i].vaddr, search.paths[i].holders,
				    MAX_STEPS - steps);
	if (search.too_many || !search.point_count)
		return -ENOENT;
	for (size_t i = 0; i < search.point_count; i++) {
		if (code__find_point(code, &search.points[i]))
			return -ENOENT;
	}
	code__find_jumps(code, search.points, search.point_count);
	for (size_t i = 0; i < search.point_count; i++) {
		/* others come here too: no way to tell them apart */
		if (search.points[i].landing || search.points[i].entries != search.jumps[i]) {
			build->site_count = before;
			return -ENOENT;
		}
		err = sites_add(elf, build, site_at(&search.points[i], SITE_THROW));
		if (err)
			return err;
	}
	return 0;
}
