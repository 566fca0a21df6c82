/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Where things are inside one build of CPython.  Filled by user/discover from
 * the generated tables or from _Py_DebugOffsets, read by the kernel side.
 * Offsets are bytes; LAYOUT_ABSENT says the version has no such field.
 */
#ifndef PYTRACE_LAYOUT_H
#define PYTRACE_LAYOUT_H

#include <linux/types.h>

#define LAYOUT_ABSENT 0xffffffffU
#define LAYOUT_RESUME_OPS 6

/* Free-threaded builds park in a semaphore so near the stack pointer; it is 100 to 400 bytes. */
#define PARKED_WITHIN 1024

struct py_layout {
	__u64 runtime_vaddr;   /* link-time address of _PyRuntime */
	__u64 code_type_vaddr; /* and of PyCode_Type; 0: not known */

	__u32 runtime_interpreters_head;
	__u32 runtime_gil; /* GIL struct inside _PyRuntime (up to 3.11) */
	__u32 interp_next;
	__u32 interp_threads_head;
	__u32 interp_gil;           /* pointer to the GIL struct (3.12+) */
	__u32 interp_code_versions; /* the next code_version, 0: none left (3.12+) */

	__u32 gil_size;
	__u32 gil_locked;
	__u32 gil_last_holder;
	__u32 gil_switch_number;
	__u32 gil_cond;
	__u32 gil_mutex;
	__u32 gil_switch_cond;
	__u32 gil_switch_mutex;

	__u32 ts_next;
	__u32 ts_interp;
	__u32 ts_thread_id;
	__u32 ts_native_thread_id;
	__u32 ts_frame;  /* current frame, where the thread state holds it */
	__u32 ts_cframe; /* 3.11, 3.12: the frame hangs from a _PyCFrame */
	__u32 cframe_current_frame;

	/* what a thread of a free-threaded build is parked for; absent in others */
	__u32 ts_state;
	__u32 ts_critical_section; /* tagged pointer to the innermost PyCriticalSection */
	__u32 section_mutex;
	__u32 interp_stop_requester; /* the thread state that stops the interpreter's threads */
	__u32 runtime_stop_requester;

	__u32 frame_previous;
	__u32 frame_code;
	__u32 frame_instr; /* pointer to a code unit; up to 3.10 the index f_lasti */
	__u32 frame_owner;
	__u32 frame_tlbc;     /* which copy of its bytecode: see code_tlbc */
	__u32 frame_stacktop; /* 3.8, 3.9: f_stacktop */
	__u32 frame_state;    /* 3.10: f_state */

	__u32 code_filename;
	__u32 code_name;
	__u32 code_qualname;
	__u32 code_firstlineno;
	__u32 code_version; /* never the same for two code objects, 0: none left (3.12+) */
	__u32 code_units;   /* 3.11+: the units; up to 3.10: pointer to their bytes object */
	__u32 code_tlbc;    /* 3.14t: pointer to a size and so many pointers to copies of them */
	__u32 code_lines;   /* pointer to a bytes object: discover/lines.h says how */
	__u32 bytes_size;
	__u32 bytes_data;

	__u32 unicode_length;
	__u32 unicode_hash;
	__u32 unicode_state;
	__u32 unicode_ascii_data;
	__u32 unicode_compact_data;

	/* what an event loop calls, and the task behind it; some are not known of every build */
	__u32 frame_locals;
	__u32 object_type;
	__u32 type_name;
	__u32 type_base;
	__u32 function_code;
	__u32 method_function;
	__u32 builtin_def;
	__u32 builtin_self;
	__u32 partial_function; /* functools.partial: what it calls */
	__u32 handle_callback;  /* asyncio.Handle._callback */
	__u32 step_task;        /* of the callable that runs a step of a C task */
	__u32 task_coro;        /* these two: of a C task */
	__u32 task_name;        /* a str, or an int that makes up its number (3.12+) */
	__u32 coro_code;        /* of a coroutine or generator */

	/* derived by tracer__add_build(): what is read of a frame and of a code object */
	__u32 frame_head; /* bytes from the frame's start */
	__u32 code_head;  /* where it starts */
	__u32 code_head_bytes;

	__u8 unicode_kind_shift; /* in the state word */
	__u8 unicode_kind_bits;
	__u8 unicode_compact_shift;
	__u8 unicode_ascii_shift;

	__u8 owner_generator; /* frame_owner of a generator's frame */
	__u8 owner_entry;     /* from this value on: a C-stack entry frame, skip it */
	__u8 code_tag_mask;   /* tag bits of frame_code (3.14+) */
	__u8 lasti_unit;      /* bytes per f_lasti step (up to 3.10), else 0 */

	__u8 resume_ops[LAYOUT_RESUME_OPS]; /* RESUME and its twins; 0 ends the list */
	__u8 op_return_value;
	__u8 resume_genexpr; /* oparg of a RESUME that only makes a generator (3.15+), 0: none */
	__u8 nogil;          /* free-threaded build: no GIL */
	__u8 minor;          /* of the version: for messages, never for decisions */
	__u8 musl;           /* its C library is musl: see musl.h */

	__u8 thread_attached;     /* ts_state: it may run Python code */
	__u8 thread_suspended;    /* and: it may not, until the world goes on */
	__u8 section_tags;        /* tag bits of ts_critical_section */
	__u8 op_return_generator; /* 3.11+: after it a generator waits for its first run */
	__u8 pad[5];

	__u8 leaving_ops[32]; /* bit per opcode that returns or suspends, all their twins */
};

_Static_assert(sizeof(struct py_layout) == 336, "shared with the kernel side");

#endif
