/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lines.h"

#include <errno.h>
#include <stdlib.h>

#include "memory.h"

#define TABLE_LIMIT (1 << 20) /* bytes: what is larger is read no further */
#define UNIT_BYTES 2          /* sizeof(_Py_CODEUNIT) */

struct reader {
	const uint8_t *next, *end;
};

static uint32_t by_notab(struct reader r, int64_t line, int64_t at)
{
	int64_t reached = 0;

	for (; r.end - r.next >= 2; r.next += 2) {
		reached += r.next[0];
		if (reached > at)
			break;
		line += (int8_t)r.next[1];
	}
	return line > 0 ? (uint32_t)line : 0;
}

#define NO_LINE (-128)

static uint32_t by_ranges(struct reader r, int64_t line, int64_t at)
{
	int64_t reached = 0;

	for (; r.end - r.next >= 2; r.next += 2) {
		int8_t step = (int8_t)r.next[1];

		reached += r.next[0];
		if (step != NO_LINE)
			line += step;
		if (reached > at)
			return step != NO_LINE && line > 0 ? (uint32_t)line : 0;
	}
	return 0;
}

/* Six bits a byte, the lowest first; the seventh says that more follow. */
static int64_t read_varint(struct reader *r)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; r->next < r->end && shift < 36; shift += 6) {
		uint8_t byte = *r->next++;

		value |= (uint64_t)(byte & 63) << shift;
		if (!(byte & 64))
			break;
	}
	return (int64_t)value;
}

static int64_t read_signed_varint(struct reader *r)
{
	int64_t value = read_varint(r);

	return value & 1 ? -(value >> 1) : value >> 1;
}

/* Kinds of entries that matter here (Include/cpython/code.h, _PyCodeLocationInfoKind). */
enum location {
	LOCATION_ONE_LINE = 10, /* to 12: by so many lines less 10 on */
	LOCATION_NO_COLUMNS = 13,
	LOCATION_LONG = 14,
	LOCATION_NONE = 15,
};

static uint32_t by_locations(struct reader r, int64_t line, int64_t at)
{
	int64_t reached = 0;

	while (r.next < r.end) {
		uint8_t begin = *r.next++;
		unsigned int kind = begin >> 3 & 15;

		if (kind == LOCATION_NO_COLUMNS || kind == LOCATION_LONG)
			line += read_signed_varint(&r);
		else if (kind >= LOCATION_ONE_LINE && kind < LOCATION_NO_COLUMNS)
			line += kind - LOCATION_ONE_LINE;
		reached += ((begin & 7) + 1) * UNIT_BYTES;
		if (reached > at)
			return kind != LOCATION_NONE && line > 0 ? (uint32_t)line : 0;
		while (r.next < r.end && !(*r.next & 128)) /* an entry's first byte has it */
			r.next++;
	}
	return 0;
}

uint32_t line_at(enum line_table kind, const uint8_t *table, size_t size, uint32_t first,
		 int64_t at)
{
	struct reader r = {table, table + size};

	if (at < 0)
		return kind == LINES_LOCATIONS ? 0 : first; /* it has not begun */
	switch (kind) {
	case LINES_NOTAB:
		return by_notab(r, first, at);
	case LINES_RANGES:
		return by_ranges(r, first, at);
	case LINES_LOCATIONS:
		return by_locations(r, first, at);
	}
	return 0;
}

#define TLBC_ENTRIES 8 /* struct _PyCodeArray: pointers behind their number */

/* Where the bytecode is that a frame runs: threads without a GIL have copies of their own. */
static int read_bytecode(pid_t tgid, const struct py_layout *l, uint64_t frame, uint64_t code,
			 uint64_t *bytecode)
{
	uint64_t array;
	int32_t index;

	*bytecode = code + l->code_units;
	if (l->code_tlbc == LAYOUT_ABSENT)
		return 0;
	if (memory_read_u64(tgid, code + l->code_tlbc, &array) ||
	    memory_read(tgid, frame + l->frame_tlbc, &index, sizeof(index)) || index < 0)
		return -EFAULT;
	return memory_read_u64(tgid, array + TLBC_ENTRIES + (uint64_t)index * sizeof(array),
			       bytecode);
}

/* Which byte of its bytecode a frame is at. */
static int read_at(pid_t tgid, const struct py_layout *l, uint64_t frame, uint64_t code,
		   int64_t *at)
{
	uint64_t instr, bytecode;
	int32_t lasti;
	int err;

	if (l->lasti_unit) {
		err = memory_read(tgid, frame + l->frame_instr, &lasti, sizeof(lasti));
		*at = err ? 0 : (int64_t)lasti * l->lasti_unit;
		return err;
	}
	err = read_bytecode(tgid, l, frame, code, &bytecode)
		      ?: memory_read_u64(tgid, frame + l->frame_instr, &instr);
	*at = err ? 0 : (int64_t)(instr - bytecode);
	return err;
}

uint32_t frame_line(pid_t tgid, const struct py_layout *l, uint64_t frame, uint64_t code)
{
	enum line_table kind = l->lasti_unit == 1   ? LINES_NOTAB
			       : l->lasti_unit == 2 ? LINES_RANGES
						    : LINES_LOCATIONS;
	uint64_t lines, size;
	uint8_t *table;
	uint32_t first, line = 0;
	int64_t at;

	if (read_at(tgid, l, frame, code, &at) ||
	    memory_read_u64(tgid, code + l->code_lines, &lines) ||
	    memory_read_u64(tgid, lines + l->bytes_size, &size) || size > TABLE_LIMIT ||
	    memory_read(tgid, code + l->code_firstlineno, &first, sizeof(first)))
		return 0;
	table = malloc(size ?: 1);
	if (!table)
		return 0;
	if (!memory_read(tgid, lines + l->bytes_data, table, size))
		line = line_at(kind, table, size, first, at);
	free(table);
	return line;
}
