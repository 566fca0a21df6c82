/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Probe sites at opcode handlers.  The interpreter jumps through a table of 256
 * code addresses; which one it is, its fingerprint tells: all opcodes that are
 * not defined lead to one place, and those we want each to one of their own.
 */
#include "sites.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPCODES 256
#define MAX_TABLES 4
#define MAX_POINTS 64

int sites_add(const struct elf_file *elf, struct build *build, struct site site)
{
	for (size_t i = 0; i < build->site_count; i++) {
		if (build->sites[i].vaddr == site.vaddr)
			return 0;
	}
	if (elf_file__offset(elf, site.vaddr, &site.file_offset))
		return -ENOENT;
	if (build->site_count == BUILD_MAX_SITES)
		return -E2BIG;
	build->sites[build->site_count++] = site;
	return 0;
}

struct site site_at(const struct probe_point *point, enum site_kind kind)
{
	return (struct site){.kind = kind, .vaddr = point->at, .stepped = !point->emulated};
}

struct tables {
	uint64_t handlers[MAX_TABLES][OPCODES];
	size_t count;
};

static bool opcode_defined(const struct py_opcodes *opcodes, unsigned int op)
{
	return opcodes->defined[op >> 3] & 1u << (op & 7);
}

/* Is `op`'s address in no other place of the table? */
static bool address_unshared(const uint64_t *cells, unsigned int op)
{
	for (unsigned int i = 0; i < OPCODES; i++) {
		if (i != op && cells[i] == cells[op])
			return false;
	}
	return true;
}

static bool table_matches(const uint64_t *cells, const struct py_opcodes *opcodes)
{
	uint64_t undefined = 0;

	for (unsigned int op = 0; op < OPCODES; op++) {
		if (opcode_defined(opcodes, op))
			continue;
		if (undefined && cells[op] != undefined)
			return false;
		undefined = cells[op];
	}
	if (!undefined)
		return false;
	for (unsigned int op = 0; op < OPCODES; op++) {
		if (opcode_defined(opcodes, op) && cells[op] == undefined)
			return false;
	}
	for (unsigned int i = 0; i < opcodes->count; i++) {
		if (!address_unshared(cells, opcodes->ops[i].op))
			return false;
	}
	return true;
}

/* Look at every run of 256 code addresses in one segment. */
static void search_segment(const struct elf_segment *segment, const uint8_t *bytes,
			   const struct code *code, const struct py_opcodes *opcodes,
			   struct tables *found)
{
	uint64_t at = -segment->vaddr & 7, run = 0, cells[OPCODES];

	for (; at + sizeof(uint64_t) <= segment->size; at += sizeof(uint64_t)) {
		uint64_t value;

		memcpy(&value, bytes + at, sizeof(value));
		run = code__holds(code, value) ? run + 1 : 0;
		if (run < OPCODES)
			continue;
		memcpy(cells, bytes + at + sizeof(value) - sizeof(cells), sizeof(cells));
		if (!table_matches(cells, opcodes))
			continue;
		if (found->count < MAX_TABLES)
			memcpy(found->handlers[found->count], cells, sizeof(cells));
		found->count++;
	}
}

static int find_tables(const struct elf_file *elf, const struct code *code,
		       const struct py_opcodes *opcodes, struct tables *found)
{
	size_t count;
	const struct elf_segment *segments = elf_file__segments(elf, &count);

	found->count = 0;
	for (size_t i = 0; i < count; i++) {
		uint8_t *bytes;
		int err = elf_file__image(elf, &segments[i], &bytes);

		if (err)
			return err;
		search_segment(&segments[i], bytes, code, opcodes, found);
		free(bytes);
	}
	return 0;
}

static bool add_address(uint64_t *addresses, size_t *count, size_t size, uint64_t address)
{
	for (size_t i = 0; i < *count; i++) {
		if (addresses[i] == address)
			return true;
	}
	if (*count == size)
		return false;
	addresses[(*count)++] = address;
	return true;
}

ssize_t sites_handlers(const struct elf_file *elf, const struct code *code,
		       const struct py_opcodes *opcodes, uint64_t *addresses, size_t size)
{
	struct tables *tables = malloc(sizeof(*tables));
	size_t count = 0;
	ssize_t result;

	if (!tables)
		return -ENOMEM;
	result = find_tables(elf, code, opcodes, tables);
	if (!result && (!tables->count || tables->count > MAX_TABLES))
		result = -ENOENT;
	for (size_t t = 0; !result && t < tables->count; t++) {
		for (unsigned int op = 0; op < OPCODES; op++) {
			if (!add_address(addresses, &count, size, tables->handlers[t][op]))
				result = -ENOENT;
		}
	}
	free(tables);
	return result ? result : (ssize_t)count;
}

