/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Reading an ELF file somebody else made.  Nothing in it is believed: every
 * offset and length is checked against the file before it is used, and a file
 * that shrinks meanwhile gives an error.  Only 64-bit x86_64 is read.
 * Addresses are link-time virtual addresses.
 */
#ifndef PYTRACE_DISCOVER_ELF_FILE_H
#define PYTRACE_DISCOVER_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_file;

/* The part of a PT_LOAD segment that is in the file. */
struct elf_segment {
	uint64_t vaddr;
	uint64_t offset;
	uint64_t size;
	bool executable;
};

struct elf_symbol {
	uint64_t vaddr;
	uint64_t size; /* 0: not told */
};

/* A function's code, as the bytes of the file it is. */
struct elf_function {
	uint64_t offset;
	uint32_t size;
	uint32_t name; /* see elf_functions__name() */
};

/* By offset; several may be at one place, or lie over each other. */
struct elf_functions {
	struct elf_function *list; /* the caller's to free() */
	size_t count;
	uint64_t strings, strings_size; /* where in the file their names are */
};

/* A statically defined tracepoint. */
struct elf_probe {
	const char *provider;
	const char *name;
	const char *arguments; /* as <sys/sdt.h> writes them, "" if there are none */
	uint64_t vaddr;
	uint64_t semaphore; /* offset in the file, 0: none */
};

/*
 * Returns 0, -ENOEXEC if it is not an ELF file we read, or another negative
 * errno.  The caller keeps fd, and keeps it open until elf_file__close().
 */
int elf_file__open(int fd, struct elf_file **out);
void elf_file__close(struct elf_file *elf);

const struct elf_segment *elf_file__segments(const struct elf_file *elf, size_t *count);

/* Where the byte at `vaddr` is in the file.  Returns 0 or -ENOENT. */
int elf_file__offset(const struct elf_file *elf, uint64_t vaddr, uint64_t *offset);

/* Copy `length` bytes as they are in the file.  Returns 0 or a negative errno. */
int elf_file__read(const struct elf_file *elf, uint64_t vaddr, void *buffer, size_t length);

/* A symbol defined here, from .dynsym or else .symtab.  Returns 0 or -ENOENT. */
int elf_file__symbol(const struct elf_file *elf, const char *name, struct elf_symbol *out);

/* Does .dynsym define `name`?  Cheaper than elf_file__symbol() where it does not. */
bool elf_file__exports(const struct elf_file *elf, const char *name);

/*
 * The functions defined here, with their sizes, from .symtab or else .dynsym: the first `max`
 * it has.  Not told are those without a size, and what is not in executable segments.  Names
 * stay in the file.  Returns 0, if only with a count of 0, or a negative errno.
 */
int elf_file__functions(const struct elf_file *elf, size_t max, struct elf_functions *out);

/*
 * A function's name, cut where it does not fit, from the same file open at `fd`.
 * Returns 0 or a negative errno.
 */
int elf_functions__name(const struct elf_functions *functions, const struct elf_function *function,
			int fd, char *buffer, size_t size);

/*
 * Where the loader puts the addresses of symbols that this file takes from
 * others: at most `size` places, of all the `count` names together.  Returns how many.
 */
size_t elf_file__imports(const struct elf_file *elf, const char *const *names, size_t count,
			 uint64_t *places, size_t size);

/* The GNU build id: its length, 0 if there is none that fits. */
size_t elf_file__build_id(const struct elf_file *elf, uint8_t *buffer, size_t size);

/* Is there a DT_NEEDED entry that begins with `prefix`? */
bool elf_file__needs(const struct elf_file *elf, const char *prefix);

/* Is it an executable, rather than a library? */
bool elf_file__is_program(const struct elf_file *elf);

/*
 * One segment's bytes as they are in the file.  Returns 0 with *bytes,
 * segment->size of them, the caller's to free(), or a negative errno.
 */
int elf_file__bytes(const struct elf_file *elf, const struct elf_segment *segment, uint8_t **bytes);

/*
 * One segment's bytes as they are in memory when loaded where it was linked:
 * relocations that put addresses of this file in it are done.  Otherwise as
 * elf_file__bytes().
 */
int elf_file__image(const struct elf_file *elf, const struct elf_segment *segment, uint8_t **bytes);

/* Calls `each` for every tracepoint; its nonzero return ends the walk and is returned. */
int elf_file__probes(const struct elf_file *elf,
		     int (*each)(const struct elf_probe *probe, void *arg), void *arg);

#endif
