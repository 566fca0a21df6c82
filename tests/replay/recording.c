// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include "recording.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MAGIC "pytrace-bpf recording 1\n"
#define LINE 128
#define GAP 8 /* bytes that have not changed are written again rather than told apart */

/* By name, so that recordings outlive changes of struct py_layout. */
/* clang-format off */
#define LAYOUT_OFFSETS(X) \
	X(runtime_interpreters_head) X(runtime_gil) X(interp_next) X(interp_threads_head) X(interp_gil) \
	X(ts_next) X(ts_interp) X(ts_thread_id) X(ts_native_thread_id) X(ts_frame) X(ts_cframe) \
	X(cframe_current_frame) X(frame_previous) X(frame_code) X(frame_instr) X(frame_owner) \
	X(frame_stacktop) X(frame_state) X(code_filename) X(code_name) X(code_qualname) \
	X(code_firstlineno) X(code_version) X(code_units) X(bytes_data) X(unicode_length) \
	X(unicode_hash) X(unicode_state) X(unicode_ascii_data) X(unicode_compact_data) \
	X(frame_locals) X(object_type) X(type_name) X(type_base) X(function_code) X(method_function) \
	X(builtin_def) X(builtin_self) X(partial_function) X(handle_callback) X(step_task) \
	X(task_coro) X(task_name) X(coro_code)
#define LAYOUT_NUMBERS(X) \
	X(unicode_kind_shift) X(unicode_kind_bits) X(unicode_compact_shift) X(unicode_ascii_shift) \
	X(owner_generator) X(owner_entry) X(code_tag_mask) X(lasti_unit) X(op_return_value) \
	X(resume_genexpr) X(nogil) X(minor)
#define LAYOUT_BYTES(X) X(resume_ops) X(leaving_ops)
/* clang-format on */

struct recording_state {
	gzFile file;
	size_t threads;
	uint64_t last[SITE_MAX][REGISTERS]; /* register values at a site's last hit */
	uint64_t last_address;
	uint8_t *pending; /* writing: what has become known since the last event */
	size_t pending_bytes, pending_size, pending_count;
	bool failed;
};

/* --- writing */

static void put(struct recording_state *state, const void *bytes, size_t size)
{
	if (size && gzwrite(state->file, bytes, size) != (int)size)
		state->failed = true;
}

static size_t varint(uint8_t *to, uint64_t value)
{
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		to[n++] = value | 0x80;
	to[n++] = value;
	return n;
}

static void put_number(struct recording_state *state, uint64_t value)
{
	uint8_t bytes[10];

	put(state, bytes, varint(bytes, value));
}

static uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static int64_t unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1 ^ -(value & 1));
}

