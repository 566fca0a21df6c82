/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Telling CPython builds and their probe sites from ELF files, good and bad.
 * Links: user/discover; libelf, capstone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>

#include "../../user/discover/build.h"
#include "../../user/discover/code.h"
#include "../../user/discover/elf_file.h"
#include "../../user/discover/identify.h"
#include "test_discover_elf.h"

static struct build build;

static int analyse_bytes(const void *bytes, size_t size)
{
	int fd = small_elf_open(bytes, size), err;

	assert_true(fd >= 0);
	err = build_analyse(fd, "small", &build);
	assert_true(err <= 0);
	assert_true(build.site_count <= BUILD_MAX_SITES);
	close(fd);
	return err;
}

static int analyse(struct small_elf *s)
{
	small_elf_make(s);
	return analyse_bytes(s->bytes, sizeof(s->bytes));
}

static const struct site *site_at_vaddr(uint64_t vaddr)
{
	for (size_t i = 0; i < build.site_count; i++) {
		if (build.sites[i].vaddr == vaddr)
			return &build.sites[i];
	}
	return NULL;
}

static struct small_elf small_3_13(void)
{
	return (struct small_elf){.hex = 0x030d05f0, .row = small_row(13, 0)};
}

static struct small_elf small_3_9(void)
{
	return (struct small_elf){
		.row = small_row(9, 0), .strings = {"cpython-39", "3.9.2"}, .usdt = true};
}

static void other_files_are_not_cpython(void **state)
{
	static const char text[] = "#!/bin/sh\nexit 0\n";
	int fd;

	(void)state;
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(build_analyse(fd, "self", &build), -ENOENT);
	close(fd);
	assert_int_equal(analyse_bytes(text, sizeof(text)), -ENOENT);
	assert_int_equal(analyse_bytes("", 0), -ENOENT);
	assert_int_equal(analyse_bytes("\177ELF", 4), -ENOENT);
	fd = open("/", O_RDONLY | O_CLOEXEC);
	assert_int_equal(build_analyse(fd, "/", &build), -ENOENT);
	close(fd);
	assert_int_equal(build_analyse(-1, "closed", &build), -EBADF);
}

static void opcode_sites_of_3_13(void **state)
{
	struct small_elf s = small_3_13();
	const struct site *site;

	(void)state;
	assert_int_equal(analyse(&s), 0);
	assert_string_equal(build.version, "3.13.5");
	assert_int_equal(build.minor, 13);
	assert_string_equal(build.reason, "");
	assert_true(build.layout_known);
	assert_int_equal(build.layout.runtime_vaddr, SMALL_DATA + SMALL_DATA_SHIFT);
	assert_int_equal(build.layout.unicode_ascii_data, 40);
	assert_int_equal(build.layout.gil_locked, 8 * 5 - 8); /* the fifth, less its base */
	assert_int_equal(build.build_id_len, 20);
	assert_memory_equal(build.build_id, "abcdefghijklmnopqrst", 20);
	assert_int_equal(build.method, CALLS_OPCODE);
	for (unsigned int i = 0; i < s.row->opcodes->count; i++) {
		const struct py_opcode *op = &s.row->opcodes->ops[i];
		bool yields = op->event == PY_OP_YIELD;

		site = site_at_vaddr(SMALL_HANDLER(op->op) + (yields ? 0 : 5));
		if (op->event == PY_OP_GENERATOR) {
			assert_null(site);
			continue;
		}
		assert_non_null(site);
		assert_int_equal(site->kind, yields                     ? SITE_YIELD
					     : op->event == PY_OP_START ? SITE_ENTRY
									: SITE_RETURN);
		assert_int_equal(site->stepped, yields);
		assert_int_equal(site->file_offset, site->vaddr - SMALL_TEXT_SHIFT);
	}
	site = site_at_vaddr(SMALL_UNWIND + 4);
	assert_true(site && site->kind == SITE_UNWIND && !site->stepped);
	site = site_at_vaddr(SMALL_COLD + 2);
	assert_true(site && site->kind == SITE_THROW && !site->stepped);
}

