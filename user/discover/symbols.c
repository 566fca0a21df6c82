/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The functions of files that processes have mapped: see symbols.h.  Of a function 24 bytes
 * are kept; its name is read from the file when code of it is first met.
 */
#include "symbols.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "elf_file.h"

#define NAME_BYTES 256
/* Functions before a place that we look at for one that covers it, and that share their start. */
#define MAX_OVERLAP 16

struct symbol_file {
	struct file_key key;
	const char *name; /* "FILE" */
	bool interpreter;
	struct elf_functions functions;
	const char **texts; /* as symbol_file__leaf() tells them; NULL: not read yet */
	UT_hash_handle hh;
};

struct text {
	UT_hash_handle hh;
	char characters[];
};

struct symbols {
	struct symbol_file *files; /* the least recently used first */
	struct text *texts;
	size_t functions, text_bytes;
};

static const char loop[] = "";            /* in symbol_file.texts: the interpreter's loop */
static const char unnamed[] = "[native]"; /* no room for more texts */

struct symbols *symbols__new(void)
{
	return calloc(1, sizeof(struct symbols));
}

static void file_free(struct symbols *symbols, struct symbol_file *file)
{
	HASH_DEL(symbols->files, file);
	symbols->functions -= file->functions.count;
	free(file->functions.list);
	free(file->texts);
	free(file);
}

void symbols__free(struct symbols *symbols)
{
	struct symbol_file *file, *next_file;
	struct text *text, *next_text;

	if (!symbols)
		return;
	HASH_ITER(hh, symbols->files, file, next_file)
	{
		file_free(symbols, file);
	}
	HASH_ITER(hh, symbols->texts, text, next_text)
	{
		HASH_DEL(symbols->texts, text);
		free(text);
	}
	free(symbols);
}

const char *symbols__intern(struct symbols *symbols, const char *characters)
{
	size_t length = strlen(characters);
	struct text *text;

	HASH_FIND(hh, symbols->texts, characters, length, text);
	if (text)
		return text->characters;
	if (symbols->text_bytes + sizeof(*text) + length + 1 > SYMBOLS_TEXT_BYTES)
		return unnamed;
	text = calloc(1, sizeof(*text) + length + 1);
	if (!text)
		return unnamed;
	symbols->text_bytes += sizeof(*text) + length + 1;
	memcpy(text->characters, characters, length);
	HASH_ADD(hh, symbols->texts, characters, length, text);
	return text->characters;
}

void file_key_set(struct file_key *key, const struct stat *st)
{
	*key = (struct file_key){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.changed =
			(uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec,
	};
}

struct symbol_file *symbols__find(struct symbols *symbols, const struct file_key *key)
{
	struct symbol_file *file;

	HASH_FIND(hh, symbols->files, key, sizeof(*key), file);
	if (file && file->hh.next) { /* to the end of the line */
		HASH_DEL(symbols->files, file);
		HASH_ADD(hh, symbols->files, key, sizeof(file->key), file);
	}
	return file;
}

static void read_file(struct symbol_file *file, int fd)
{
	struct elf_symbol runtime;
	struct elf_file *elf;

	if (elf_file__open(fd, &elf))
		return;
	file->interpreter = !elf_file__symbol(elf, "_PyRuntime", &runtime);
	if (!elf_file__functions(elf, SYMBOLS_MAX_FILE, &file->functions) &&
	    file->functions.count) {
		file->texts = calloc(file->functions.count, sizeof(*file->texts));
		if (!file->texts)
			file->functions.count = 0;
	}
	elf_file__close(elf);
}

struct symbol_file *symbols__add(struct symbols *symbols, const struct file_key *key, int fd,
				 const char *basename)
{
	struct symbol_file *file, *oldest, *next;

	file = calloc(1, sizeof(*file));
	if (!file)
		return NULL;
	file->key = *key;
	file->name = symbols__intern(symbols, basename);
	read_file(file, fd);
	symbols->functions += file->functions.count;
	HASH_ITER(hh, symbols->files, oldest, next)
	{
		if (symbols->functions <= SYMBOLS_MAX &&
		    HASH_COUNT(symbols->files) < SYMBOLS_MAX_FILES)
			break;
		file_free(symbols, oldest);
	}
	HASH_ADD(hh, symbols->files, key, sizeof(file->key), file);
	return file;
}

/* The function that covers `offset` and begins last before it; count of them: none does. */
static size_t covering(const struct elf_functions *functions, uint64_t offset)
{
	size_t low = 0, high = functions->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (functions->list[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t i = low; i > 0 && low - i < MAX_OVERLAP; i--) {
		const struct elf_function *function = &functions->list[i - 1];

		if (offset - function->offset < function->size)
			return i - 1;
	}
	return functions->count;
}

/* A version, and what the compiler calls a part or variant of a function, go. */
static void cut_name(char *name)
{
	if (name[0])
		name[1 + strcspn(name + 1, ".@")] = '\0';
}

/* Of several names for the same code: the one meant for people. */
static bool is_better(const char *name, const char *than)
{
	size_t hidden = strspn(name, "_"), than_hidden = strspn(than, "_");

	if (hidden != than_hidden)
		return hidden < than_hidden;
	if (strlen(name) != strlen(than))
		return strlen(name) < strlen(than);
	return strcmp(name, than) < 0;
}

/* The best name of those that begin where function `i` does. */
static int read_best(const struct symbol_file *file, int fd, size_t i, char best[NAME_BYTES])
{
	const struct elf_functions *functions = &file->functions;
	size_t first = i, last = i;
	char name[NAME_BYTES];

	while (first > 0 && i - first < MAX_OVERLAP &&
	       functions->list[first - 1].offset == functions->list[i].offset)
		first--;
	while (last + 1 < functions->count && last - i < MAX_OVERLAP &&
	       functions->list[last + 1].offset == functions->list[i].offset)
		last++;
	best[0] = '\0';
	for (size_t at = first; at <= last; at++) {
		int err = elf_functions__name(functions, &functions->list[at], fd, name,
					      sizeof(name));

		if (err)
			return err;
		cut_name(name);
		if (name[0] && (!best[0] || is_better(name, best)))
			memcpy(best, name, sizeof(name));
	}
	return 0;
}

/* What CPython runs bytecode with: that is the Python function, not something it called. */
static bool is_loop(const char *name)
{
	static const char *const prefixes[] = {"_PyEval", "_TAIL_CALL_"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	}
	return false;
}

int symbol_file__leaf(struct symbols *symbols, struct symbol_file *file, int fd, uint64_t offset,
		      const char **text)
{
	char name[NAME_BYTES], full[2 * NAME_BYTES + 2];
	size_t i = covering(&file->functions, offset);
	int err;

	*text = file->name;
	if (i == file->functions.count) {
		/* it has no names for its static functions where it is stripped */
		if (file->interpreter)
			*text = NULL;
		return 0;
	}
	if (!file->texts[i]) {
		if (fd < 0)
			return -EAGAIN;
		err = read_best(file, fd, i, name);
		if (err)
			return err;
		snprintf(full, sizeof(full), "%.255s: %s", file->name, name);
		if (file->interpreter && (!name[0] || is_loop(name)))
			file->texts[i] = loop;
		else
			file->texts[i] = name[0] ? symbols__intern(symbols, full) : file->name;
	}
	*text = file->texts[i] == loop ? NULL : file->texts[i];
	return 0;
}

size_t symbols__file_count(const struct symbols *symbols)
{
	return HASH_COUNT(symbols->files);
}

size_t symbols__function_count(const struct symbols *symbols)
{
	return symbols->functions;
}
