/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which CPython a build is, and where things are in it.  The version comes from
 * what the interpreter says of itself, the layout from the generated tables and
 * from the offsets newer versions publish.  What is not known is refused.
 */
#include "identify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hidden.h"

#include "tables.inc"

#define HEX_LEVEL_RC 0xc /* PY_VERSION_HEX (Include/patchlevel.h): a, b, c, f */
#define HEX_LEVEL_FINAL 0xf
#define PUBLISHED_MAX 4096

/* A struct offset is never as large as this, but for those in the two big ones. */
#define OFFSET_LIMIT (1u << 14)
#define BIG_OFFSET_LIMIT (1u << 21)

struct version {
	unsigned int major, minor, micro, level, serial;
};

static void refuse(struct build *build, const char *why)
{
	snprintf(build->reason, sizeof(build->reason), "%s", why);
}

static void set_version(struct build *build, const struct version *version)
{
	static const char *const letters[16] = {[0xa] = "a", [0xb] = "b", [HEX_LEVEL_RC] = "rc"};
	int n;

	build->major = (int)version->major;
	build->minor = (int)version->minor;
	build->micro = (int)version->micro;
	n = snprintf(build->version, sizeof(build->version), "%u.%u.%u", version->major,
		     version->minor, version->micro);
	if (letters[version->level & 15])
		snprintf(build->version + n, sizeof(build->version) - (size_t)n, "%s%u",
			 letters[version->level & 15], version->serial);
}

static int version_of_hex(uint64_t hex, struct version *out)
{
	*out = (struct version){
		.major = hex >> 24 & 0xff,
		.minor = hex >> 16 & 0xff,
		.micro = hex >> 8 & 0xff,
		.level = hex >> 4 & 15,
		.serial = hex & 15,
	};
	return hex >> 32 ? -EPROTO : 0;
}

/* 3.11 and later export it as a number: Py_Version (Python/getversion.c). */
static int version_exported(const struct elf_file *elf, struct version *out)
{
	struct elf_symbol symbol;
	uint64_t hex;
	int err;

	err = elf_file__symbol(elf, "Py_Version", &symbol);
	if (!err)
		err = elf_file__read(elf, symbol.vaddr, &hex, sizeof(hex));
	return err ?: version_of_hex(hex, out);
}

/* 3.13 and later publish it beside their offsets, whatever their symbols are. */
static int version_published(const struct elf_file *elf, const struct elf_symbol *runtime,
			     struct version *out)
{
	struct {
		char cookie[sizeof(PUBLISHED_COOKIE) - 1];
		uint64_t version;
	} head;

	if (!runtime->vaddr || elf_file__read(elf, runtime->vaddr, &head, sizeof(head)) ||
	    memcmp(head.cookie, PUBLISHED_COOKIE, sizeof(head.cookie)))
		return -ENOENT;
	return version_of_hex(head.version, out);
}

/* What the strings in a file say about its version. */
struct version_strings {
	int tag_minor;   /* of "cpython-3N", -1: none, -2: several */
	int exact_micro; /* of a string "3.N.M", same convention */
	int tail_micro;  /* of a string that ends so */
	bool jit;
	bool trace_refs;
};

static void note_value(int *slot, long value)
{
	if (*slot == -1)
		*slot = (int)value;
	else if (*slot != (int)value)
		*slot = -2;
}

/* A decimal number up to 99 that ends at a NUL; -1 if it is not one. */
static long number_to_nul(const char *at, const char *end)
{
	long value = 0;
	int digits = 0;

	while (at < end && *at >= '0' && *at <= '9' && digits < 3) {
		value = value * 10 + (*at++ - '0');
		digits++;
	}
	if (at < end && *at == '+') /* built from a checkout after the release */
		at++;
	return digits && digits < 3 && at < end && !*at ? value : -1;
}

/* The cache tag (Python/sysmodule.c and importlib's .pyc names): exactly "cpython-3N". */
static void search_tag(const char *bytes, size_t size, struct version_strings *found)
{
	static const char prefix[] = "cpython-3";
	const char *at = bytes, *end = bytes + size;

	while ((at = memmem(at, (size_t)(end - at), prefix, sizeof(prefix) - 1))) {
		long minor = number_to_nul(at + sizeof(prefix) - 1, end);

		if (minor >= 0 && at > bytes && !at[-1])
			note_value(&found->tag_minor, minor);
		at += sizeof(prefix) - 1;
	}
}

