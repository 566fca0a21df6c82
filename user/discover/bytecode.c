/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* See bytecode.h. */
#include "bytecode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "tables.h"

#define UNIT_BYTES 2
#define BYTECODE_MAX (1u << 20)
#define TABLE_MAX (1u << 18)

static const struct py_opcode *opcode_of(const struct py_opcodes *opcodes, uint8_t op)
{
	for (unsigned int i = 0; i < opcodes->count; i++)
		if (opcodes->ops[i].op == op)
			return &opcodes->ops[i];
	return NULL;
}

static int refuse(const char **why, const char *reason)
{
	*why = reason;
	return -ENOTSUP;
}

int code_places_find(const struct py_opcodes *opcodes, bool units_have_caches,
		     const uint8_t *bytecode, uint32_t size, struct code_places *out,
		     const char **why)
{
	bool made = false, begun = false;

	out->size = size;
	out->entry = 0;
	out->return_count = 0;
	out->generator = false;
	for (uint32_t at = 0; at + UNIT_BYTES <= size; at += UNIT_BYTES) {
		uint8_t op = bytecode[at];
		const struct py_opcode *known = opcode_of(opcodes, op);
		unsigned int caches = units_have_caches ? opcodes->caches[op] : 0;

		if (caches == PY_CACHES_UNKNOWN)
			return refuse(why,
				      "its bytecode is instrumented line by line, or compiled");
		switch (known ? known->event : 0) {
		case PY_OP_GENERATOR:
			made = out->generator = true;
			break;
		case PY_OP_START:
			if (made && !begun)
				out->entry = at;
			begun = true;
			break;
		case PY_OP_YIELD:
			out->generator = true;
			break;
		case PY_OP_RETURN:
			if (out->return_count == CODE_RETURNS_MAX)
				return refuse(why, "it returns in too many places");
			out->returns[out->return_count++] = at;
			break;
		}
		at += caches * UNIT_BYTES;
	}
	return 0;
}

/* One number of an exception table; past its end, or too large: false. */
static bool table_number(const uint8_t **at, const uint8_t *end, uint32_t *value)
{
	uint8_t byte;

	*value = 0;
	do {
		if (*at == end || *value >> 24)
			return false;
		byte = *(*at)++;
		*value = *value << 6 | (byte & 63);
	} while (byte & 64);
	return true;
}

static void handled_everywhere(struct code_places *places)
{
	places->handled[0] = (struct watch_range){0, places->size};
	places->handled_count = 1;
}

void code_places_handled(const uint8_t *table, size_t size, struct code_places *places)
{
	const uint8_t *at = table, *end = table + size;

	places->handled_count = 0;
	while (at < end) {
		uint32_t start, length, target, depth;
		struct watch_range range, *last;

		if (!table_number(&at, end, &start) || !table_number(&at, end, &length) ||
		    !table_number(&at, end, &target) || !table_number(&at, end, &depth))
			return handled_everywhere(places);
		/*
		 * A generator's last two units make a RuntimeError of StopIteration, and raise all
		 * else again (3.12+: Python/compile.c, wrap_in_stopiteration_handler)
		 */
		if (places->generator && (target + 2) * UNIT_BYTES == places->size)
			continue;
		range = (struct watch_range){start * UNIT_BYTES, (start + length) * UNIT_BYTES};
		last = places->handled_count ? &places->handled[places->handled_count - 1] : NULL;
		if (last && last->to == range.from)
			last->to = range.to;
		else if (places->handled_count == WATCH_RANGES)
			return handled_everywhere(places);
		else
			places->handled[places->handled_count++] = range;
	}
}

/* A bytes object of at most `most` bytes; the caller frees it.  0, -EFAULT, or -ENOTSUP. */
static int read_bytes(pid_t tgid, const struct py_layout *l, uint64_t object, uint64_t most,
		      uint8_t **out, uint64_t *size)
{
	int err = memory_read_u64(tgid, object + l->bytes_size, size);

	if (err || *size > most)
		return err ? -EFAULT : -ENOTSUP;
	*out = malloc(*size + 1);
	if (!*out)
		return -ENOMEM;
	err = memory_read(tgid, object + l->bytes_data, *out, *size);
	if (!err)
		return 0;
	free(*out);
	return -EFAULT;
}

/* The bytecode: in the code object itself from 3.11 on, else in a bytes object. */
static int read_bytecode(pid_t tgid, const struct py_layout *l, uint64_t code,
			 struct code_places *out, uint8_t **bytecode)
{
	uint64_t object, size;
	int err;

	out->units = code + l->code_units;
	if (l->lasti_unit) {
		err = memory_read_u64(tgid, out->units, &object);
		out->units = object + l->bytes_data;
		err = err ? -EFAULT : read_bytes(tgid, l, object, BYTECODE_MAX, bytecode, &size);
		out->size = err ? 0 : (uint32_t)size;
		return err;
	}
	/* a PyVarObject as bytes are: how many units it has */
	if (memory_read_u64(tgid, code + l->bytes_size, &size))
		return -EFAULT;
	if (size > BYTECODE_MAX / UNIT_BYTES)
		return -ENOTSUP;
	out->size = (uint32_t)size * UNIT_BYTES;
	*bytecode = malloc(out->size + 1);
	if (!*bytecode)
		return -ENOMEM;
	if (!memory_read(tgid, out->units, *bytecode, out->size))
		return 0;
	free(*bytecode);
	return -EFAULT;
}

int code_places_read(pid_t tgid, const struct build *build, uint64_t code, struct code_places *out,
		     const char **why)
{
	const struct py_layout *l = &build->layout;
	uint8_t *bytecode, *table;
	uint64_t object, size;
	int err;

	*out = (struct code_places){.code = code, .raised = code + build->code_exceptions};
	if (!build->layout_known || !build->opcodes)
		return refuse(why, "its layout is unknown");
	if (l->code_tlbc != LAYOUT_ABSENT)
		return refuse(why, "each thread has its own copy of the bytecode");
	err = read_bytecode(tgid, l, code, out, &bytecode);
	if (err)
		return err == -ENOTSUP ? refuse(why, "it is too large") : err;
	err = code_places_find(build->opcodes, !l->lasti_unit, bytecode, out->size, out, why);
	free(bytecode);
	if (err)
		return err;
	if (l->lasti_unit) {
		handled_everywhere(out); /* what has a handler is on the frame's block stack */
		return 0;
	}
	if (memory_read_u64(tgid, out->raised, &object) ||
	    read_bytes(tgid, l, object, TABLE_MAX, &table, &size))
		return -EFAULT;
	code_places_handled(table, size, out);
	free(table);
	return 0;
}
