/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Any bytes as the ELF file of an interpreter.  Build with
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude -Iuser
 *         tests/fuzz/fuzz_elf.c and all of user/discover, -lelf -lcapstone
 * It starts from files that are right; run it as `fuzz_elf -max_len=32768 CORPUS`.
 */
#include <stdlib.h>

#include "../../user/discover/build.h"
#include "../../user/discover/elf_file.h"
#include "../unit/test_discover_elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

/* By offset, inside the file, with names that end. */
static void functions_are_right(int fd, size_t size)
{
	struct elf_functions functions;
	struct elf_file *elf;
	char name[64];

	if (elf_file__open(fd, &elf))
		return;
	if (elf_file__functions(elf, 512, &functions))
		functions = (struct elf_functions){0};
	if (functions.count > 512)
		abort();
	for (size_t i = 0; i < functions.count; i++) {
		const struct elf_function *f = &functions.list[i];

		if (!f->size || f->offset > size || f->size > size - f->offset ||
		    (i && f->offset < f[-1].offset))
			abort();
		if (!elf_functions__name(&functions, f, fd, name, sizeof(name)) &&
		    strlen(name) >= sizeof(name))
			abort();
	}
	free(functions.list);
	elf_file__close(elf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct build build;
	int fd = small_elf_open(data, size);

	if (fd < 0)
		return 0;
	if (!build_analyse(fd, "fuzz", &build) && build.site_count > BUILD_MAX_SITES)
		abort();
	functions_are_right(fd, size);
	close(fd);
	return 0;
}

/*
 * Few random bytes are an ELF file, and few changes to one leave it one that
 * gets far: now and then begin again with a right one, and change little of it.
 */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	static const char *const versions[][2] = {
		{"cpython-38", "3.8.18"}, {"cpython-39", "3.9.2"}, {"cpython-310", "3.10.13"}};
	struct small_elf s = {.usdt = seed & 1};
	size_t at, length;

	if (max < sizeof(s.bytes) || (size >= sizeof(s.bytes) && seed % 8))
		goto mutate;
	s.row = &py_version_rows[seed / 8 % (sizeof(py_version_rows) / sizeof(py_version_rows[0]))];
	s.nogil = s.row->nogil;
	s.hex = seed & 2 ? 0x030000f0 + (s.row->minor << 16) : 0;
	if (s.row->minor <= 10)
		memcpy(s.strings, versions[s.row->minor - 8], sizeof(versions[0]));
	small_elf_make(&s);
	memcpy(data, s.bytes, sizeof(s.bytes));
	size = sizeof(s.bytes);
mutate:
	if (size < 256 || seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max);
	/* in place, so that everything else stays where it is */
	at = (seed >> 4) * 2654435761u % size;
	if (seed & 4 && size > SMALL_META)
		at = SMALL_META + at % (size - SMALL_META);
	length = size - at < 8 ? size - at : 8;
	LLVMFuzzerMutate(data + at, length, length);
	return size;
}
