/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Probe sites for versions up to 3.10 without tracepoints.  There
 * _PyEval_EvalFrameDefault runs once for each call and each resumption, throw()
 * included.  It makes its frame the thread's current one once the recursion limit is
 * checked and before profilers are told (tstate->frame = f), and every way out makes
 * that the caller's again (exit_eval_frame: tstate->frame = f->f_back; Python/ceval.c
 * of 3.8, 3.9 and 3.10).  So the probes go behind these two stores.
 *
 * The stores are found by following the code, and believed only if what can be
 * followed agrees: no way from the beginning into the interpreter's loop or to an exit
 * but past the first, none from an opcode handler to a return but past
 * the second, and from there none back into the loop.
 */
#include "sites.h"
#include "value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INSNS (1u << 16) /* the function has about 9000, unoptimised some 20000 */
#define MAX_FUNCTION_BYTES (1u << 20)
#define MAX_PENDING 8192
#define MAX_PLACES 8
#define MAX_RETURNS 32
#define MAX_NO_RETURN 32
#define MAX_HANDLERS 256
#define POINTER 8
#define CALLEE_SAVED 0xf028u /* rbx rbp r12-r15 */
#define SEEN (MAX_INSNS * 2) /* a power of two; half full at most */

/* The stores looked for, and instructions to stop at. */
struct places {
	uint64_t at[MAX_PLACES];
	size_t count;
};

static bool is_among(const uint64_t *list, size_t count, uint64_t value)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i] == value)
			return true;
	}
	return false;
}

struct eval {
	struct code *code;
	const struct py_layout *layout;
	uint64_t start, end;               /* of the function's main part */
	uint64_t no_return[MAX_NO_RETURN]; /* functions that do not, or where their address is */
	size_t no_return_count;
	uint64_t returns[MAX_RETURNS]; /* those accounted for */
	size_t return_count;
	uint64_t handlers[MAX_HANDLERS];
	size_t handler_count;
};

/* Which stores into a thread state's `frame` a walk notes. */
enum looking_for {
	NOTHING,
	STORE_OF_FRAME,  /* of the function's argument */
	STORE_OF_CALLER, /* of what was loaded from a frame's f_back */
};

/* One walk over all code that can be reached. */
struct walk {
	struct eval *eval;
	enum looking_for what;
	const struct places *stops[2]; /* where it does not go on; NULL: none */
	uint64_t seen[SEEN];           /* a hash set of the instructions visited */
	size_t seen_count;
	struct {
		uint64_t vaddr;
		struct value value;
	} pending[MAX_PENDING];
	size_t pending_count;
	/* what it met */
	struct places stores;
	unsigned int stopped[2]; /* by which of the stops */
	bool returned;
	bool computed; /* a jump to an address that is computed: the dispatch of an opcode */
	bool too_far;
};

/* Is it new? */
static bool see(struct walk *walk, uint64_t vaddr)
{
	size_t i = (vaddr * 0x9e3779b97f4a7c15ull) >> 40 & (SEEN - 1);

	while (walk->seen[i] && walk->seen[i] != vaddr)
		i = (i + 1) & (SEEN - 1);
	if (walk->seen[i])
		return false;
	if (walk->seen_count == MAX_INSNS) {
		walk->too_far = true;
		return false;
	}
	walk->seen[i] = vaddr;
	walk->seen_count++;
	return true;
}

static void go_to(struct walk *walk, uint64_t vaddr, const struct value *value)
{
	if (walk->pending_count == MAX_PENDING) {
		walk->too_far = true;
		return;
	}
	walk->pending[walk->pending_count].vaddr = vaddr;
	walk->pending[walk->pending_count++].value = *value;
}

/* A field of some struct, by a register that points to it; not of the stack. */
static bool is_field(const cs_x86_op *op, uint32_t offset)
{
	int base = op->type == X86_OP_MEM ? value_register_of(op->mem.base) : -1;

	return base >= 0 && base != VALUE_RSP && !op->mem.index && !op->mem.segment &&
	       op->mem.disp == offset && op->size == POINTER;
}

static bool is_move(const cs_insn *insn)
{
	return insn->id == X86_INS_MOV && insn->detail->x86.op_count == 2;
}