bool recording__create(const char *path, struct recording *recording)
{
	const struct py_layout *l = &recording->layout;
	struct recording_state *state = calloc(1, sizeof(*state));

	recording->state = state;
	recording->image = image__new();
	state->file = gzopen(path, "wb9");
	if (!state->file) {
		perror(path);
		return false;
	}
	gzprintf(state->file, MAGIC);
	gzprintf(state->file, "runtime_vaddr %" PRIu64 "\n", (uint64_t)l->runtime_vaddr);
#define X(field) gzprintf(state->file, #field " %" PRIu64 "\n", (uint64_t)l->field);
	LAYOUT_OFFSETS(X)
	LAYOUT_NUMBERS(X)
#undef X
#define X(field)                                                                                   \
	gzprintf(state->file, #field " ");                                                         \
	for (size_t i = 0; i < sizeof(l->field); i++)                                              \
		gzprintf(state->file, "%02x", l->field[i]);                                        \
	gzprintf(state->file, "\n");
	LAYOUT_BYTES(X)
#undef X
	gzprintf(state->file, "bias %" PRIu64 "\n", recording->bias);
	for (size_t i = 0; i < recording->site_count; i++)
		gzprintf(state->file, "site %d %" PRIu64 "\n", (int)recording->sites[i].kind,
			 recording->sites[i].vaddr);
	gzprintf(state->file, "\n");
	return true;
}

void recording__add_thread(struct recording *recording, uint64_t fsbase)
{
	put_number(recording->state, EVENT_THREAD);
	put_number(recording->state, fsbase);
}

static void pend(struct recording_state *state, const void *bytes, size_t size)
{
	if (state->pending_bytes + size > state->pending_size) {
		state->pending_size = 2 * (state->pending_bytes + size);
		state->pending = realloc(state->pending, state->pending_size);
		if (!state->pending)
			abort();
	}
	memcpy(state->pending + state->pending_bytes, bytes, size);
	state->pending_bytes += size;
}

static void pend_number(struct recording_state *state, uint64_t value)
{
	uint8_t bytes[10];

	pend(state, bytes, varint(bytes, value));
}

static void pend_stretch(struct recording_state *state, uint64_t address, size_t size, bool fault)
{
	pend_number(state, zigzag((int64_t)(address - state->last_address)));
	pend_number(state, (uint64_t)size << 1 | fault);
	state->last_address = address + size;
	state->pending_count++;
}

void recording__add_read(struct recording *recording, uint64_t address, const void *bytes,
			 size_t size)
{
	const uint8_t *byte = bytes;
	size_t begin = 0, end;

	while (begin < size) {
		size_t same = 0;

		if (image__holds(recording->image, address + begin, byte[begin])) {
			begin++;
			continue;
		}
		for (end = begin + 1; end + same < size && same < GAP;) {
			if (image__holds(recording->image, address + end + same,
					 byte[end + same])) {
				same++;
			} else {
				end += same + 1;
				same = 0;
			}
		}
		pend_stretch(recording->state, address + begin, end - begin, false);
		pend(recording->state, byte + begin, end - begin);
		image__write(recording->image, address + begin, byte + begin, end - begin);
		begin = end;
	}
}

void recording__add_fault(struct recording *recording, uint64_t address, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!image__knows(recording->image, address + i))
			return; /* it does not read as it is */
	}
	pend_stretch(recording->state, address, size, true);
	image__forget(recording->image, address, size);
}

void recording__add_hit(struct recording *recording, size_t thread, size_t site,
			const uint64_t registers[REGISTERS], uint32_t which)
{
	struct recording_state *state = recording->state;
	uint32_t changed = 0;

	for (size_t i = 0; i < REGISTERS; i++)
		if (which >> i & 1 && registers[i] != state->last[site][i])
			changed |= 1u << i;
	put_number(state, EVENT_HIT);
	put_number(state, thread);
	put_number(state, site);
	put_number(state, changed);
	for (size_t i = 0; i < REGISTERS; i++) {
		if (!(changed >> i & 1))
			continue;
		put_number(state, zigzag((int64_t)(registers[i] - state->last[site][i])));
		state->last[site][i] = registers[i];
	}
	put_number(state, state->pending_count);
	put(state, state->pending, state->pending_bytes);
	state->pending_count = state->pending_bytes = 0;
}

void recording__add_exit(struct recording *recording, size_t thread)
{
	put_number(recording->state, EVENT_EXIT);
	put_number(recording->state, thread);
}

bool recording__finish(struct recording *recording)
{
	struct recording_state *state = recording->state;
	bool ok;

	put_number(state, EVENT_END);
	ok = gzclose(state->file) == Z_OK && !state->failed;
	state->file = NULL;
	recording__close(recording);
	return ok;
}

/* --- reading */

static bool get(struct recording_state *state, void *to, size_t size)
{
	if (size && gzread(state->file, to, size) != (int)size)
		state->failed = true;
	return !state->failed;
}

static uint64_t get_number(struct recording_state *state)
{
	uint64_t value = 0;
	uint8_t byte = 0x80;

	for (unsigned int shift = 0; byte & 0x80 && shift < 64; shift += 7) {
		if (!get(state, &byte, 1))
			return 0;
		value |= (uint64_t)(byte & 0x7f) << shift;
	}
	return value;
}

static void parse_bytes(const char *text, uint8_t *to, size_t size)
{
	unsigned int byte;

	for (size_t i = 0; i < size && sscanf(text + 2 * i, "%2x", &byte) == 1; i++)
		to[i] = byte;
}

