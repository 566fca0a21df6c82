/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reading CPython: from a task to its thread state, from there to the running
 * frame, from a code object to a function's slot and name.
 */
#ifndef PYTRACE_PYTHON_BPF_H
#define PYTRACE_PYTHON_BPF_H

#include "common.bpf.h"

#define MAX_THREAD_STATES 8192
#define RETRY_NS 100000ull /* between two searches for a thread state that was not there, ... */
#define RETRY_DOUBLINGS 10 /* ... which doubles so often: to 0.1 s */

static __always_inline const struct py_layout *layout_of(u32 build)
{
	return bpf_map_lookup_elem(&layouts, &build);
}

/* A 64-bit field of a copied frame head; out-of-range offsets read as 0. */
static __always_inline u64 head_u64(const u8 *head, u32 offset)
{
	if (offset > HEAD_BYTES - 8)
		return 0;
	return *(const u64 *)(head + (offset & (HEAD_BYTES - 8)));
}

static __always_inline u32 head_u32(const u8 *head, u32 offset)
{
	if (offset > HEAD_BYTES - 4)
		return 0;
	return *(const u32 *)(head + (offset & (HEAD_BYTES - 4)));
}

static __always_inline u8 head_u8(const u8 *head, u32 offset)
{
	if (offset > HEAD_BYTES - 1)
		return 0;
	return *(head + (offset & (HEAD_BYTES - 1)));
}

/* Copy the head of a frame: no more than any frame has, for the next byte may not be mapped. */
static __always_inline int peek_frame(struct task_struct *other, const struct py_layout *l,
				      u8 *head, u64 frame)
{
	u32 bytes = l->frame_head;

	barrier_var(bytes);
	if (bytes > HEAD_BYTES)
		return -1;
	return peek_user(other, head, bytes, frame);
}

/* Counts what could not be read. */
static __always_inline int read_frame(struct task_struct *other, const struct py_layout *l,
				      u8 *head, u64 frame)
{
	int err = frame ? peek_frame(other, l, head, frame) : -1;

	if (err && frame)
		lose(LOSS_UNREADABLE);
	return err;
}

static __always_inline u64 frame_previous(const struct py_layout *l, const u8 *head)
{
	return head_u64(head, l->frame_previous);
}

static __always_inline u64 frame_code(const struct py_layout *l, const u8 *head)
{
	return head_u64(head, l->frame_code) & ~(u64)l->code_tag_mask;
}

/* Is it a frame of the C stack, put there by a C function that called Python? */
static __always_inline bool frame_is_entry(const struct py_layout *l, const u8 *head)
{
	return l->frame_owner != LAYOUT_ABSENT && head_u8(head, l->frame_owner) >= l->owner_entry;
}

static __always_inline bool frame_is_generator(const struct py_layout *l, const u8 *head)
{
	return l->frame_owner != LAYOUT_ABSENT &&
	       head_u8(head, l->frame_owner) == l->owner_generator;
}

/*
 * Copy the head of the topmost frame of Python code, from `frame` on: entry frames of the C stack
 * may lie above it.  The current task only.  0, or not if there is none or it cannot be read.
 */
static __always_inline int read_code_frame(const struct py_layout *l, u8 *head, u64 frame)
{
	for (int i = 0; i < 3 && frame; i++) {
		if (read_frame(NULL, l, head, frame))
			return -1;
		if (!frame_is_entry(l, head))
			return 0;
		frame = frame_previous(l, head);
	}
	return -1;
}

/* A walk over the interpreters' lists of thread states. */
struct thread_search {
	const struct py_layout *layout;
	u64 next_interp; /* where the pointer to the next interpreter is */
	u64 tstate;
	u64 thread_id;
	u32 skip; /* so many that match come before the one that is meant */
	u32 pad;
	u64 found;
};