/* The site an opcode is, or false if we do not probe it. */
static bool site_of_event(unsigned int event, enum site_kind *kind)
{
	switch (event) {
	case PY_OP_START:
		*kind = SITE_ENTRY;
		return true;
	case PY_OP_RETURN:
		*kind = SITE_RETURN;
		return true;
	case PY_OP_YIELD:
		*kind = SITE_YIELD;
		return true;
	}
	return false; /* a generator's making runs no Python code */
}

struct handlers {
	struct probe_point points[MAX_POINTS];
	const struct py_opcode *ops[MAX_POINTS];
	size_t count;
};

/* The wanted handlers of all tables found, each once. */
static int collect_handlers(struct code *code, const struct py_opcodes *opcodes,
			    const struct tables *tables, struct handlers *out)
{
	enum site_kind kind;

	out->count = 0;
	for (size_t t = 0; t < tables->count; t++) {
		for (unsigned int i = 0; i < opcodes->count; i++) {
			const struct py_opcode *op = &opcodes->ops[i];
			struct probe_point point = {.from = tables->handlers[t][op->op]};
			size_t known = 0;

			if (!site_of_event(op->event, &kind))
				continue;
			while (known < out->count && out->points[known].from != point.from)
				known++;
			if (known < out->count)
				continue;
			if (out->count == MAX_POINTS || code__find_point(code, &point))
				return -ENOENT;
			out->points[out->count] = point;
			out->ops[out->count++] = op;
		}
	}
	return 0;
}

/*
 * Code that jumps in between the handler's beginning and the probe would be
 * counted for the handler: probe ahead of where it lands, whatever that costs.
 */
static void avoid_landings(struct code *code, struct probe_point *point)
{
	if (!point->landing || point->landing > point->at)
		return;
	while (point->from < point->landing) {
		const cs_insn *insn = code__decode(code, point->from);

		if (!insn || insn->id != X86_INS_ENDBR64)
			break;
		point->from += insn->size;
	}
	point->at = point->from;
	point->emulated = false;
}

/*
 * Do all jumps that land in a handler of a beginning come from probes of beginnings?  A specialised
 * RESUME goes on in the plain one where it does not apply: a hit of both counts once.
 */
static bool only_entries_land(const struct handlers *handlers, const struct probe_point *point)
{
	enum site_kind kind;

	if (point->landings > POINT_LANDERS)
		return false;
	for (unsigned int i = 0; i < point->landings; i++) {
		size_t from = 0;

		while (from < handlers->count && handlers->points[from].at != point->landers[i])
			from++;
		if (from == handlers->count || !handlers->points[from].emulated ||
		    handlers->points[from].landing ||
		    !site_of_event(handlers->ops[from]->event, &kind) || kind != SITE_ENTRY)
			return false;
	}
	return true;
}

int sites_add_opcodes(const struct elf_file *elf, struct code *code,
		      const struct py_opcodes *opcodes, struct build *build)
{
	struct handlers *handlers = NULL;
	struct tables *tables = NULL;
	size_t before = build->site_count;
	const char *why = "no dispatch table of its version found";
	int err = -ENOMEM;

	handlers = malloc(sizeof(*handlers));
	tables = malloc(sizeof(*tables));
	if (!handlers || !tables)
		goto cleanup;
	err = find_tables(elf, code, opcodes, tables);
	if (err)
		goto cleanup;
	err = -ENOENT;
	if (!tables->count)
		goto cleanup;
	why = "more dispatch tables than a build can have";
	if (tables->count > MAX_TABLES)
		goto cleanup;
	why = "an opcode handler cannot be probed";
	err = collect_handlers(code, opcodes, tables, handlers);
	if (err)
		goto cleanup;
	code__find_jumps(code, handlers->points, handlers->count);
	for (size_t i = 0; !err && i < handlers->count; i++) {
		enum site_kind kind = SITE_ENTRY;

		site_of_event(handlers->ops[i]->event, &kind);
		if (kind != SITE_ENTRY || !only_entries_land(handlers, &handlers->points[i]))
			avoid_landings(code, &handlers->points[i]);
		err = sites_add(elf, build, site_at(&handlers->points[i], kind));
	}
cleanup:
	if (err)
		build->site_count = before;
	if (err == -ENOENT)
		snprintf(build->reason, sizeof(build->reason), "%s", why);
	free(tables);
	free(handlers);
	return err;
}

int sites_add_unwind(const struct elf_file *elf, struct code *code, struct build *build)
{
	struct probe_point point = {0};
	struct elf_symbol symbol;
	int err;

	err = elf_file__symbol(elf, "PyTraceBack_Here", &symbol);
	if (err)
		return err;
	point.from = symbol.vaddr;
	err = code__find_point(code, &point);
	if (err)
		return err;
	code__find_jumps(code, &point, 1);
	avoid_landings(code, &point);
	return sites_add(elf, build, site_at(&point, SITE_UNWIND));
}