static void parse_line(struct recording *recording, const char *line)
{
	struct py_layout *l = &recording->layout;
	char name[LINE] = "", text[LINE] = "";
	uint64_t value, second;

	if (sscanf(line, "site %" SCNu64 " %" SCNu64, &value, &second) == 2) {
		if (recording->site_count < SITE_MAX)
			recording->sites[recording->site_count++] = (struct recording_site){
				.kind = (enum site_kind)value, .vaddr = second};
		return;
	}
	if (sscanf(line, "%127s %127s", name, text) != 2)
		return;
	value = strtoull(text, NULL, 10);
	if (!strcmp(name, "bias"))
		recording->bias = value;
	if (!strcmp(name, "runtime_vaddr"))
		l->runtime_vaddr = value;
#define X(field)                                                                                   \
	if (!strcmp(name, #field))                                                                 \
		l->field = value;
	LAYOUT_OFFSETS(X)
	LAYOUT_NUMBERS(X)
#undef X
#define X(field)                                                                                   \
	if (!strcmp(name, #field))                                                                 \
		parse_bytes(text, l->field, sizeof(l->field));
	LAYOUT_BYTES(X)
#undef X
}

bool recording__open(const char *path, struct recording *out)
{
	char line[LINE] = "";

	*out = (struct recording){.image = image__new(), .state = calloc(1, sizeof(*out->state))};
#define X(field) out->layout.field = LAYOUT_ABSENT;
	LAYOUT_OFFSETS(X)
#undef X
	out->state->file = gzopen(path, "rb");
	if (!out->state->file) {
		perror(path);
		return false;
	}
	if (!gzgets(out->state->file, line, sizeof(line)) || strcmp(line, MAGIC) != 0) {
		fprintf(stderr, "%s: not a recording, or of another format\n", path);
		return false;
	}
	while (gzgets(out->state->file, line, sizeof(line)) && line[0] != '\n')
		parse_line(out, line);
	return true;
}

static void read_hit(struct recording *recording)
{
	struct recording_state *state = recording->state;
	uint64_t changed, count;

	recording->thread = get_number(state);
	recording->site = get_number(state);
	changed = get_number(state);
	if (recording->thread >= state->threads || recording->site >= recording->site_count) {
		state->failed = true;
		return;
	}
	for (size_t i = 0; i < REGISTERS; i++) {
		if (changed >> i & 1)
			state->last[recording->site][i] += (uint64_t)unzigzag(get_number(state));
		recording->registers[i] = state->last[recording->site][i];
	}
	count = get_number(state);
	while (count-- && !state->failed) {
		uint64_t at = state->last_address + (uint64_t)unzigzag(get_number(state));
		uint64_t size = get_number(state);
		uint8_t bytes[1024];

		state->last_address = at + (size >> 1);
		if (size >> 1 > sizeof(bytes)) {
			state->failed = true;
		} else if (size & 1) {
			image__forget(recording->image, at, size >> 1);
		} else if (get(state, bytes, size >> 1)) {
			image__write(recording->image, at, bytes, size >> 1);
		}
	}
}

bool recording__next(struct recording *recording)
{
	struct recording_state *state = recording->state;

	recording->event = get_number(state);
	switch (recording->event) {
	case EVENT_END:
		break;
	case EVENT_THREAD:
		recording->fsbase = get_number(state);
		recording->thread = state->threads++;
		if (recording->thread >= RECORDING_THREADS)
			state->failed = true;
		break;
	case EVENT_HIT:
		read_hit(recording);
		break;
	case EVENT_EXIT:
		recording->thread = get_number(state);
		if (recording->thread >= state->threads)
			state->failed = true;
		break;
	default:
		state->failed = true;
	}
	if (state->failed)
		fprintf(stderr, "the recording is not well-formed\n");
	return !state->failed;
}

void recording__close(struct recording *recording)
{
	if (recording->state && recording->state->file)
		gzclose(recording->state->file);
	if (recording->state)
		free(recording->state->pending);
	free(recording->state);
	image__free(recording->image);
	recording->state = NULL;
	recording->image = NULL;
}
