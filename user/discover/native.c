/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What native code a Python thread was in: see native.h.  An address is looked up among the
 * remembered ones; else in the executable mappings of its process, which are read
 * when it is in none of those known; else in the functions of the file mapped there.
 */
#include "native.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "maps.h"
#include "symbols.h"

#include "clock.h"

#define IPS 16384               /* remembered; a power of two */
#define MAX_CODE 4096           /* executable mappings of a process */
#define MAX_CODE_TOTAL 65536    /* of all processes */
#define MAX_PROCESSES 16384     /* some have none */
#define REREAD_NS 500000000ull  /* the mappings of a process, at the soonest */
#define STALE_NS 60000000000ull /* and if something new is asked for: libraries do go at times */
#define CREDIT_NS 500000000ll   /* what reading may take at once ... */
#define CREDIT_SHARE 50         /* ... and in the long run: one part in so many */
#define NAME_BYTES 256

enum code_kind {
	CODE_FILE,
	CODE_JIT,
	CODE_VDSO,
	CODE_OTHER,
};

/* An executable mapping. */
struct code {
	uint64_t start, end, offset, inode;
	enum code_kind kind;
	bool keyed;
	struct file_key key; /* once code in it was met */
};

struct process_code {
	pid_t tgid;
	uint64_t read_at;  /* ns; 0: never */
	bool doubted;      /* one of them could not be opened */
	struct code *list; /* by address */
	size_t count;
	UT_hash_handle hh;
};

struct known_ip {
	uint64_t ip;
	pid_t tgid; /* 0: free */
	const char *text;
};

struct native {
	struct symbols *symbols;
	struct process_code *processes; /* the least recently used first */
	size_t code_count;
	uint64_t now;
	uint64_t credit_at;
	int64_t credit;
	struct known_ip ips[IPS];
	struct code scratch[MAX_CODE];
};

struct native *native__new(void)
{
	struct native *native = calloc(1, sizeof(*native));

	if (!native)
		return NULL;
	native->symbols = symbols__new();
	if (!native->symbols) {
		free(native);
		return NULL;
	}
	native->credit = CREDIT_NS;
	native->credit_at = monotonic_ns();
	return native;
}

static void process_free(struct native *native, struct process_code *process)
{
	HASH_DEL(native->processes, process);
	native->code_count -= process->count;
	free(process->list);
	free(process);
}

void native__free(struct native *native)
{
	struct process_code *process, *next;

	if (!native)
		return;
	HASH_ITER(hh, native->processes, process, next)
	{
		process_free(native, process);
	}
	symbols__free(native->symbols);
	free(native);
}

static void forget_ips(struct native *native, pid_t tgid)
{
	for (size_t i = 0; i < IPS; i++) {
		if (native->ips[i].tgid == tgid)
			native->ips[i].tgid = 0;
	}
}

void native__forget(struct native *native, pid_t tgid)
{
	struct process_code *process;

	HASH_FIND_INT(native->processes, &tgid, process);
	if (!process)
		return;
	forget_ips(native, tgid);
	process_free(native, process);
}

/* What a target maps must not keep us busy: reading is paid from a credit. */
static bool may_read(struct native *native)
{
	native->credit += (int64_t)((native->now - native->credit_at) / CREDIT_SHARE);
	if (native->credit > CREDIT_NS)
		native->credit = CREDIT_NS;
	native->credit_at = native->now;
	return native->credit > 0;
}

static void pay(struct native *native)
{
	uint64_t now = monotonic_ns();

	native->credit -= (int64_t)(now - native->now);
	native->now = now;
}

static struct process_code *process_of(struct native *native, pid_t tgid)
{
	struct process_code *process;

	HASH_FIND_INT(native->processes, &tgid, process);
	if (process && !process->hh.next)
		return process;
	if (process) { /* to the end of the line */
		HASH_DEL(native->processes, process);
	} else {
		process = calloc(1, sizeof(*process));
		if (!process)
			return NULL;
		process->tgid = tgid;
	}
	HASH_ADD_INT(native->processes, tgid, process);
	return process;
}

/* Keep what all processes have within bounds; the last one used stays. */
static void evict(struct native *native)
{
	struct process_code *oldest, *next;

	HASH_ITER(hh, native->processes, oldest, next)
	{
		if (!next || (native->code_count <= MAX_CODE_TOTAL &&
			      HASH_COUNT(native->processes) <= MAX_PROCESSES))
			return;
		forget_ips(native, oldest->tgid);
		process_free(native, oldest);
	}
}

static enum code_kind kind_of(const struct mapping *mapping)
{
	if (mapping->inode)
		return CODE_FILE;
	if (mapping_is_anonymous(mapping) || !strcmp(mapping->path, "[heap]") ||
	    !strncmp(mapping->path, "[stack", 6))
		return CODE_JIT;
	return strcmp(mapping->path, "[vdso]") ? CODE_OTHER : CODE_VDSO;
}