/* Note what an instruction stores.  Returns false if the walk has come to its end by that. */
static bool look(struct walk *walk, const struct value *value, const cs_insn *insn)
{
	const cs_x86_op *ops = insn->detail->x86.operands;

	if (walk->what == NOTHING || !is_move(insn) ||
	    !is_field(&ops[0], walk->eval->layout->ts_frame) || ops[1].type != X86_OP_REG ||
	    !value_is_in(value, &ops[1]))
		return true;
	if (walk->stores.count == MAX_PLACES)
		walk->too_far = true;
	else
		walk->stores.at[walk->stores.count++] = insn->address;
	return walk->what != STORE_OF_FRAME;
}

static void step(struct walk *walk, struct value *value, const cs_insn *insn)
{
	const cs_x86_op *ops = insn->detail->x86.operands;
	bool loads = walk->what == STORE_OF_CALLER && is_move(insn) && ops[0].type == X86_OP_REG &&
		     is_field(&ops[1], walk->eval->layout->frame_previous);

	if (walk->what == NOTHING)
		return;
	if (walk->what == STORE_OF_FRAME || loads || !value_is_lost(value))
		value_step(value, code__decoder(walk->eval->code), insn, POINTER);
	if (loads)
		value->registers |= 1u << value_register_of(ops[0].reg);
}

/* Does a call or jump lead where nothing comes back from?  By way of the PLT, too. */
static bool never_returns(struct eval *eval, const cs_insn *insn)
{
	uint64_t target = insn_jump_place(insn);

	if (target)
		return is_among(eval->no_return, eval->no_return_count, target);
	if (insn->detail->x86.operands[0].type != X86_OP_IMM)
		return false;
	target = (uint64_t)insn->detail->x86.operands[0].imm;
	if (is_among(eval->no_return, eval->no_return_count, target))
		return true;
	insn = code__decode(eval->code, target);
	if (insn && insn->id == X86_INS_ENDBR64)
		insn = code__decode(eval->code, target + insn->size);
	target = insn ? insn_jump_place(insn) : 0;
	return target && is_among(eval->no_return, eval->no_return_count, target);
}

static void note_return(struct walk *walk, uint64_t vaddr)
{
	struct eval *eval = walk->eval;

	walk->returned = true;
	if (is_among(eval->returns, eval->return_count, vaddr))
		return;
	if (eval->return_count == MAX_RETURNS)
		walk->too_far = true;
	else
		eval->returns[eval->return_count++] = vaddr;
}

/* A jump that is not direct: to a function elsewhere, or to an address that was computed. */
static void leave_line(struct walk *walk, const cs_insn *insn)
{
	uint64_t vaddr = insn->address;

	if (!insn_jump_place(insn))
		walk->computed = true;
	else if (!never_returns(walk->eval, insn))
		note_return(walk, vaddr);
}

static bool stops_at(struct walk *walk, uint64_t vaddr)
{
	for (int i = 0; i < 2; i++) {
		const struct places *stops = walk->stops[i];

		if (stops && is_among(stops->at, stops->count, vaddr)) {
			walk->stopped[i]++;
			return true;
		}
	}
	return false;
}

/* Gives a register back what its caller had in it?  (Arguments are popped into others.) */
static bool restores_register(const cs_insn *insn)
{
	int reg =
		insn->id == X86_INS_POP ? value_register_of(insn->detail->x86.operands[0].reg) : -1;

	return insn->id == X86_INS_LEAVE || (reg >= 0 && CALLEE_SAVED & 1u << reg);
}

/* Follow the code from one place until it ends; what it jumps to is for later. */
static void follow(struct walk *walk, uint64_t vaddr, struct value value)
{
	csh decoder = code__decoder(walk->eval->code);
	bool restored = false;

	while (!walk->too_far && !stops_at(walk, vaddr) && see(walk, vaddr)) {
		const cs_insn *insn = code__decode(walk->eval->code, vaddr);
		bool calls = insn && cs_insn_group(decoder, insn, CS_GRP_CALL);
		uint64_t next, target;

		if (!insn || (walk->what == STORE_OF_FRAME && value_is_lost(&value)))
			return;
		next = vaddr + insn->size;
		target = insn_jump_target(insn->bytes, insn->size, vaddr);
		if (!look(walk, &value, insn))
			return;
		/* a jump with the registers restored calls another function and returns */
		if (cs_insn_group(decoder, insn, CS_GRP_RET) ||
		    (restored && insn->id == X86_INS_JMP)) {
			note_return(walk, vaddr);
			return;
		}
		restored = restores_register(insn);
		if (insn->id == X86_INS_JMP) {
			if (target)
				go_to(walk, target, &value);
			else
				leave_line(walk, insn);
			return;
		}
		if (target) {
			go_to(walk, target, &value);
		} else if (!calls && insn_ends_line(insn)) {
			walk->computed |= cs_insn_group(decoder, insn, CS_GRP_JUMP);
			return;
		} else {
			step(walk, &value, insn);
		}
		if (calls && never_returns(walk->eval, insn))
			return;
		vaddr = next;
	}
}