static void every_version_has_a_method(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(py_version_rows) / sizeof(py_version_rows[0]); i++) {
		const struct py_version_row *row = &py_version_rows[i];
		struct small_elf s = {.row = row,
				      .nogil = row->nogil,
				      .hex = 0x030000f0 + (row->minor << 16),
				      .usdt = true};

		assert_int_equal(analyse(&s), 0);
		assert_true(build.layout_known);
		assert_int_equal(build.layout.nogil, row->nogil);
		assert_int_equal(build.method,
				 row->layout.resume_ops[0] ? CALLS_OPCODE : CALLS_USDT);
		assert_int_equal(build.site_count != 0, build.method != CALLS_NONE);
		assert_int_equal(build.reason[0] != '\0', build.method == CALLS_NONE);
	}
}

static void unknown_versions_are_refused(void **state)
{
	static const unsigned int versions[] = {0x030700f0, 0x036300f0, 0x040d00f0,
						0x030d05a1, 0x030d05b2, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		struct small_elf s = {.row = small_row(13, 0), .hex = versions[i]};

		assert_int_equal(analyse(&s), 0);
		assert_false(build.layout_known);
		assert_int_equal(build.method, CALLS_NONE);
		assert_int_equal(build.site_count, 0);
		assert_true(build.reason[0]);
		assert_int_equal(build.layout.runtime_vaddr, SMALL_DATA + SMALL_DATA_SHIFT);
	}
}

static void nonsense_offsets_are_refused(void **state)
{
	const struct py_debug_map *map = small_row(13, 0)->debug;
	static const uint64_t values[] = {1ull << 40, UINT64_MAX, 1u << 22};

	(void)state;
	for (unsigned int i = 0; i < map->count; i++) {
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			struct small_elf s = small_3_13();

			small_elf_make(&s);
			small_put64(&s, SMALL_DATA + map->fields[i].at, values[v]);
			assert_int_equal(analyse_bytes(s.bytes, sizeof(s.bytes)), 0);
			assert_false(build.layout_known);
			assert_true(build.reason[0]);
		}
	}
	/* another cookie, another version */
	for (size_t at = 0; at <= map->version; at += map->version) {
		struct small_elf s = small_3_13();

		small_elf_make(&s);
		s.bytes[SMALL_DATA + at] ^= 1;
		assert_int_equal(analyse_bytes(s.bytes, sizeof(s.bytes)), 0);
		assert_false(build.layout_known);
	}
}

static void versions_from_strings(void **state)
{
	static const struct {
		const char *strings[4];
		const char *version; /* NULL: refused */
	} cases[] = {
		{{"cpython-39", "3.9.2"}, "3.9.2"},
		{{"cpython-310", "3.10.13"}, "3.10.13"},
		{{"cpython-38", "3.8.18+"}, "3.8.18"},
		/* merged with the end of another string */
		{{"cpython-39", "/opt/python/3.9.18"}, "3.9.18"},
		{{"cpython-39", "/opt/python/3.9.1", "3.9.2"}, "3.9.2"},
		{{"cpython-39", "3.9.2", "3.11.2", "3.2.0"}, "3.9.2"},
		{{"cpython-39", "3.9.2", "3.9.18"}, NULL},
		{{"cpython-39", "cpython-310", "3.9.2", "3.10.1"}, NULL},
		{{"cpython-39", "13.9.2", "1.3.9.2"}, NULL},
		{{"cpython-39", "3.9.2x"}, NULL},
		{{"cpython-39"}, NULL},
		{{"3.9.2", "xcpython-39"}, NULL},
		{{"cpython-37", "3.7.16"}, NULL},
		{{NULL}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct small_elf s = small_3_9();

		memcpy(s.strings, cases[i].strings, sizeof(s.strings));
		assert_int_equal(analyse(&s), 0);
		assert_int_equal(build.layout_known, cases[i].version != NULL);
		if (cases[i].version)
			assert_string_equal(build.version, cases[i].version);
		else
			assert_true(build.reason[0]);
	}
}

/* Py_DEBUG changes no struct that is in the tables. */
static void debug_builds(void **state)
{
	struct small_elf s = small_3_9();

	(void)state;
	s.extra_symbol = "_Py_NegativeRefcount";
	assert_int_equal(analyse(&s), 0);
	assert_true(build.layout_known);
	assert_int_equal(build.method, CALLS_USDT);
}

/*
 * Before 3.13 Py_TRACE_REFS makes objects larger.  From then on it does not, but what tells whether
 * the JIT is on is elsewhere.
 */
static void trace_refs_builds(void **state)
{
	static const char says[] = "Remaining object addresses:\n";
	struct small_elf s = small_3_9();

	(void)state;
	s.strings[2] = says;
	assert_int_equal(analyse(&s), 0);
	assert_false(build.layout_known);
	assert_int_equal(build.method, CALLS_NONE);
	assert_non_null(strstr(build.reason, "Py_TRACE_REFS"));
	for (unsigned int minor = 13; minor <= 15; minor++) {
		for (int trace_refs = 0; trace_refs < 2; trace_refs++) {
			s = (struct small_elf){.hex = 0x030000f0 + (minor << 16),
					       .row = small_row(minor, 0),
					       .strings = {trace_refs ? says : "", "PYTHON_JIT"}};
			assert_int_equal(analyse(&s), 0);
			assert_true(build.layout_known);
			assert_int_equal(build.method, CALLS_OPCODE);
			assert_string_equal(build.reason, "");
			assert_true(build.jit);
			assert_int_equal(build.interp_jit != LAYOUT_ABSENT,
					 minor > 13 && !trace_refs);
			assert_int_equal(build.interp_optimizer != LAYOUT_ABSENT,
					 minor == 13 && !trace_refs);
		}
	}
}

static void usdt_sites_and_semaphores(void **state)
{
	static const uint64_t shifts[] = {0, 0x200};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct small_elf s = small_3_9();
		const struct site *site;

		s.sdt_shift = shifts[i];
		assert_int_equal(analyse(&s), 0);
		assert_int_equal(build.method, CALLS_USDT);
		assert_int_equal(build.site_count, 3);
		site = site_at_vaddr(SMALL_USDT + 2);
		assert_true(site && site->kind == SITE_ENTRY && !site->stepped);
		assert_int_equal(site->semaphore, SMALL_SEMAPHORES);
		site = site_at_vaddr(SMALL_USDT + 5);
		assert_true(site && site->kind == SITE_LEAVE);
		assert_int_equal(site->semaphore, SMALL_SEMAPHORES + 2);
	}
}

