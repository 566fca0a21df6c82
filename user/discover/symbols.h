/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The functions of files that processes have mapped, read once however many
 * map them, and the texts that name them.  Bounded: SYMBOLS_MAX functions of
 * 24 bytes (12 MiB) in SYMBOLS_MAX_FILES files, the least recently used go; 8 MiB of texts.
 */
#ifndef PYTRACE_DISCOVER_SYMBOLS_H
#define PYTRACE_DISCOVER_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define SYMBOLS_MAX_FILES 1024
#define SYMBOLS_MAX (512u << 10)      /* of all files together */
#define SYMBOLS_MAX_FILE (256u << 10) /* of one; the first it has */
#define SYMBOLS_TEXT_BYTES (8u << 20)

/* Which file, and that its content is the same. */
struct file_key {
	uint64_t dev, ino, size;
	uint64_t changed; /* ns */
};

struct symbols;
struct symbol_file;

struct symbols *symbols__new(void);
void symbols__free(struct symbols *symbols);

void file_key_set(struct file_key *key, const struct stat *st);

/*
 * What is known of a file; NULL: nothing (any more).  What these return is good until the next
 * symbols__add().
 */
struct symbol_file *symbols__find(struct symbols *symbols, const struct file_key *key);

/* Read the file open at `fd`.  Returns NULL without memory. */
struct symbol_file *symbols__add(struct symbols *symbols, const struct file_key *key, int fd,
				 const char *basename);

/*
 * What the code at `offset` of the file is: "FILE: FUNCTION", "FILE", or NULL for the loop of an
 * interpreter.  Returns 0, or -EAGAIN if the file has to be open at `fd` (-1: it is
 * not) for that, or another negative errno; *text is then "FILE".
 */
int symbol_file__leaf(struct symbols *symbols, struct symbol_file *file, int fd, uint64_t offset,
		      const char **text);

/* The same text for the same characters, as long as `symbols` lives. */
const char *symbols__intern(struct symbols *symbols, const char *text);

/* How much there is at the moment, for tests of the bounds. */
size_t symbols__file_count(const struct symbols *symbols);
size_t symbols__function_count(const struct symbols *symbols);

#endif
