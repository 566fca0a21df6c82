/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The builds met so far, and what every file examined was, so that a file many
 * processes map is opened once.
 */
#include "builds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf_file.h"

#define MAX_CODE_SEGMENTS 4
#define FIRST_SLOTS 256 /* a power of two */

struct known_build {
	struct build build;
	struct elf_segment code[MAX_CODE_SEGMENTS];
	size_t code_count;
};

/* A file that changes gets a new verdict: its size or its time differ then. */
struct seen_file {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed;
	struct file_verdict verdict;
	bool used;
};

struct builds {
	struct known_build *known[MAX_BUILDS]; /* each stays where it is */
	size_t count;
	struct seen_file *files; /* open addressing */
	size_t slots, used;
};

struct builds *builds__new(void)
{
	struct builds *builds = calloc(1, sizeof(*builds));

	if (!builds)
		return NULL;
	builds->slots = FIRST_SLOTS;
	builds->files = calloc(builds->slots, sizeof(*builds->files));
	if (!builds->files) {
		free(builds);
		return NULL;
	}
	return builds;
}

void builds__free(struct builds *builds)
{
	if (!builds)
		return;
	for (size_t i = 0; i < builds->count; i++) {
		close(builds->known[i]->build.fd);
		free(builds->known[i]);
	}
	free(builds->files);
	free(builds);
}

size_t builds__count(const struct builds *builds)
{
	return builds->count;
}

const struct build *builds__get(const struct builds *builds, size_t index)
{
	return index < builds->count ? &builds->known[index]->build : NULL;
}

/* The slot that holds this file, or the free one it would take. */
static struct seen_file *find_slot(struct seen_file *files, size_t slots, const struct stat *st)
{
	uint64_t hash = (st->st_ino ^ (uint64_t)st->st_dev << 40) * 0x9e3779b97f4a7c15ull;
	size_t i = (hash >> 32) & (slots - 1);

	while (files[i].used &&
	       (files[i].dev != st->st_dev || files[i].ino != st->st_ino ||
		files[i].size != st->st_size || files[i].changed.tv_sec != st->st_mtim.tv_sec ||
		files[i].changed.tv_nsec != st->st_mtim.tv_nsec))
		i = (i + 1) & (slots - 1);
	return &files[i];
}

/* Room for one more, with a quarter of the slots free. */
static int grow(struct builds *builds)
{
	struct seen_file *larger;

	if (builds->used + 1 < builds->slots / 4 * 3)
		return 0;
	larger = calloc(builds->slots * 2, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	for (size_t i = 0; i < builds->slots; i++) {
		const struct seen_file *old = &builds->files[i];
		struct stat st = {.st_dev = old->dev,
				  .st_ino = old->ino,
				  .st_size = old->size,
				  .st_mtim = old->changed};

		if (old->used)
			*find_slot(larger, builds->slots * 2, &st) = *old;
	}
	free(builds->files);
	builds->files = larger;
	builds->slots *= 2;
	return 0;
}

/* A build that is the same file, seen before under another size or time. */
static bool same_build(const struct build *a, const struct build *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->build_id_len == b->build_id_len &&
	       a->build_id_len && !memcmp(a->build_id, b->build_id, a->build_id_len);
}

/* Takes fd if it returns 0. */
static int add_build(struct builds *builds, const struct elf_file *elf, int fd, const char *shown,
		     struct file_verdict *out)
{
	struct known_build *known;
	const struct elf_segment *segments;
	size_t count;
	int err;

	known = calloc(1, sizeof(*known));
	if (!known)
		return -ENOMEM;
	err = build_analyse(fd, shown, &known->build);
	if (err)
		goto cleanup;
	for (out->build = 0; out->build < builds->count; out->build++) {
		if (same_build(&builds->known[out->build]->build, &known->build)) {
			close(fd);
			goto cleanup;
		}
	}
	if (builds->count == MAX_BUILDS) {
		err = -ENOSPC;
		goto cleanup;
	}
	segments = elf_file__segments(elf, &count);
	for (size_t i = 0; i < count && known->code_count < MAX_CODE_SEGMENTS; i++) {
		if (segments[i].executable)
			known->code[known->code_count++] = segments[i];
	}
	builds->known[builds->count++] = known;
	known = NULL;
cleanup:
	free(known);
	return err;
}

static const char *other_python(const struct elf_file *elf)
{
	static const struct {
		const char *symbol;
		const char *reason;
	} others[] = {
		{"pypy_execute_source", "PyPy is not CPython"},
		{"rpython_startup_code", "PyPy is not CPython"},
		{"PyEval_EvalFrameEx", "CPython before 3.7"},
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (elf_file__exports(elf, others[i].symbol))
			return others[i].reason;
	}
	return NULL;
}

static int examine(struct builds *builds, int *fd, const char *shown, struct file_verdict *out)
{
	struct elf_file *elf;
	int err;

	err = elf_file__open(*fd, &elf);
	if (err == -ENOEXEC)
		return 0;
	if (err)
		return err;
	if (!elf_file__exports(elf, "_PyRuntime") && (out->reason = other_python(elf))) {
		out->kind = FILE_OTHER_PYTHON;
		goto cleanup;
	}
	err = add_build(builds, elf, *fd, shown, out);
	if (!err) {
		out->kind = FILE_CPYTHON;
		*fd = -1;
	} else if (err == -ENOSPC) {
		out->kind = FILE_OTHER_PYTHON;
		out->reason = "more CPython builds here than can be told apart";
		err = 0;
	} else if (err == -ENOENT) {
		if (elf_file__needs(elf, "libpython"))
			out->kind = FILE_NEEDS_PYTHON;
		err = 0;
	}
cleanup:
	elf_file__close(elf);
	return err;
}

int builds__examine(struct builds *builds, const char *path, const char *shown,
		    const struct stat *st, struct file_verdict *out)
{
	struct seen_file *slot = find_slot(builds->files, builds->slots, st);
	int fd = -1, err;

	*out = (struct file_verdict){.kind = FILE_PLAIN};
	if (slot->used) {
		*out = slot->verdict;
		return 0;
	}
	err = grow(builds);
	if (err)
		return err;
	/* a device or a FIFO must neither block us nor notice */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	err = examine(builds, &fd, shown, out);
	if (fd >= 0)
		close(fd);
	if (err)
		return err;
	*find_slot(builds->files, builds->slots, st) = (struct seen_file){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.changed = st->st_mtim,
		.verdict = *out,
		.used = true,
	};
	builds->used++;
	return 0;
}

int builds__load_bias(const struct builds *builds, size_t index, uint64_t start, uint64_t offset,
		      uint64_t *bias)
{
	const struct known_build *known = builds->known[index];
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < known->code_count; i++) {
		const struct elf_segment *code = &known->code[i];

		if (offset < (code->offset & ~(page - 1)) || offset >= code->offset + code->size)
			continue;
		*bias = start - (offset - code->offset + code->vaddr);
		return 0;
	}
	return -ENOENT;
}
