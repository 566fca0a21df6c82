/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * One CPython ELF (an executable or a libpython): its version, layout and the
 * places where probes go.  Analysed once however many processes map it.
 */
#ifndef PYTRACE_BUILD_H
#define PYTRACE_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout.h"
#include "records.h"

struct py_opcodes;

#define BUILD_MAX_SITES SITE_MAX
#define BUILD_ID_BYTES 20
#define BUILD_REASON_BYTES 160

enum calls_method {
	CALLS_NONE, /* not possible: `reason` says why */
	CALLS_USDT,
	CALLS_OPCODE,
	CALLS_FRAME_EVAL,
};

/* A probe site. */
struct site {
	enum site_kind kind;
	uint64_t vaddr;       /* link-time address of the instruction */
	uint64_t file_offset; /* the same place as an offset in the file */
	uint64_t semaphore;   /* file offset of its USDT semaphore, 0: none */
	bool stepped;         /* the kernel cannot emulate it: a hit costs some 17 times as much */
};

/* Where a garbage collection begins or ends. */
struct gc_site {
	struct site site;
	struct probe_argument generation; /* of SITE_GC_START */
};

struct build {
	dev_t dev; /* of the opened file */
	ino_t ino;
	uint8_t build_id[BUILD_ID_BYTES];
	size_t build_id_len;
	char path[4096]; /* as the process that showed it names it; for people */
	int fd;          /* the file, open; attach through /proc/self/fd/N */
	int major, minor, micro;
	char version[32]; /* "3.13.5" */
	bool layout_known;
	struct py_layout layout;
	enum calls_method method;
	const struct py_opcodes *opcodes; /* static; NULL: layout unknown */
	uint32_t code_exceptions;         /* see struct py_version_row */
	bool trace_refs;                  /* Py_TRACE_REFS */
	bool jit;                         /* it has a JIT, which may be on or off in a process */
	uint32_t interp_jit;              /* what tells which: see struct py_version_row */
	uint32_t interp_optimizer;
	char reason[BUILD_REASON_BYTES]; /* why not, where something is missing */
	struct site sites[BUILD_MAX_SITES];
	size_t site_count;
	struct gc_site gc_sites[GC_SITE_MAX];
	size_t gc_site_count;   /* 0: it has no such tracepoints */
	struct gc_flag gc_flag; /* if layout_known */
};

/* "usdt", "opcode", "frame-eval" or "none". */
const char *calls_method_name(enum calls_method method);

/*
 * Analyse the ELF open at `fd`, which the build then owns.
 * Returns 0 with *out filled, even where it is CPython we cannot trace (then
 * layout_known is false or method is CALLS_NONE, and reason says why);
 * -ENOENT if it is not CPython; another negative errno if it
 * cannot be read.  On failure the caller still owns fd.
 */
int build_analyse(int fd, const char *path, struct build *out);

#endif