static void walk_begin(struct walk *walk, struct eval *eval, enum looking_for what)
{
	memset(walk, 0, sizeof(*walk));
	walk->eval = eval;
	walk->what = what;
}

static void walk_go(struct walk *walk)
{
	while (walk->pending_count && !walk->too_far) {
		walk->pending_count--;
		follow(walk, walk->pending[walk->pending_count].vaddr,
		       walk->pending[walk->pending_count].value);
	}
}

static void walk_from(struct walk *walk, const uint64_t *from, size_t count)
{
	const struct value nothing = {0};

	for (size_t i = 0; i < count; i++)
		go_to(walk, from[i], &nothing);
	walk_go(walk);
}

/*
 * The probe behind each store: nothing may come there but from it.  Its
 * address takes the store's place.
 */
static int probe_behind(struct eval *eval, struct places *stores, struct probe_point *points)
{
	for (size_t i = 0; i < stores->count; i++) {
		const cs_insn *insn = code__decode(eval->code, stores->at[i]);

		points[i] = (struct probe_point){.from = stores->at[i] + (insn ? insn->size : 0)};
		if (!insn || code__find_point(eval->code, &points[i]))
			return -ENOENT;
		stores->at[i] = points[i].at;
	}
	code__find_jumps(eval->code, points, stores->count);
	for (size_t i = 0; i < stores->count; i++) {
		if (points[i].entries || points[i].landing)
			return -ENOENT;
	}
	return 0;
}

/* Where the frame that is the function's argument becomes the current one. */
static void find_entries(struct walk *walk, struct eval *eval, unsigned int argument,
			 struct places *out)
{
	const struct value frame = {.registers = 1u << (argument ? VALUE_RSI : VALUE_RDI)};

	walk_begin(walk, eval, STORE_OF_FRAME);
	go_to(walk, eval->start, &frame);
	walk_go(walk);
	*out = walk->stores;
}

/* Does every way from the store on return, without going back to the loop or to a store again? */
static bool is_leaving(struct walk *walk, struct eval *eval, uint64_t store)
{
	size_t before = eval->return_count;

	walk_begin(walk, eval, STORE_OF_CALLER);
	walk_from(walk, &store, 1);
	if (walk->returned && !walk->computed && !walk->stores.count && !walk->too_far)
		return true;
	eval->return_count = before;
	return false;
}

/* Where a frame's caller becomes the current one for good. */
static void find_exits(struct walk *walk, struct eval *eval, struct places *out)
{
	struct places found;
	size_t before = eval->return_count;

	walk_begin(walk, eval, STORE_OF_CALLER);
	walk_from(walk, eval->handlers, eval->handler_count);
	eval->return_count = before;
	found = walk->stores;
	out->count = 0;
	for (size_t i = 0; i < found.count; i++) {
		if (is_leaving(walk, eval, found.at[i]))
			out->at[out->count++] = found.at[i];
	}
}

/* Is each return of the function's main part one we know the way to? */
static bool returns_known(const struct eval *eval)
{
	uint64_t vaddr = eval->start;

	while (vaddr < eval->end) {
		const cs_insn *insn = code__decode(eval->code, vaddr);

		if (!insn) {
			vaddr++;
			continue;
		}
		if (cs_insn_group(code__decoder(eval->code), insn, CS_GRP_RET) &&
		    !is_among(eval->returns, eval->return_count, vaddr))
			return false;
		vaddr += insn->size;
	}
	return true;
}