/* One step of it: the next thread state, or the next interpreter. */
static long thread_search_step(u32 i, void *arg)
{
	struct thread_search *search = arg;
	const struct py_layout *l = search->layout;
	u64 id = 0;

	if (!l)
		return 1;
	if (!search->tstate) {
		if (bpf_probe_read_user(&id, sizeof(id), (void *)search->next_interp) || !id)
			return 1;
		search->next_interp = id + l->interp_next;
		search->tstate = id + l->interp_threads_head - l->ts_next;
		return 0;
	}
	if (bpf_probe_read_user(&search->tstate, sizeof(u64),
				(void *)(search->tstate + l->ts_next)))
		return 1;
	if (!search->tstate ||
	    bpf_probe_read_user(&id, sizeof(id), (void *)(search->tstate + l->ts_thread_id)) ||
	    id != search->thread_id || search->skip-- > 0)
		return 0;
	search->found = search->tstate;
	return 1;
}

/*
 * The thread's identity as CPython records it: pthread_self(), which on x86_64
 * with glibc and musl is the FS base (PyThread_get_thread_ident,
 * Python/thread_pthread.h).
 */
static __always_inline u64 thread_ident(struct task_struct *task)
{
	return BPF_CORE_READ(task, thread.fsbase);
}

static __always_inline u64 gil_of(struct task_struct *other, const struct py_layout *l, u64 runtime,
				  u64 tstate)
{
	u64 interp;

	if (l->runtime_gil != LAYOUT_ABSENT)
		return runtime + l->runtime_gil;
	if (l->interp_gil == LAYOUT_ABSENT)
		return 0;
	interp = read_user_u64(other, tstate + l->ts_interp);
	return interp ? read_user_u64(other, interp + l->interp_gil) : 0;
}

static __always_inline void thread_has_gil(struct thread *t, u64 gil)
{
	if (t->gil != gil)
		t->gil_since = 0;
	t->gil = gil;
}

static __always_inline int thread_adopt(struct task_struct *other, struct thread *t,
					const struct py_layout *l, u64 tstate)
{
	t->tstate = tstate;
	thread_has_gil(t, gil_of(other, l, t->runtime, tstate));
	return 0;
}

/* Userspace's list of thread states, if it still holds for this one. */
static __always_inline int thread_find_listed(struct task_struct *other, struct thread *t,
					      const struct py_layout *l, u64 ident, u32 tgid)
{
	struct thread_key key = {.thread_id = ident, .tgid = tgid};
	u64 *listed = bpf_map_lookup_elem(&thread_states, &key);

	if (!listed || read_user_u64(other, *listed + l->ts_thread_id) != ident)
		return -1;
	return thread_adopt(other, t, l, *listed);
}

/*
 * Find the current task's thread state by walking the interpreters' lists: the nth, for a
 * thread has one in each interpreter it has run in.  Threads come and go meanwhile, so a
 * walk can lose its way: it is tried again.  0: not found.
 */
__noinline u64 thread_search_nth(struct thread *t, const struct py_layout *l, u32 nth)
{
	struct thread_search search = {};

	if (!t || !l)
		return 0;
	search.layout = l;
	search.thread_id = thread_ident(bpf_get_current_task_btf());
	for (int i = 0; i < 3 && !search.found; i++) {
		search.skip = nth;
		search.next_interp = t->runtime + l->runtime_interpreters_head;
		search.tstate = unknown_zero; /* 6.1 looks at the first step only */
		bpf_loop(MAX_THREAD_STATES, thread_search_step, &search, 0);
	}
	return search.found;
}

/* The same, to be the thread's from now on.  0 if found. */
static __always_inline int thread_find_nth(struct thread *t, const struct py_layout *l, u32 nth)
{
	u64 found = thread_search_nth(t, l, nth);

	t->tstate = 0;
	return found ? thread_adopt(NULL, t, l, found) : -1;
}

#define MAX_OWN_STATES 8 /* thread states of one thread that are tried */
#define LOOK_NS 100000000ull

/*
 * Who runs in several interpreters has a thread state in each, and changes from one to the other
 * without telling: note which those are.  Mostly there is one interpreter.
 */