static struct small_elf small_without_usdt(unsigned int minor)
{
	static const char *const tags[] = {"cpython-38", "cpython-39", "cpython-310"};
	static const char *const versions[] = {"3.8.18", "3.9.18", "3.10.13"};

	return (struct small_elf){.row = small_row(minor, 0),
				  .strings = {tags[minor - 8], versions[minor - 8]}};
}

static void frame_eval_sites_without_usdt(void **state)
{
	(void)state;
	for (unsigned int minor = 8; minor <= 10; minor++) {
		struct small_elf s = small_without_usdt(minor);
		const struct site *site;

		assert_int_equal(analyse(&s), 0);
		assert_string_equal(build.reason, "");
		assert_int_equal(build.method, CALLS_FRAME_EVAL);
		assert_int_equal(build.site_count, 3);
		site = site_at_vaddr(SMALL_ENTRY);
		assert_true(site && site->kind == SITE_ENTRY && !site->stepped);
		assert_int_equal(site->file_offset, SMALL_ENTRY - SMALL_TEXT_SHIFT);
		site = site_at_vaddr(SMALL_LEAVE);
		assert_true(site && site->kind == SITE_LEAVE && !site->stepped);
		site = site_at_vaddr(SMALL_UNWIND + 4);
		assert_true(site && site->kind == SITE_UNWIND && !site->stepped);
	}
}