/* Do the probes see each frame begin and leave, and nothing else?  NULL, or what is wrong. */
static const char *verify(struct walk *walk, struct eval *eval, const struct places *entries,
			  const struct places *exits)
{
	size_t before;

	walk_begin(walk, eval, NOTHING);
	walk->stops[0] = entries;
	walk->stops[1] = exits;
	walk_from(walk, &eval->start, 1);
	if (walk->too_far || walk->computed || walk->stopped[1])
		return "there is a way into the interpreter's loop that was not understood";
	if (!returns_known(eval))
		return "there is a return from the interpreter's loop that was not understood";
	before = eval->return_count;
	walk_begin(walk, eval, NOTHING);
	walk->stops[0] = exits;
	walk_from(walk, eval->handlers, eval->handler_count);
	walk_from(walk, entries->at, entries->count);
	eval->return_count = before;
	if (walk->too_far || walk->returned)
		return "there is a way out of the interpreter's loop that was not understood";
	return NULL;
}

/* Functions that do not return: what stands behind a call of theirs is not reached from it. */
static void find_no_return(const struct elf_file *elf, struct eval *eval)
{
	static const char *const names[] = {
		"Py_FatalError",
		"_Py_FatalErrorFunc",
		"_Py_FatalErrorFormat",
		"_Py_FatalError_TstateNULL",
		"PyThread_exit_thread",
		"abort",
		"exit",
		"__stack_chk_fail",
		"__assert_fail",
	};
	const size_t count = sizeof(names) / sizeof(names[0]);
	struct elf_symbol symbol;

	for (size_t i = 0; i < count; i++) {
		if (!elf_file__symbol(elf, names[i], &symbol))
			eval->no_return[eval->no_return_count++] = symbol.vaddr;
	}
	eval->no_return_count +=
		elf_file__imports(elf, names, count, eval->no_return + eval->no_return_count,
				  MAX_NO_RETURN - eval->no_return_count);
}

/* Finds the places and what may be wrong with them; -ENOENT with *why if anything is. */
static int find_points(struct eval *eval, unsigned int argument, struct probe_point *points,
		       struct places *entries, struct places *exits, const char **why)
{
	struct walk *walk = malloc(sizeof(*walk));
	int err = -ENOENT;

	if (!walk)
		return -ENOMEM;
	*why = "where it makes a frame the current one was not found";
	find_entries(walk, eval, argument, entries);
	if (!entries->count || walk->too_far || probe_behind(eval, entries, points))
		goto cleanup;
	*why = "where it leaves a frame was not found";
	find_exits(walk, eval, exits);
	if (!exits->count || probe_behind(eval, exits, points + entries->count))
		goto cleanup;
	*why = verify(walk, eval, entries, exits);
	if (!*why)
		err = 0;
cleanup:
	free(walk);
	return err;
}

int sites_add_frame_eval(const struct elf_file *elf, struct code *code,
			 const struct py_version_row *row, struct build *build, const char **why)
{
	struct eval eval = {.code = code, .layout = &row->layout};
	struct probe_point points[2 * MAX_PLACES];
	struct places entries = {0}, exits = {0};
	size_t before = build->site_count;
	struct elf_symbol symbol;
	ssize_t handlers;
	int err;

	*why = "its _PyEval_EvalFrameDefault was not found";
	if (row->frame_argument == LAYOUT_ABSENT ||
	    elf_file__symbol(elf, "_PyEval_EvalFrameDefault", &symbol) || !symbol.size ||
	    symbol.size > MAX_FUNCTION_BYTES)
		return -ENOENT;
	eval.start = symbol.vaddr;
	eval.end = symbol.vaddr + symbol.size;
	handlers = sites_handlers(elf, code, row->opcodes, eval.handlers, MAX_HANDLERS);
	*why = "no dispatch table of its version found";
	if (handlers < 0)
		return (int)handlers;
	eval.handler_count = (size_t)handlers;
	find_no_return(elf, &eval);
	err = find_points(&eval, row->frame_argument, points, &entries, &exits, why);
	for (size_t i = 0; !err && i < entries.count + exits.count; i++) {
		err = sites_add(elf, build,
				site_at(&points[i], i < entries.count ? SITE_ENTRY : SITE_LEAVE));
	}
	if (err)
		build->site_count = before;
	return err;
}