__noinline int thread_note_states(struct thread *t, const struct py_layout *l)
{
	u64 first;

	if (!t || !l)
		return 0;
	for (u32 i = 0; i < OWN_STATES; i++)
		t->states[i] = 0;
	first = read_user_u64(NULL, t->runtime + l->runtime_interpreters_head);
	if (!first || !read_user_u64(NULL, first + l->interp_next))
		return 0;
	for (u32 i = 0; i < OWN_STATES; i++) {
		t->states[i] = thread_search_nth(t, l, i);
		if (!t->states[i])
			break;
	}
	return 0;
}

/* Its thread state as userspace listed it, or else the first there is.  0 if found. */
static __always_inline int thread_find(struct thread *t, const struct py_layout *l)
{
	struct task_struct *task = bpf_get_current_task_btf();

	t->tstate = 0;
	return thread_find_listed(NULL, t, l, thread_ident(task), task->tgid) &&
	       thread_find_nth(t, l, 0);
}

/* Address of the thread's current frame, 0 if it has none or it cannot be read. */
static __always_inline u64 current_frame(struct task_struct *other, const struct py_layout *l,
					 u64 tstate)
{
	u64 cframe;

	if (l->ts_cframe == LAYOUT_ABSENT)
		return read_user_u64(other, tstate + l->ts_frame);
	cframe = read_user_u64(other, tstate + l->ts_cframe);
	return cframe ? read_user_u64(other, cframe + l->cframe_current_frame) : 0;
}

/*
 * The thread state it is in, if it has several: one that has a frame, of the newest interpreter
 * first, for that was gone into from the others.
 */
__noinline int thread_choose_state(struct thread *t, const struct py_layout *l)
{
	u64 ident = thread_ident(bpf_get_current_task_btf()), tstate;

	if (!t || !l)
		return 0;
	for (u32 i = 0; i < OWN_STATES; i++) {
		tstate = t->states[i];
		if (!tstate)
			break;
		if (read_user_u64(NULL, tstate + l->ts_thread_id) != ident ||
		    !current_frame(NULL, l, tstate))
			continue;
		thread_adopt(NULL, t, l, tstate);
		break;
	}
	return 0;
}

/* The GIL of an interpreter that the current thread is in or goes into; `at`: in this one. */
__noinline u64 thread_gil_at(struct thread *t, const struct py_layout *l, u64 at)
{
	u64 gil;

	if (!t || !l)
		return 0;
	for (u32 i = 0; i < OWN_STATES; i++) {
		if (!t->states[i])
			break;
		gil = gil_of(NULL, l, t->runtime, t->states[i]);
		if (gil && at - gil < l->gil_size)
			return gil;
	}
	return 0;
}

struct string_head {
	u32 kind, ascii, compact;
	u64 chars, data;
};

/* Where a str's characters are.  CPython: Include/cpython/unicodeobject.h. */
static __always_inline int string_head(struct task_struct *other, const struct py_layout *l,
				       u64 object, struct string_head *out)
{
	u32 state = 0;

	if (!object || read_user(other, &state, sizeof(state), object + l->unicode_state))
		return -1;
	out->kind =
		(state >> (l->unicode_kind_shift & 31)) & ((1u << (l->unicode_kind_bits & 7)) - 1);
	out->compact = (state >> (l->unicode_compact_shift & 31)) & 1;
	out->ascii = (state >> (l->unicode_ascii_shift & 31)) & 1;
	out->chars = read_user_u64(other, object + l->unicode_length);
	if (!out->compact || (out->kind != 1 && out->kind != 2 && out->kind != 4))
		return -1;
	out->data = object + (out->ascii ? l->unicode_ascii_data : l->unicode_compact_data);
	return 0;
}