/* An interpreter's loop that does not add up has waits only. */
static void doubtful_loops_are_refused(void **state)
{
	const uint64_t spare = SMALL_EVAL + 40, handler = SMALL_HANDLER(1);
	const struct {
		uint64_t at;
		uint8_t bytes[4];
		size_t size;
		uint64_t jump; /* to there, instead of the bytes */
		const char *reason;
	} cases[] = {
		{SMALL_EVAL + 13, {0x20}, 1, 0, "current one"}, /* stored elsewhere */
		{SMALL_COLD + 7, {0x20}, 1, 0, "leaves"},
		{SMALL_COLD + 3, {0x20}, 1, 0, "leaves"},        /* another field's value stored */
		{SMALL_COLD + 13, {0xff, 0xe0}, 2, 0, "leaves"}, /* the loop goes on behind it */
		{handler, {0}, 0, SMALL_COLD + 8, "leaves"},     /* comes to the probe elsewise */
		{handler, {0}, 0, SMALL_COLD + 11, "leaves"},
		{handler, {0}, 0, SMALL_EVAL + 14, "current one"},
		{handler, {0xc3}, 1, 0, "way out"},
		{handler, {0}, 0, SMALL_EVAL + 22, "way out"},
		{SMALL_EVAL + 9, {0x0a}, 1, 0, "way into"}, /* jg next */
		{SMALL_EVAL + 22, {0xff, 0xe0}, 2, 0, "way into"},
		{SMALL_EVAL + 22, {0}, 0, SMALL_COLD, "way into"},
		{spare, {0xc3}, 1, 0, "return"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct small_elf s = small_without_usdt(9);

		assert_true(s.row->opcodes->defined[0] & 1u << 1);
		small_elf_make(&s);
		if (cases[i].jump)
			small_jump(&s, cases[i].at, cases[i].jump);
		else
			small_put(&s, cases[i].at - SMALL_TEXT_SHIFT, cases[i].bytes,
				  cases[i].size);
		assert_int_equal(analyse_bytes(s.bytes, sizeof(s.bytes)), 0);
		assert_true(build.layout_known);
		assert_int_equal(build.method, CALLS_NONE);
		assert_int_equal(build.site_count, 0);
		assert_non_null(strstr(build.reason, "without tracepoints"));
		if (!strstr(build.reason, cases[i].reason))
			fail_msg("case %zu: %s", i, build.reason);
	}
}

static void frame_eval_needs_its_dispatch_table(void **state)
{
	struct small_elf s = small_without_usdt(9);

	(void)state;
	small_elf_make(&s);
	small_put64(&s, 0x6000 + 16, SMALL_HANDLER(1)); /* opcode 0 is not defined */
	assert_int_equal(analyse_bytes(s.bytes, sizeof(s.bytes)), 0);
	assert_int_equal(build.method, CALLS_NONE);
	assert_non_null(strstr(build.reason, "dispatch table"));
}

/* Real ones, if this machine has them: pyenv's have no tracepoints. */
static void frame_eval_sites_of_real_builds(void **state)
{
	const char *home = getenv("HOME");
	unsigned int kinds[8], seen = 0;
	char pattern[256];
	glob_t found;

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s/.pyenv/versions/3.*/lib/libpython3.{8,9,10}.so.1.0",
		 home ? home : "/root");
	if (glob(pattern, GLOB_BRACE, NULL, &found)) {
		print_message("no shared pyenv builds of 3.8 - 3.10 in %s\n", pattern);
		skip();
	}
	for (size_t i = 0; i < found.gl_pathc; i++) {
		int fd = open(found.gl_pathv[i], O_RDONLY | O_CLOEXEC);

		assert_int_equal(build_analyse(fd, found.gl_pathv[i], &build), 0);
		close(fd);
		if (build.method == CALLS_USDT)
			continue;
		if (build.method != CALLS_FRAME_EVAL)
			fail_msg("%s: %s", found.gl_pathv[i], build.reason);
		memset(kinds, 0, sizeof(kinds));
		for (size_t n = 0; n < build.site_count; n++) {
			assert_false(build.sites[n].stepped);
			kinds[build.sites[n].kind]++;
		}
		assert_true(kinds[SITE_ENTRY] && kinds[SITE_LEAVE]);
		assert_int_equal(kinds[SITE_UNWIND], 1);
		assert_int_equal(kinds[SITE_ENTRY] + kinds[SITE_LEAVE] + 1, build.site_count);
		seen++;
	}
	globfree(&found);
	if (!seen)
		skip();
}

