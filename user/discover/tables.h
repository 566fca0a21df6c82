/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The rows of tables.inc: all that is known beforehand about each CPython version. tools/gen-tables makes them.
 *
 * To get the layout of a build, find the row of its version (py_version_rows: same minor and nogil, its kind among
 * kinds, micro within [micro_first, micro_last]; none: the version is unknown, refuse it) and copy row->layout. With
 * row->debug NULL (up to 3.12) it is complete but for runtime_vaddr. Else (3.13+) what the process publishes at
 * _PyRuntime, a struct _Py_DebugOffsets of row->debug->size bytes, fills the rest: check its cookie "xdebugpy", the
 * version at debug->version and debug->free_threaded (a row's nogil), then for each f of debug->fields[0 .. count-1]
 *
 *     *(__u32 *)((char *)&layout + f.field) = u64 at f.at  -  (f.base == PY_DEBUG_NO_BASE ? 0 : u64 at f.base)
 *
 * Those fields are LAYOUT_ABSENT in the row, so that one left out shows.
 */
#ifndef PYTRACE_DISCOVER_TABLES_H
#define PYTRACE_DISCOVER_TABLES_H

#include <stddef.h>

#include "../../include/layout.h"

#define PY_DEBUG_NO_BASE 0xffffU
#define PY_DEBUG_FIELDS_MAX 48
#define PY_OPCODES_MAX 20
#define PY_CACHES_UNKNOWN 255

struct py_debug_field {
	__u16 field; /* offsetof(struct py_layout, ...) */
	__u16 at;    /* where in _Py_DebugOffsets its value stands */
	__u16 base;  /* where the value to subtract stands, or PY_DEBUG_NO_BASE */
};

/* Where things are in the _Py_DebugOffsets of one minor version. */
struct py_debug_map {
	__u16 size;	     /* of the whole struct */
	__u16 version;	     /* u64: PY_VERSION_HEX */
	__u16 free_threaded; /* u64: 0 or 1 */
	__u16 interp_gc;     /* u64: the collector's state in the interpreter, and in that ... */
	__u16 gc_collecting; /* u64: ... its int `collecting` */
	__u16 count;
	struct py_debug_field fields[PY_DEBUG_FIELDS_MAX];
};

enum py_opcode_event {
	PY_OP_START = 1, /* RESUME: a call or a resumption (oparg & 3: 0 start, 1 yield, 2 yield from, 3 await) */
	PY_OP_RETURN,	 /* RETURN_VALUE, RETURN_CONST: the frame ends */
	PY_OP_YIELD,	 /* YIELD_VALUE, YIELD_FROM (up to 3.10): it is suspended */
	PY_OP_GENERATOR, /* RETURN_GENERATOR: a generator is made and its call returns */
};

enum py_opcode_flags {
	PY_OP_SPECIALIZED = 1,	/* the interpreter puts it in place of the plain one; no compiler emits it */
	PY_OP_INSTRUMENTED = 2, /* the same under sys.monitoring: coverage, debuggers, cProfile (3.12+) */
};

struct py_opcode {
	__u8 op; /* index into the dispatch table */
	__u8 event;
	__u8 flags;
	const char *name;
};

/*
 * One minor version's opcodes, and how to know its dispatch table (256 code pointers): all opcodes that are not defined
 * share one address, no defined one has that address, and each of ops[] has one of its own (other defined ones may
 * share theirs). The last condition also turns away the table beside it that traces for the JIT (3.15): in that one
 * all defined opcodes have the same address.
 */
struct py_opcodes {
	__u8 defined[32]; /* bit op & 7 of byte op >> 3: the opcode exists, plain, specialised, instrumented or internal */
	/*
	 * So many code units after one of this opcode are its cache, and no instructions (3.11+);
	 * PY_CACHES_UNKNOWN: it stands in place of another one that is kept elsewhere.
	 */
	__u8 caches[256];
	__u8 count;
	struct py_opcode ops[PY_OPCODES_MAX];
};

enum py_build_kinds {
	PY_BUILD_PLAIN = 1,
	PY_BUILD_DEBUG = 2, /* configure --with-pydebug (Py_DEBUG) */
};

struct py_version_row {
	__u8 minor; /* of 3.minor.micro */
	__u8 micro_first;
	__u8 micro_last;
	__u8 nogil;		     /* free-threaded build */
	__u8 kinds;		     /* enum py_build_kinds: which it holds for */
	__u32 runtime_gc_collecting; /* int gc.collecting in _PyRuntime (3.8) */
	__u32 interp_gc_collecting;  /* ... in the interpreter (3.9-3.12; later see debug) */
	__u32 gc_stats;		     /* the collector's counts by generation: so far before `collecting` */
	__u32 gc_stats_pointer;	     /* 1: a pointer to them (3.15+) */
	__u32 gc_generation0;	     /* in them: a byte that changes with each collection of the generation */
	__u32 gc_generation1;
	__u32 gc_generation2;
	__u32 interp_jit;	     /* bool in the interpreter: its JIT is on (3.14+) */
	__u32 interp_optimizer;	     /* pointer in the interpreter: what compiles for its JIT (3.13) */
	__u32 code_exceptions;	     /* pointer in the code object read when an exception passes through a frame of it */
	__u32 frame_argument;	     /* which of _PyEval_EvalFrameDefault is the frame object, from 0 (up to 3.10) */
	struct py_layout layout;
	const struct py_debug_map *debug; /* NULL: no _Py_DebugOffsets in this version */
	const struct py_opcodes *opcodes;
};

#endif