#define READ_STRING(other, l, object, record, what, limit)                                         \
	do {                                                                                       \
		struct string_head _head = {};                                                     \
		u64 _bytes;                                                                        \
		if (string_head(other, l, object, &_head))                                         \
			break;                                                                     \
		_bytes = _head.chars * _head.kind;                                                 \
		if (_head.chars > (limit) || _bytes > (limit)) {                                   \
			_bytes = (limit);                                                          \
			(record)->truncated = 1;                                                   \
			lose(LOSS_STRING);                                                         \
		}                                                                                  \
		_bytes &= 0x1ff;                                                                   \
		if (_bytes > (limit))                                                              \
			_bytes = (limit);                                                          \
		if (_bytes && read_user(other, (record)->what, _bytes, _head.data))                \
			break;                                                                     \
		(record)->what##_kind = _head.kind;                                                \
		(record)->what##_ascii = _head.ascii;                                              \
		(record)->what##_chars = _bytes / _head.kind;                                      \
	} while (0)

/* Send a function's identity to userspace.  0 if it went out. */
static __always_inline int function_tell(struct task_struct *other, const struct py_layout *l,
					 u32 tgid, u64 code, u32 slot)
{
	struct record_code *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	u32 name_offset = l->code_qualname != LAYOUT_ABSENT ? l->code_qualname : l->code_name;

	if (!record) {
		lose(LOSS_RING_CODE);
		return -1;
	}
	record->kind = RECORD_CODE;
	record->tgid = tgid;
	record->slot = slot;
	record->code = code;
	record->line = 0;
	record->name_chars = record->file_chars = 0;
	record->name_kind = record->file_kind = 0;
	record->truncated = 0;
	record->name_ascii = record->file_ascii = record->pad_bits = 0;
	read_user(other, &record->line, sizeof(record->line), code + l->code_firstlineno);
	READ_STRING(other, l, read_user_u64(other, code + name_offset), record, name,
		    NAME_MAX_BYTES);
	READ_STRING(other, l, read_user_u64(other, code + l->code_filename), record, file,
		    FILE_MAX_BYTES);
	bpf_ringbuf_submit(record, ring_wake_flag());
	return 0;
}

/* A function's counters; NULL: its slot is another's by now. */
static __always_inline struct function_stats *stats_of_slot(u32 slot)
{
	u32 place = SLOT_PLACE(slot);
	struct function_stats *stats = bpf_map_lookup_elem(&functions, &place);

	return stats && stats->slot == slot ? stats : NULL;
}

/* The first sight of a code object: give it a slot and tell userspace who it is. */
static __always_inline u32 function_new(struct task_struct *other, const struct py_layout *l,
					const struct function_key *key)
{
	struct function_key own = *key; /* 6.1 wants map keys on the program's own stack */
	struct function_stats *stats;
	u32 slot, place, *taken;

	if (bpf_map_pop_elem(&free_slots, &slot))
		return NO_FUNCTION;
	place = SLOT_PLACE(slot);
	stats = bpf_map_lookup_elem(&functions, &place);
	if (!stats)
		return NO_FUNCTION;
	stats->slot = slot;
	if (bpf_map_update_elem(&function_slots, &own, &slot, BPF_NOEXIST)) {
		bpf_map_push_elem(&free_slots, &slot, 0);
		/* another CPU was first, or the table is full */
		taken = bpf_map_lookup_elem(&function_slots, &own);
		return taken ? *taken : NO_FUNCTION;
	}
	stats->tgid = key->tgid;
	stats->key = *key;
	stats->told = !function_tell(other, l, key->tgid, key->code, slot);
	return slot;
}

__noinline u32 function_new_here(const struct py_layout *l, const struct function_key *key)
{
	return l && key ? function_new(NULL, l, key) : NO_FUNCTION;
}

/* Its identity did not fit the ring the first time. */
__noinline int function_tell_again(const struct py_layout *l, struct function_stats *stats,
				   u32 slot)
{
	/* (another CPU may be about to fill the slot in, and then tells itself) */
	if (l && stats && stats->key.code)
		stats->told = !function_tell(NULL, l, stats->tgid, stats->key.code, slot);
	return 0;
}

#define TEXT_WORDS 8 /* of a string, for telling it from others */

