/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Everything about one CPython ELF, put together: see build.h. */
#include "build.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "code.h"
#include "elf_file.h"
#include "hidden.h"
#include "identify.h"
#include "libc.h"
#include "sites.h"

const char *calls_method_name(enum calls_method method)
{
	switch (method) {
	case CALLS_USDT:
		return "usdt";
	case CALLS_OPCODE:
		return "opcode";
	case CALLS_FRAME_EVAL:
		return "frame-eval";
	case CALLS_NONE:
		break;
	}
	return "none";
}

/*
 * How calls of this build are traced.  A version in which RESUME begins every
 * call is traced by its opcodes, whatever tracepoints it has: those of 3.15 miss
 * throw(), and take the making of a generator for a call.  Returns 0 or a negative errno.
 */
static int choose_method(const struct elf_file *elf, struct code *code,
			 const struct py_version_row *row, struct build *out)
{
	const char *why;
	int err;

	if (!row->layout.resume_ops[0]) {
		err = sites_add_usdt(elf, out);
		if (!err)
			out->method = CALLS_USDT;
		if (err != -ENOENT)
			return err;
		err = sites_add_frame_eval(elf, code, row, out, &why);
		if (!err)
			out->method = CALLS_FRAME_EVAL;
		if (err == -ENOENT)
			snprintf(out->reason, sizeof(out->reason),
				 "3.%d without tracepoints, and %s", row->minor, why);
		return err == -ENOENT ? 0 : err;
	}
	err = sites_add_opcodes(elf, code, row->opcodes, out);
	if (err)
		return err == -ENOENT ? 0 : err;
	out->method = CALLS_OPCODE;
	err = jit_built_in(elf);
	out->jit = err > 0;
	/* with Py_TRACE_REFS there is a pointer more before these (pycore_object_state.h) */
	out->interp_jit = out->trace_refs ? LAYOUT_ABSENT : row->interp_jit;
	out->interp_optimizer = out->trace_refs ? LAYOUT_ABSENT : row->interp_optimizer;
	return err < 0 ? err : 0;
}

static void refuse_calls(struct build *out, const char *why)
{
	snprintf(out->reason, sizeof(out->reason), "%s", why);
	out->method = CALLS_NONE;
	out->site_count = 0;
}

/* The sites beside those of calls and returns; without them some ends and entries are not seen. */
static int add_exceptional_sites(const struct elf_file *elf, struct code *code, struct build *out)
{
	int err;

	err = sites_add_unwind(elf, code, out);
	if (err == -ENOENT) {
		refuse_calls(out, "PyTraceBack_Here not found (stripped?): exceptions could not be "
				  "told");
		return 0;
	}
	if (err || out->method != CALLS_OPCODE)
		return err;
	err = sites_add_throw(elf, code, out);
	if (err == -ENOENT) {
		refuse_calls(out, "where throw() and close() go into generators was not found: "
				  "those calls would be missed");
		err = 0;
	}
	return err;
}

static int add_sites(const struct elf_file *elf, const struct py_version_row *row,
		     struct build *out)
{
	struct code *code = NULL;
	int err;

	err = code__new(elf, &code);
	if (!err)
		err = choose_method(elf, code, row, out);
	if (!err && out->method != CALLS_NONE)
		err = add_exceptional_sites(elf, code, out);
	if (err == -EFBIG || err == -E2BIG) {
		refuse_calls(out, err == -EFBIG ? "its code is larger than we read"
						: "it has more probe sites than a build can have");
		err = 0;
	}
	code__free(code);
	return err;
}

/* Where _PyRuntime is (vaddr 0: somewhere); -ENOENT if this is not CPython. */
static int find_runtime(const struct elf_file *elf, struct elf_symbol *runtime)
{
	int hidden;

	if (!elf_file__symbol(elf, "_PyRuntime", runtime))
		return 0;
	hidden = hidden_cpython(elf, runtime);
	if (hidden == -EFBIG)
		hidden = 0; /* so large a program could hold anything */
	return hidden < 0 ? hidden : hidden ? 0 : -ENOENT;
}

int build_analyse(int fd, const char *path, struct build *out)
{
	const struct py_version_row *row;
	struct elf_file *elf = NULL;
	struct elf_symbol runtime;
	struct stat st;
	int err;

	*out = (struct build){.fd = -1, .method = CALLS_NONE};
	if (fstat(fd, &st))
		return -errno;
	err = elf_file__open(fd, &elf);
	if (err)
		goto cleanup;
	err = find_runtime(elf, &runtime);
	if (err)
		goto cleanup;
	out->dev = st.st_dev;
	out->ino = st.st_ino;
	snprintf(out->path, sizeof(out->path), "%s", path);
	out->build_id_len = elf_file__build_id(elf, out->build_id, sizeof(out->build_id));
	err = layout_identify(elf, &runtime, out, &row);
	if (err)
		goto cleanup;
	err = libc_is_musl(elf);
	if (err < 0)
		goto cleanup;
	out->layout.musl = err;
	err = sites_add_gc(elf, out);
	if (err == -ENOENT || err == -E2BIG)
		err = 0;
	if (!err && row)
		err = add_sites(elf, row, out);
cleanup:
	elf_file__close(elf);
	if (err == -ENOEXEC)
		err = -ENOENT; /* no ELF, no CPython */
	if (!err)
		out->fd = fd;
	return err;
}
