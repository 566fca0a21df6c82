/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The probe site for generators entered by throw() and close().  These begin
 * with no opcode: _PyEval_EvalFrameDefault(tstate, frame, throwflag) tests its
 * third argument, %edx, in its prologue and goes elsewhere if it is set
 * (Python/ceval.c, 3.11 on).  So follow that register from the function's first
 * instruction to the test, along every path, and probe where only throws go.
 */
#include "sites.h"
#include "value.h"

#include <errno.h>
#include <string.h>

#define MAX_STEPS 1024
#define MAX_PATHS 48
#define MAX_TESTS 8
#define MAX_POINTS 4
#define FLAG_BYTES 4

/* Where the flag is at a point of the code. */
struct holders {
	struct value value;
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

/* Does the operand read the whole flag? It is an int: 4 bytes. */
static bool holds_flag(const struct holders *h, const cs_x86_op *op)
{
	return op->size == FLAG_BYTES && value_is_in(&h->value, op);
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

		if (!insn || (value_is_lost(&h.value) && !h.tested))
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
		else if (value_step(&h.value, code__decoder(search->code), insn, FLAG_BYTES))
			h.tested = false;
		vaddr = next;
	}
	return steps;
}

int sites_add_throw(const struct elf_file *elf, struct code *code, struct build *build)
{
	struct search search = {.code = code};
	struct holders h = {.value.registers = 1u << VALUE_RDX};
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