/*
 * PY_VERSION.  A linker that merges strings may leave it only as the end of
 * another one, say of the folder Python is installed in.
 */
static void search_version(const char *bytes, size_t size, struct version_strings *found)
{
	const char *at = bytes, *end = bytes + size;
	char prefix[16];
	int length;

	length = snprintf(prefix, sizeof(prefix), "3.%d.", found->tag_minor);
	while ((at = memmem(at, (size_t)(end - at), prefix, (size_t)length))) {
		long micro = number_to_nul(at + length, end);
		char before = at > bytes ? at[-1] : '\0';

		if (micro >= 0 && !before)
			note_value(&found->exact_micro, micro);
		else if (micro >= 0 && before != '.' && !(before >= '0' && before <= '9'))
			note_value(&found->tail_micro, micro);
		at += length;
	}
}

static int search_segments(const struct elf_file *elf, struct version_strings *found,
			   void (*search)(const char *, size_t, struct version_strings *))
{
	size_t count;
	const struct elf_segment *segments = elf_file__segments(elf, &count);

	for (size_t i = 0; i < count; i++) {
		uint8_t *bytes;
		int err = elf_file__image(elf, &segments[i], &bytes);

		if (err)
			return err;
		search((char *)bytes, segments[i].size, found);
		free(bytes);
	}
	return 0;
}

/* The whole name: other variables only begin like it. */
static void search_jit(const char *bytes, size_t size, struct version_strings *found)
{
	static const char name[] = "PYTHON_JIT";

	if (memmem(bytes, size, name, sizeof(name)))
		found->jit = true;
}

int jit_built_in(const struct elf_file *elf)
{
	struct version_strings found = {.jit = false};
	int err = search_segments(elf, &found, search_jit);

	return err ? err : found.jit;
}

/*
 * What only builds with Py_TRACE_REFS can say (Objects/object.c). The functions that say it are not
 * exported.
 */
static void search_trace_refs(const char *bytes, size_t size, struct version_strings *found)
{
	static const char text[] = "Remaining object addresses:\n";

	if (memmem(bytes, size, text, sizeof(text) - 1))
		found->trace_refs = true;
}

/*
 * Before 3.11 the version is only in strings: the cache tag names the minor
 * version, and one string agrees with it.  -ENOENT if they do not tell.
 */
static int version_from_strings(const struct elf_file *elf, struct version *out)
{
	struct version_strings found = {.tag_minor = -1, .exact_micro = -1, .tail_micro = -1};
	int err, micro;

	err = search_segments(elf, &found, search_tag);
	if (err)
		return err;
	if (found.tag_minor < 0)
		return -ENOENT;
	err = search_segments(elf, &found, search_version);
	if (err)
		return err;
	micro = found.exact_micro >= 0 ? found.exact_micro : found.tail_micro;
	if (micro < 0)
		return -ENOENT;
	*out = (struct version){3, (unsigned int)found.tag_minor, (unsigned int)micro,
				HEX_LEVEL_FINAL, 0};
	return 0;
}

/* How a published offset must look. */
struct offset_rule {
	uint16_t field;
	uint16_t align;
	uint32_t limit;
};

#define RULE(name, align, limit)                                                                   \
	{                                                                                          \
		offsetof(struct py_layout, name), align, limit                                     \
	}
static const struct offset_rule offset_rules[] = {
	RULE(runtime_interpreters_head, 8, BIG_OFFSET_LIMIT),
	RULE(interp_next, 8, BIG_OFFSET_LIMIT),
	RULE(interp_threads_head, 8, BIG_OFFSET_LIMIT),
	RULE(interp_gil, 8, BIG_OFFSET_LIMIT),
	RULE(gil_locked, 4, OFFSET_LIMIT),
	RULE(frame_owner, 1, OFFSET_LIMIT),
	RULE(code_firstlineno, 4, OFFSET_LIMIT),
	RULE(code_units, 2, OFFSET_LIMIT),
	RULE(unicode_state, 4, OFFSET_LIMIT),
	RULE(unicode_ascii_data, 1, OFFSET_LIMIT),
	RULE(unicode_compact_data, 1, OFFSET_LIMIT),
	RULE(bytes_data, 1, OFFSET_LIMIT),
};
#undef RULE