/* What tells the text of an ASCII string from others; of a long one its begin and length. */
static __always_inline u64 text_check(struct task_struct *other, const struct py_layout *l,
				      u64 string, u8 *scratch)
{
	u32 from = l->unicode_length, data = l->unicode_ascii_data;
	u32 bytes = data - from + 8 * TEXT_WORDS;
	u64 length, mixed;

	barrier_var(bytes);
	if (bytes > HEAD_BYTES || read_user(other, scratch, bytes, string + from))
		return 0;
	mixed = length = head_u64(scratch, 0);
	for (u32 i = 0; i < TEXT_WORDS && 8 * i < length; i++) {
		u64 word = head_u64(scratch, data - from + 8 * i);

		if (length < 8 * i + 8)
			word &= (1ull << 8 * (length & 7)) - 1;
		mixed = mixed * 31 + word;
	}
	return mixed;
}

#define MODULE_NAME 0x3e656c75646f6d3cull /* "<module>" */

/*
 * What tells this code object from others that had or will have its address:
 * its version where there is one (Objects/codeobject.c, init_code), else co_name's hash (kept in
 * the string: names are interned), and where its other names and its first line are.  Modules all
 * have the same name, and those made on the fly (a doctest's examples) file names at addresses
 * used before: of them the file's name is read.  `scratch` has HEAD_BYTES.
 */
static __always_inline u32 code_check(struct task_struct *other, const struct py_layout *l,
				      u64 code, u8 *scratch)
{
	u32 bytes = l->code_head_bytes, start = l->code_head, version = 0;
	u64 name, file, mixed;

	if (l->code_version != LAYOUT_ABSENT &&
	    !read_user(other, &version, sizeof(version), code + l->code_version) && version)
		return version;

	barrier_var(bytes);
	if (bytes > HEAD_BYTES || read_user(other, scratch, bytes, code + start))
		return 0;
	name = head_u64(scratch, l->code_name - start);
	file = head_u64(scratch, l->code_filename - start);
	mixed = file;
	if (l->code_qualname != LAYOUT_ABSENT)
		mixed = mixed * 31 + head_u64(scratch, l->code_qualname - start);
	mixed = mixed * 31 + head_u32(scratch, l->code_firstlineno - start);

	bytes = l->unicode_ascii_data + 8 - l->unicode_hash;
	barrier_var(bytes);
	if (bytes > HEAD_BYTES || read_user(other, scratch, bytes, name + l->unicode_hash))
		return mixed;
	mixed = mixed * 31 + head_u64(scratch, 0);
	if (head_u64(scratch, bytes - 8) == MODULE_NAME)
		mixed = mixed * 31 + text_check(other, l, file, scratch);
	return mixed ^ mixed >> 32;
}

static __always_inline u32 recent_place(u64 code)
{
	return (code >> 5 ^ code >> 10) & (RECENT_FUNCTIONS - 1);
}

/*
 * The slot of the function with this code object in the current process.  `recent` are
 * RECENT_FUNCTIONS of the current thread.
 */
static __always_inline u32 function_slot(struct recent_function *recent, const struct py_layout *l,
					 const struct function_key *key)
{
	u32 check = key->check ^ slots_epoch * 0x9e3779b1U; /* none is found from before */
	u32 *found, slot;

	recent += recent_place(key->code);
	if (recent->code == key->code && recent->check == check)
		return recent->slot;
	found = bpf_map_lookup_elem(&function_slots, key);
	slot = found ? *found : function_new_here(l, key);
	if (slot != NO_FUNCTION) {
		recent->slot = slot;
		recent->check = check;
		recent->code = key->code;
	}
	return slot;
}

/* The same of the current thread's frame whose head is in t->head, which is scratch afterwards. */
__noinline u32 function_of_frame(struct thread *t, const struct py_layout *l)
{
	struct function_key key = {};

	if (!t || !l)
		return NO_FUNCTION;
	key.code = frame_code(l, t->head);
	if (!key.code)
		return NO_FUNCTION;
	key.tgid = bpf_get_current_task_btf()->tgid;
	key.check = code_check(NULL, l, key.code, t->head);
	return function_slot(t->recent, l, &key);
}

#endif