static void a_built_in_jit_shows(void **state)
{
	static const struct {
		const char *string;
		bool jit;
	} cases[] = {{"PYTHON_JIT", true}, {"PYTHON_JIT_STRESS", false}, {"PYTHON", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct small_elf s = small_3_13();

		s.strings[0] = cases[i].string;
		assert_int_equal(analyse(&s), 0);
		assert_int_equal(build.method, CALLS_OPCODE);
		assert_int_equal(build.jit, cases[i].jit);
	}
}

/* A jump from elsewhere into a handler: the probe goes ahead of where it lands. */
static void jumps_into_handlers_are_avoided(void **state)
{
	const struct py_version_row *row = small_row(13, 0);
	uint64_t handler = SMALL_HANDLER(row->layout.op_return_value);
	uint64_t from = SMALL_USDT + 32;
	uint8_t far[5] = {0xe9}, near[2] = {0xeb, (uint8_t)-8};
	int32_t distance;
	struct small_elf s = small_3_13();

	(void)state;
	distance = (int32_t)(handler + 3 - (from + sizeof(far)));
	memcpy(far + 1, &distance, sizeof(distance));
	small_elf_make(&s);
	small_put(&s, from - SMALL_TEXT_SHIFT, far, sizeof(far));
	assert_int_equal(analyse_bytes(s.bytes, sizeof(s.bytes)), 0);
	assert_true(site_at_vaddr(handler) && site_at_vaddr(handler)->stepped);
	assert_null(site_at_vaddr(handler + 5));

	s = small_3_13();
	small_elf_make(&s);
	small_put(&s, handler + 9 - SMALL_TEXT_SHIFT, near, sizeof(near)); /* to handler + 3 */
	assert_int_equal(analyse_bytes(s.bytes, sizeof(s.bytes)), 0);
	assert_true(site_at_vaddr(handler) && site_at_vaddr(handler)->stepped);
}

static void check_refused(const char *reason)
{
	assert_true(build.layout_known); /* it has waits, with names */
	assert_int_equal(build.method, CALLS_NONE);
	assert_int_equal(build.site_count, 0);
	assert_non_null(strstr(build.reason, reason));
}

/* Without the place where throw() goes into generators, what it runs would be missed. */
static void throw_that_is_not_found_is_refused(void **state)
{
	static const uint8_t ends[] = {0xc3}, looks_elsewhere[] = {0xc9}; /* test %ecx,%ecx */
	struct small_elf s = small_3_13();

	(void)state;
	/* others come there, too */
	small_elf_make(&s);
	small_jump(&s, SMALL_USDT + 32, SMALL_COLD);
	assert_int_equal(analyse_bytes(s.bytes, sizeof(s.bytes)), 0);
	check_refused("throw()");
	/* the flag is looked at nowhere */
	s = small_3_13();
	small_elf_make(&s);
	small_put(&s, SMALL_EVAL + 1 - SMALL_TEXT_SHIFT, ends, sizeof(ends));
	assert_int_equal(analyse_bytes(s.bytes, sizeof(s.bytes)), 0);
	check_refused("throw()");
	/* or what is looked at is not the flag */
	s = small_3_13();
	small_elf_make(&s);
	small_put(&s, SMALL_EVAL + 10 - SMALL_TEXT_SHIFT, looks_elsewhere, sizeof(looks_elsewhere));
	assert_int_equal(analyse_bytes(s.bytes, sizeof(s.bytes)), 0);
	check_refused("throw()");
	/* there is no telling where the function begins */
	s = small_3_13();
	s.no_eval_symbol = true;
	assert_int_equal(analyse(&s), 0);
	check_refused("throw()");
}

static void a_table_that_does_not_fit_is_refused(void **state)
{
	const struct py_version_row *row = small_row(13, 0);
	unsigned int op = row->layout.op_return_value;
	struct small_elf s = small_3_13();

	(void)state;
	small_elf_make(&s);
	/* the relocation's addend: RETURN_VALUE shares its handler */
	small_put64(&s, 0x6000 + 24 * op + 16, SMALL_HANDLER(op + 1));
	assert_int_equal(analyse_bytes(s.bytes, sizeof(s.bytes)), 0);
	assert_true(build.layout_known);
	assert_int_equal(build.method, CALLS_NONE);
	assert_int_equal(build.site_count, 0);
	assert_true(build.reason[0]);
}

static void kernel_emulated_instructions(void **state)
{
	static const struct {
		uint8_t bytes[6];
		size_t length;
		bool emulated;
	} cases[] = {
		{{0x90}, 1, true},
		{{0x55}, 1, true},
		{{0x41, 0x57}, 2, true},
		{{0x74, 0x10}, 2, true},
		{{0xeb, 0x10}, 2, true},
		{{0xe8, 1, 2, 3, 4}, 5, true},
		{{0xe9, 1, 2, 3, 4}, 5, true},
		{{0x0f, 0x85, 1, 2, 3, 4}, 6, true},
		{{0x0f, 0x1f, 0x44, 0x00, 0x00}, 5, false}, /* the nop that may become a call */
		{{0x66, 0x90}, 2, false},
		{{0xc3}, 1, false},
		{{0x5d}, 1, false},
		{{0xff, 0xe0}, 2, false},
		{{0x48, 0x89, 0xc3}, 3, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(insn_is_emulated(cases[i].bytes, cases[i].length),
				 cases[i].emulated);
	assert_int_equal(insn_jump_target((const uint8_t[]){0xeb, 0xfe}, 2, 0x1000), 0x1000);
	assert_int_equal(insn_jump_target((const uint8_t[]){0x0f, 0x84, 0, 1, 0, 0}, 6, 0x1000),
			 0x1106);
	assert_int_equal(insn_jump_target((const uint8_t[]){0xe8, 0, 1, 0, 0}, 5, 0x1000), 0);
}

static void a_file_may_shrink_meanwhile(void **state)
{
	struct small_elf s = small_3_13();
	const struct elf_segment *segments;
	struct elf_symbol symbol;
	struct elf_file *elf;
	uint8_t *bytes;
	uint64_t word;
	size_t count;
	int fd;

	(void)state;
	small_elf_make(&s);
	fd = small_elf_open(s.bytes, sizeof(s.bytes));
	assert_int_equal(elf_file__open(fd, &elf), 0);
	assert_int_equal(elf_file__symbol(elf, "_PyRuntime", &symbol), 0);
	assert_int_equal(ftruncate(fd, 0x1800), 0);
	segments = elf_file__segments(elf, &count);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(elf_file__image(elf, &segments[i], &bytes), -ENODATA);
	assert_int_equal(elf_file__read(elf, symbol.vaddr, &word, sizeof(word)), -ENODATA);
	elf_file__close(elf);
	close(fd);
}

static void no_mutation_crashes(void **state)
{
	struct small_elf original[3] = {small_3_13(), small_3_9(), small_without_usdt(10)};

	(void)state;
	for (int i = 0; i < 3; i++) {
		static uint8_t bytes[SMALL_BYTES];

		small_elf_make(&original[i]);
		for (size_t size = 0; size < SMALL_BYTES; size += 509)
			analyse_bytes(original[i].bytes, size);
		/* the headers, byte by byte; the rest by chance */
		for (unsigned int n = 0; n < 1600; n++) {
			size_t at = n < 64 + 3 * 56 ? n : (n * 2654435761u) % SMALL_BYTES;

			if (n % 2)
				at = SMALL_META + at % (SMALL_BYTES - SMALL_META);
			memcpy(bytes, original[i].bytes, sizeof(bytes));
			bytes[at] ^= (uint8_t)(n % 3 ? 0xff : 1u << n % 8);
			analyse_bytes(bytes, sizeof(bytes));
		}
	}
}

/* The same with a real interpreter, if this machine has one. */
static void no_mutation_of_a_real_python_crashes(void **state)
{
	int fd = open("/usr/bin/python3", O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	uint8_t *bytes;

	(void)state;
	if (size <= 0 || size > 64 << 20 || !(bytes = malloc((size_t)size))) {
		close(fd);
		skip();
	}
	assert_int_equal(pread(fd, bytes, (size_t)size, 0), size);
	close(fd);
	for (unsigned int n = 0; n < 24; n++) {
		uint64_t at = (n * 0x9e3779b97f4a7c15ull) % (uint64_t)size;

		if (n % 3 == 0) {
			analyse_bytes(bytes, at);
			continue;
		}
		for (uint64_t i = n % 3 == 1 ? 0 : at; i < (uint64_t)size; i += 4099 + n)
			bytes[i] ^= (uint8_t)(1u << n % 8);
		memcpy(bytes, "\177ELF\2\1\1", 7);
		analyse_bytes(bytes, (size_t)size);
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_files_are_not_cpython),
		cmocka_unit_test(opcode_sites_of_3_13),
		cmocka_unit_test(every_version_has_a_method),
		cmocka_unit_test(unknown_versions_are_refused),
		cmocka_unit_test(nonsense_offsets_are_refused),
		cmocka_unit_test(versions_from_strings),
		cmocka_unit_test(debug_builds),
		cmocka_unit_test(trace_refs_builds),
		cmocka_unit_test(usdt_sites_and_semaphores),
		cmocka_unit_test(frame_eval_sites_without_usdt),
		cmocka_unit_test(doubtful_loops_are_refused),
		cmocka_unit_test(frame_eval_needs_its_dispatch_table),
		cmocka_unit_test(frame_eval_sites_of_real_builds),
		cmocka_unit_test(a_built_in_jit_shows),
		cmocka_unit_test(jumps_into_handlers_are_avoided),
		cmocka_unit_test(throw_that_is_not_found_is_refused),
		cmocka_unit_test(a_table_that_does_not_fit_is_refused),
		cmocka_unit_test(kernel_emulated_instructions),
		cmocka_unit_test(a_file_may_shrink_meanwhile),
		cmocka_unit_test(no_mutation_crashes),
		cmocka_unit_test(no_mutation_of_a_real_python_crashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