static bool offset_plausible(unsigned int field, uint64_t value)
{
	for (size_t i = 0; i < sizeof(offset_rules) / sizeof(offset_rules[0]); i++) {
		if (offset_rules[i].field == field)
			return value < offset_rules[i].limit && !(value % offset_rules[i].align);
	}
	return value < OFFSET_LIMIT && !(value % 8);
}

int layout_from_debug_offsets(const struct py_debug_map *map, const uint8_t *published,
			      struct py_layout *layout, unsigned int *bad)
{
	for (unsigned int i = 0; i < map->count; i++) {
		const struct py_debug_field *f = &map->fields[i];
		uint64_t value, base = 0;
		uint32_t offset;

		*bad = f->field;
		if (f->field > sizeof(*layout) - sizeof(offset) || f->at > map->size - 8)
			return -EPROTO;
		memcpy(&value, published + f->at, sizeof(value));
		if (f->base != PY_DEBUG_NO_BASE && f->base <= map->size - 8)
			memcpy(&base, published + f->base, sizeof(base));
		if (value < base || !offset_plausible(f->field, value - base))
			return -EPROTO;
		offset = (uint32_t)(value - base);
		memcpy((char *)layout + f->field, &offset, sizeof(offset));
	}
	/*
	 * The characters follow the shorter header in ASCII strings and the longer
	 * one in others; equal, they tell of an object header we do not know
	 * (Py_TRACE_REFS).
	 */
	*bad = offsetof(struct py_layout, unicode_compact_data);
	return layout->unicode_compact_data > layout->unicode_ascii_data ? 0 : -EPROTO;
}

/* From the opcode table of 3.11 and later, where frames tell by it how they are left. */
static void fill_leaving_ops(const struct py_version_row *row, struct py_layout *layout)
{
	for (unsigned int i = 0; row->opcodes && i < row->opcodes->count; i++) {
		const struct py_opcode *op = &row->opcodes->ops[i];

		if (op->event == PY_OP_RETURN || op->event == PY_OP_YIELD)
			layout->leaving_ops[op->op >> 3] |= 1u << (op->op & 7);
	}
}

static void fill_gc_flag(const struct py_version_row *row, struct build *build)
{
	build->gc_flag = (struct gc_flag){
		.in_runtime = row->runtime_gc_collecting,
		.in_interp = row->interp_gc_collecting,
		.counts = {.before = row->gc_stats,
			   .is_pointer = row->gc_stats_pointer,
			   .generation = {row->gc_generation0, row->gc_generation1,
					  row->gc_generation2}},
	};
}

static int published_gc_flag(const struct py_debug_map *map, const uint8_t *published,
			     const struct py_version_row *row, struct build *build)
{
	uint64_t gc, collecting;

	memcpy(&gc, published + map->interp_gc, sizeof(gc));
	memcpy(&collecting, published + map->gc_collecting, sizeof(collecting));
	if (gc >= BIG_OFFSET_LIMIT || collecting >= OFFSET_LIMIT || (gc + collecting) % 4) {
		snprintf(build->reason, sizeof(build->reason),
			 "the struct offsets this build publishes make no sense (collector at "
			 "%llu, %llu)",
			 (unsigned long long)gc, (unsigned long long)collecting);
		return -EPROTO;
	}
	fill_gc_flag(row, build);
	build->gc_flag.in_interp = gc + collecting;
	return 0;
}

/* Does row->debug fit what the file has at _PyRuntime?  Fills *build if it does. */
static int apply_debug_row(const struct elf_file *elf, const struct elf_symbol *runtime,
			   uint64_t hex, const struct py_version_row *row, struct build *build)
{
	const struct py_debug_map *map = row->debug;
	struct py_layout layout = row->layout;
	uint8_t published[PUBLISHED_MAX];
	uint64_t version, free_threaded;
	unsigned int bad = 0;

	if (map->size > sizeof(published) || (runtime->size && runtime->size < map->size) ||
	    elf_file__read(elf, runtime->vaddr, published, map->size))
		return -EPROTO;
	memcpy(&version, published + map->version, sizeof(version));
	memcpy(&free_threaded, published + map->free_threaded, sizeof(free_threaded));
	if (memcmp(published, PUBLISHED_COOKIE, strlen(PUBLISHED_COOKIE)) || version != hex ||
	    free_threaded != row->nogil)
		return -ENOENT;
	if (layout_from_debug_offsets(map, published, &layout, &bad)) {
		snprintf(build->reason, sizeof(build->reason),
			 "the struct offsets this build publishes make no sense (field at %u)",
			 bad);
		return -EPROTO;
	}
	layout.runtime_vaddr = runtime->vaddr;
	build->layout = layout;
	fill_leaving_ops(row, &build->layout);
	return published_gc_flag(map, published, row, build);
}