static size_t read_maps(pid_t tgid, struct code *list)
{
	struct mapping mapping;
	size_t count = 0, size = 0;
	char *line = NULL, path[64];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", tgid);
	maps = fopen(path, "re");
	if (!maps)
		return 0;
	for (int i = 0; i < MAPS_MAX && count < MAX_CODE && getline(&line, &size, maps) > 0; i++) {
		if (!mapping_parse(line, &mapping) || !mapping.executable)
			continue;
		list[count++] = (struct code){
			.start = mapping.start,
			.end = mapping.end,
			.offset = mapping.offset,
			.inode = mapping.inode,
			.kind = kind_of(&mapping),
		};
	}
	free(line);
	fclose(maps);
	return count;
}

static bool is_same(const struct process_code *process, const struct code *list, size_t count)
{
	if (process->count != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct code *a = &process->list[i], *b = &list[i];

		if (a->start != b->start || a->end != b->end || a->offset != b->offset ||
		    a->inode != b->inode || a->kind != b->kind)
			return false;
	}
	return true;
}

/* Read the mappings again.  Those of a process that is gone stay as they were. */
static void refresh(struct native *native, struct process_code *process)
{
	struct code *list;
	size_t count;

	if (!may_read(native))
		return;
	process->read_at = native->now;
	process->doubted = false;
	count = read_maps(process->tgid, native->scratch);
	if (!count || is_same(process, native->scratch, count))
		goto out;
	list = malloc(count * sizeof(*list));
	if (!list)
		goto out;
	memcpy(list, native->scratch, count * sizeof(*list));
	if (process->count)
		forget_ips(native, process->tgid);
	free(process->list);
	native->code_count += count - process->count;
	process->list = list;
	process->count = count;
	evict(native);
out:
	pay(native);
}

static struct code *find_code(const struct process_code *process, uint64_t ip)
{
	size_t low = 0, high = process->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct code *code = &process->list[middle];

		if (ip >= code->start && ip < code->end)
			return code;
		if (ip < code->start)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The symbols of what is mapped, if they are known. */
static struct symbol_file *known_file(struct native *native, const struct code *code)
{
	return code->keyed ? symbols__find(native->symbols, &code->key) : NULL;
}

/*
 * The file itself is needed: for its functions, or the name of one of them.  Returns whether
 * *text may be remembered.
 */
static bool read_leaf(struct native *native, struct process_code *process, struct code *code,
		      uint64_t offset, const char **text)
{
	pid_t tgid = process->tgid;
	struct symbol_file *file = NULL;
	bool done = false;
	char name[NAME_BYTES];
	struct stat st;
	int fd = -1;

	if (may_read(native)) {
		fd = mapping_open(tgid, code->start, code->end, &st);
		process->doubted |= fd < 0;
	}
	if (fd >= 0) {
		file_key_set(&code->key, &st);
		code->keyed = true;
		file = known_file(native, code);
	}
	if (!file && !mapping_basename(tgid, code->start, code->end, name, sizeof(name))) {
		*text = symbols__intern(native->symbols, name);
		if (fd >= 0)
			file = symbols__add(native->symbols, &code->key, fd, name);
	}
	if (file)
		done = !symbol_file__leaf(native->symbols, file, fd, offset, text);
	if (fd >= 0)
		close(fd);
	pay(native);
	return done;
}

static bool file_leaf(struct native *native, struct process_code *process, struct code *code,
		      uint64_t ip, const char **text)
{
	struct symbol_file *file = known_file(native, code);
	uint64_t offset = ip - code->start + code->offset;

	if (file && !symbol_file__leaf(native->symbols, file, -1, offset, text))
		return true;
	return read_leaf(native, process, code, offset, text);
}

/* Returns whether *text may be remembered. */
static bool look_up(struct native *native, pid_t tgid, uint64_t ip, const char **text)
{
	struct process_code *process;
	struct code *code;
	uint64_t age;

	native->now = monotonic_ns();
	process = process_of(native, tgid);
	if (!process)
		return false;
	code = find_code(process, ip);
	age = native->now - process->read_at;
	if (!process->read_at || age > (code && !process->doubted ? STALE_NS : REREAD_NS)) {
		refresh(native, process);
		code = find_code(process, ip);
	}
	if (!code)
		return false;
	switch (code->kind) {
	case CODE_FILE:
		return file_leaf(native, process, code, ip, text);
	case CODE_JIT:
		*text = "[jit]";
		break;
	case CODE_VDSO:
		*text = "[vdso]";
		break;
	case CODE_OTHER:
		break;
	}
	return true;
}

const char *native__leaf(struct native *native, pid_t tgid, uint64_t ip)
{
	uint64_t hash = (ip ^ (uint64_t)tgid << 40) * 0x9e3779b97f4a7c15ull;
	struct known_ip *known = &native->ips[hash >> 32 & (IPS - 1)];
	const char *text = NULL;

	if (known->ip == ip && known->tgid == tgid)
		return known->text;
	if (tgid > 0 && look_up(native, tgid, ip, &text))
		*known = (struct known_ip){.ip = ip, .tgid = tgid, .text = text};
	return text;
}
