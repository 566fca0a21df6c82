/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The functions of files: hostile symbol tables, and the bounds of what is kept.
 * Links: user/discover; libelf.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "../../user/discover/symbols.h"
#include "test_discover_elf.h"

/* The symbols of a made-up file, in .dynsym. */
static Elf64_Sym *symbols_in(struct small_elf *s, Elf64_Shdr **header)
{
	Elf64_Shdr *headers = (Elf64_Shdr *)(s->bytes + SMALL_SECTIONS);

	for (unsigned int i = 0; i < s->section_count; i++) {
		if (headers[i].sh_type == SHT_DYNSYM) {
			*header = &headers[i];
			return (Elf64_Sym *)(s->bytes + headers[i].sh_offset);
		}
	}
	fail();
	return NULL;
}

/* What a file of these bytes says of the code at `offset`. */
static const char *leaf_in(struct symbols *symbols, const void *bytes, size_t size, uint64_t offset)
{
	static uint64_t number;
	struct file_key key = {.ino = ++number};
	int fd = small_elf_open(bytes, size);
	struct symbol_file *file;
	const char *text = NULL;

	assert_true(fd >= 0);
	file = symbols__add(symbols, &key, fd, "f");
	assert_non_null(file);
	assert_ptr_equal(symbols__find(symbols, &key), file);
	symbol_file__leaf(symbols, file, fd, offset, &text);
	close(fd);
	return text;
}

/* One change to the symbols of a small library (no _PyRuntime). */
enum change {
	AS_IT_IS,
	NO_SIZE,
	HUGE_SIZE,
	FAR_VALUE,
	FAR_NAME,
	UNDEFINED,
	NO_FUNCTION,
	LONG_TABLE,
	FAR_TABLE,
	NO_STRINGS,
	STRINGS_ARE_SYMBOLS,
	LINK_NOWHERE,
	MEMORY_ONLY,
	VARIANT,
	TWO_NAMES,
};

static void change_symbols(struct small_elf *s, enum change change)
{
	Elf64_Shdr *header, *strings;
	Elf64_Sym *symbols = symbols_in(s, &header), *symbol = &symbols[2]; /* PyTraceBack_Here */
	char *names;

	strings = (Elf64_Shdr *)(s->bytes + SMALL_SECTIONS) + header->sh_link;
	names = (char *)s->bytes + strings->sh_offset;
	symbols[1].st_shndx = SHN_UNDEF; /* _PyRuntime */
	switch (change) {
	case AS_IT_IS:
		break;
	case NO_SIZE:
		symbol->st_size = 0;
		break;
	case HUGE_SIZE:
		symbol->st_size = UINT64_MAX;
		break;
	case FAR_VALUE:
		symbol->st_value = UINT64_MAX - 1;
		break;
	case FAR_NAME:
		symbol->st_name = UINT32_MAX;
		break;
	case UNDEFINED:
		symbol->st_shndx = SHN_UNDEF;
		break;
	case NO_FUNCTION:
		symbol->st_info = STT_OBJECT;
		break;
	case LONG_TABLE:
		header->sh_size = UINT64_MAX - 7;
		break;
	case FAR_TABLE:
		header->sh_offset = UINT64_MAX - 7;
		break;
	case NO_STRINGS:
		strings->sh_size = 0;
		break;
	case STRINGS_ARE_SYMBOLS:
		strings->sh_type = SHT_DYNSYM;
		break;
	case LINK_NOWHERE:
		header->sh_link = UINT32_MAX;
		break;
	case MEMORY_ONLY:
		strings->sh_type = SHT_NOBITS;
		break;
	case VARIANT:
		memcpy(names + symbol->st_name, "PyTrace.isra.0", sizeof("PyTrace.isra.0"));
		break;
	case TWO_NAMES:
		memcpy(names + symbols[3].st_name, "__PyTraceBack", sizeof("__PyTraceBack"));
		symbols[3].st_value = symbol->st_value;
		break;
	}
}

