/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Following one value through machine code: the registers and stack slots that hold it. */
#ifndef PYTRACE_DISCOVER_VALUE_H
#define PYTRACE_DISCOVER_VALUE_H

#include <capstone/capstone.h>
#include <stdbool.h>
#include <stdint.h>

#define VALUE_SLOTS 2

/* The general registers, by the number that encodes them. */
enum value_register {
	VALUE_RDX = 2,
	VALUE_RSP = 4,
	VALUE_RBP = 5,
	VALUE_RSI = 6,
	VALUE_RDI = 7,
};

/* Where the value is at a point of the code. */
struct value {
	uint32_t registers; /* bit: value_register_of() */
	struct {
		unsigned int base; /* register + 1; 0: unused */
		int64_t displacement;
	} slots[VALUE_SLOTS];
};

/* The general register that `reg`, of whatever width, is a part of; -1: none. */
int value_register_of(unsigned int reg);

/* Is the value nowhere? */
bool value_is_lost(const struct value *value);

/* Does the operand read it from where it is? */
bool value_is_in(const struct value *value, const cs_x86_op *op);

/*
 * What an instruction does to the whereabouts of a value of `bytes`.  Returns
 * whether it changes the processor's flags.
 */
bool value_step(struct value *value, csh decoder, const cs_insn *insn, unsigned int bytes);

#endif
