/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Following one value through machine code: see value.h. */
#include "value.h"

#define CALLER_SAVED 0x0fc7u /* rax rcx rdx rsi rdi r8-r11 */

/* Each row is one register in its widths. */
int value_register_of(unsigned int reg)
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

/* A stack slot an operand names: base register and displacement, nothing else. */
static bool is_slot(const cs_x86_op *op, unsigned int *base)
{
	int found;

	if (op->type != X86_OP_MEM || op->mem.index || op->mem.segment)
		return false;
	found = value_register_of(op->mem.base);
	*base = (unsigned int)found + 1;
	return found == VALUE_RSP || found == VALUE_RBP;
}

static int slot_index(const struct value *value, const cs_x86_op *op)
{
	unsigned int base;

	if (!is_slot(op, &base))
		return -1;
	for (int i = 0; i < VALUE_SLOTS; i++) {
		if (value->slots[i].base == base && value->slots[i].displacement == op->mem.disp)
			return i;
	}
	return -1;
}

bool value_is_lost(const struct value *value)
{
	for (int i = 0; i < VALUE_SLOTS; i++) {
		if (value->slots[i].base)
			return false;
	}
	return !value->registers;
}

bool value_is_in(const struct value *value, const cs_x86_op *op)
{
	int reg;

	if (op->type == X86_OP_MEM)
		return slot_index(value, op) >= 0;
	reg = op->type == X86_OP_REG ? value_register_of(op->reg) : -1;
	return reg >= 0 && value->registers & 1u << reg;
}

/* Returns whether the flags are written. */
static bool forget_written(struct value *value, csh decoder, const cs_insn *insn)
{
	bool flags = false;
	cs_regs read, written;
	uint8_t reads, writes;

	if (cs_regs_access(decoder, insn, read, &reads, written, &writes)) {
		*value = (struct value){0};
		return true;
	}
	for (uint8_t i = 0; i < writes; i++) {
		int reg = value_register_of(written[i]);

		flags |= written[i] == X86_REG_EFLAGS;
		if (reg < 0)
			continue;
		value->registers &= ~(1u << reg);
		for (int s = 0; s < VALUE_SLOTS; s++) {
			if (value->slots[s].base == (unsigned int)reg + 1)
				value->slots[s].base = 0;
		}
	}
	for (uint8_t i = 0; i < insn->detail->x86.op_count; i++) {
		const cs_x86_op *op = &insn->detail->x86.operands[i];
		int slot = op->access & CS_AC_WRITE ? slot_index(value, op) : -1;

		if (slot >= 0)
			value->slots[slot].base = 0;
	}
	return flags;
}

bool value_step(struct value *value, csh decoder, const cs_insn *insn, unsigned int bytes)
{
	const cs_x86 *x86 = &insn->detail->x86;
	bool copies = insn->id == X86_INS_MOV && x86->op_count == 2 &&
		      x86->operands[0].size == bytes && x86->operands[1].size == bytes &&
		      value_is_in(value, &x86->operands[1]);
	unsigned int base;
	bool flags;
	int reg;

	if (cs_insn_group(decoder, insn, CS_GRP_CALL)) {
		value->registers &= ~CALLER_SAVED;
		return true;
	}
	flags = forget_written(value, decoder, insn);
	if (!copies)
		return flags;
	if (x86->operands[0].type == X86_OP_REG) {
		reg = value_register_of(x86->operands[0].reg);
		if (reg >= 0)
			value->registers |= 1u << reg;
		return flags;
	}
	for (int i = 0; i < VALUE_SLOTS && is_slot(&x86->operands[0], &base); i++) {
		if (!value->slots[i].base) {
			value->slots[i].base = base;
			value->slots[i].displacement = x86->operands[0].mem.disp;
			break;
		}
	}
	return flags;
}