static bool defines(const struct elf_file *elf, const char *symbol)
{
	struct elf_symbol found;

	return !elf_file__symbol(elf, symbol, &found);
}

/*
 * Built --with-pydebug?  Include/object.h exports this if Py_REF_DEBUG is defined, which
 * Py_DEBUG implies (3.8 to 3.15); by itself it changes no struct.
 */
static unsigned int kind_of_build(const struct elf_file *elf)
{
	return defines(elf, "_Py_NegativeRefcount") ? PY_BUILD_DEBUG : PY_BUILD_PLAIN;
}

static const struct py_version_row *find_row(const struct elf_file *elf,
					     const struct elf_symbol *runtime,
					     const struct version *version, struct build *build)
{
	uint64_t hex = (uint64_t)version->major << 24 | version->minor << 16 | version->micro << 8 |
		       version->level << 4 | version->serial;
	unsigned int kind = kind_of_build(elf);

	snprintf(build->reason, sizeof(build->reason), "CPython %s is not a version we know",
		 build->version);
	for (size_t i = 0; i < sizeof(py_version_rows) / sizeof(py_version_rows[0]); i++) {
		const struct py_version_row *row = &py_version_rows[i];
		int err;

		if (version->major != 3 || row->minor != version->minor ||
		    version->micro < row->micro_first || version->micro > row->micro_last ||
		    !(row->kinds & kind))
			continue;
		if (!row->debug) {
			/* two pointers more in each object; later versions have a table instead */
			if (build->trace_refs) {
				refuse(build, "a build with Py_TRACE_REFS before 3.13");
				return NULL;
			}
			build->layout = row->layout;
			fill_leaving_ops(row, &build->layout);
			fill_gc_flag(row, build);
			build->layout.runtime_vaddr = runtime->vaddr;
			return row;
		}
		err = apply_debug_row(elf, runtime, hex, row, build);
		if (!err)
			return row;
		if (err == -ENOENT)
			refuse(build,
			       "it does not publish its struct offsets as its version should");
		else
			return NULL;
	}
	return NULL;
}

int layout_identify(const struct elf_file *elf, const struct elf_symbol *runtime,
		    struct build *build, const struct py_version_row **row)
{
	struct version_strings found = {.trace_refs = false};
	struct version version = {0};
	struct elf_symbol code_type;
	int err;

	*row = NULL;
	build->layout_known = false;
	build->layout = (struct py_layout){.runtime_vaddr = runtime->vaddr};
	err = version_exported(elf, &version);
	if (err == -ENOENT)
		err = version_published(elf, runtime, &version);
	if (err == -ENOENT)
		err = version_from_strings(elf, &version);
	if (err == -ENOENT || err == -EPROTO || err == -EFBIG) {
		refuse(build, "its version cannot be told for sure");
		return 0;
	}
	if (err)
		return err;
	set_version(build, &version);
	if (version.level != HEX_LEVEL_FINAL && version.level != HEX_LEVEL_RC) {
		refuse(build, "a pre-release: its structs may still change");
		return 0;
	}
	if (!runtime->vaddr) {
		refuse(build, "its program is stripped: nothing tells where its runtime is");
		return 0;
	}
	err = search_segments(elf, &found, search_trace_refs);
	if (err && err != -EFBIG)
		return err;
	build->trace_refs = found.trace_refs;
	*row = find_row(elf, runtime, &version, build);
	if (!*row)
		return 0;
	if (!elf_file__symbol(elf, "PyCode_Type", &code_type))
		build->layout.code_type_vaddr = code_type.vaddr;
	build->opcodes = (*row)->opcodes;
	build->code_exceptions = (*row)->code_exceptions;
	build->layout_known = true;
	build->reason[0] = '\0';
	return 0;
}