static void hostile_symbols(void **state)
{
	static const struct {
		enum change change;
		const char *text;
	} cases[] = {
		{AS_IT_IS, "f: PyTraceBack_Here"},
		{NO_SIZE, "f"},
		{HUGE_SIZE, "f: PyTraceBack_Here"},
		{FAR_VALUE, "f"},
		{FAR_NAME, "f"},
		{UNDEFINED, "f"},
		{NO_FUNCTION, "f"},
		{LONG_TABLE, "f"},
		{FAR_TABLE, "f"},
		{NO_STRINGS, "f"},
		{STRINGS_ARE_SYMBOLS, "f"},
		{LINK_NOWHERE, "f"},
		{MEMORY_ONLY, "f"},
		{VARIANT, "f: PyTrace"},
		{TWO_NAMES, "f: PyTraceBack_Here"},
	};
	struct symbols *symbols = symbols__new();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct small_elf s = {.hex = 0x030d05f0, .row = small_row(13, 0)};

		small_elf_make(&s);
		change_symbols(&s, cases[i].change);
		assert_string_equal(leaf_in(symbols, s.bytes, sizeof(s.bytes),
					    SMALL_UNWIND - SMALL_TEXT_SHIFT + 4),
				    cases[i].text);
	}
	symbols__free(symbols);
}

static void random_symbols(void **state)
{
	struct symbols *symbols = symbols__new();

	(void)state;
	srand(1);
	for (int round = 0; round < 3000; round++) {
		struct small_elf s = {.hex = 0x030d05f0, .row = small_row(13, 0)};
		size_t size = sizeof(s.bytes);

		small_elf_make(&s);
		for (int i = 0; i < 1 + round % 16; i++)
			s.bytes[SMALL_META + (size_t)rand() % (SMALL_BYTES - SMALL_META)] = rand();
		if (round % 10 == 0)
			size = (size_t)rand() % size;
		leaf_in(symbols, s.bytes, size, (uint64_t)(rand() % SMALL_BYTES));
	}
	symbols__free(symbols);
}

static void memory_is_bounded(void **state)
{
	int fd = large_elf_open(SYMBOLS_MAX_FILE + 1000), small = large_elf_open(3);
	struct symbols *symbols = symbols__new();
	struct symbol_file *file = NULL;
	const char *text, *kept;

	(void)state;
	for (uint64_t i = 0; i < 4; i++) {
		struct file_key key = {.ino = i};

		file = symbols__add(symbols, &key, fd, "large");
		assert_true(symbols__function_count(symbols) <= SYMBOLS_MAX);
		assert_int_equal(symbol_file__leaf(symbols, file, -1, 500, &text), -EAGAIN);
		assert_string_equal(text, "large");
		assert_int_equal(symbol_file__leaf(symbols, file, fd, 500, &text), 0);
		assert_string_equal(text, "large: large");
		assert_int_equal(symbol_file__leaf(symbols, file, -1, 500, &text), 0);
		assert_null(symbols__find(symbols, &(struct file_key){.ino = i - 2}));
	}
	assert_int_equal(symbols__function_count(symbols), SYMBOLS_MAX);
	kept = text;
	for (uint64_t i = 0; i < SYMBOLS_MAX_FILES + 100; i++) {
		struct file_key key = {.dev = 1, .ino = i};

		assert_non_null(symbols__add(symbols, &key, small, "small"));
		/* what is asked for stays */
		assert_non_null(symbols__find(symbols, &(struct file_key){.dev = 1, .ino = 0}));
	}
	assert_int_equal(symbols__file_count(symbols), SYMBOLS_MAX_FILES);
	assert_int_equal(symbols__function_count(symbols), 3 * SYMBOLS_MAX_FILES);

	for (int i = 0; i < 200000; i++) {
		char many[32];

		snprintf(many, sizeof(many), "%d", i);
		text = symbols__intern(symbols, many);
	}
	assert_string_equal(text, "[native]");
	assert_ptr_equal(symbols__intern(symbols, "large: large"), kept);
	assert_string_equal(symbols__intern(symbols, "0"), "0");
	symbols__free(symbols);
	close(fd);
	close(small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_symbols),
		cmocka_unit_test(random_symbols),
		cmocka_unit_test(memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
