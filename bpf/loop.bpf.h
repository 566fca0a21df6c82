/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Event loops: asyncio's calls every callback through Handle._run (Lib/asyncio/events.py),
 * which is traced like any call.  Here it is found out what was called, and for a step of a
 * task which task and whose coroutine.
 */
#ifndef PYTRACE_LOOP_BPF_H
#define PYTRACE_LOOP_BPF_H

#include "python.bpf.h"

#define CALLBACK_WRAPS 4 /* a partial of a method, ... */
#define TYPE_BASES 4     /* classes made of a type we know */

enum object_kind {
	OBJECT_OTHER,
	OBJECT_FUNCTION,
	OBJECT_METHOD,
	OBJECT_BUILTIN,
	OBJECT_PARTIAL,
	OBJECT_STEP,   /* what calls a step of a C task */
	OBJECT_WAKEUP, /* the same after a wait, up to 3.9; then it is a builtin */
	OBJECT_TASK,
	OBJECT_COROUTINE,
	OBJECT_STR,
	OBJECT_INT,
	OBJECT_NONE,
};

union type_name {
	char text[32];
	u64 words[4];
};

/*
 * tp_name of the types we know.  (Modules/_asynciomodule.c: TaskStepMethWrapper's has its
 * module's name from 3.12 on.)
 */
static const struct {
	union type_name name;
	enum object_kind kind;
} type_names[] = {
	{{"function"}, OBJECT_FUNCTION},
	{{"method"}, OBJECT_METHOD},
	{{"builtin_function_or_method"}, OBJECT_BUILTIN},
	{{"functools.partial"}, OBJECT_PARTIAL},
	{{"TaskStepMethWrapper"}, OBJECT_STEP},
	{{"_asyncio.TaskStepMethWrapper"}, OBJECT_STEP},
	{{"TaskWakeupMethWrapper"}, OBJECT_WAKEUP},
	{{"_asyncio.Task"}, OBJECT_TASK},
	{{"coroutine"}, OBJECT_COROUTINE},
	{{"generator"}, OBJECT_COROUTINE},
	{{"str"}, OBJECT_STR},
	{{"int"}, OBJECT_INT},
	{{"NoneType"}, OBJECT_NONE},
};
#define TYPE_NAMES (sizeof(type_names) / sizeof(type_names[0]))

/* What is found out of a callback, one function after the other: nested they need too much stack.
 */
struct callback {
	struct callback_key key;
	u64 next; /* what to look at instead; 0: nothing */
	u64 task; /* whose step it is */
	u64 code; /* of the function called */
};

/* A pointer in an object, 0 where the build has none that we know of. */
static __always_inline u64 object_field(u64 object, u32 offset)
{
	return object && offset != LAYOUT_ABSENT ? read_user_u64(NULL, object + offset) : 0;
}

static __always_inline u64 same_name(const union type_name *a, const union type_name *b)
{
	return !((a->words[0] ^ b->words[0]) | (a->words[1] ^ b->words[1]) |
		 (a->words[2] ^ b->words[2]) | (a->words[3] ^ b->words[3]));
}

/* What kind the type is by its own name. */
static __noinline int type_kind(const struct py_layout *l, u64 type)
{
	u64 at = object_field(type, l->type_name);
	union type_name name = {};

	if (!at || bpf_probe_read_user_str(name.text, sizeof(name.text), (void *)at) < 0)
		return OBJECT_OTHER;
	for (u32 i = 0; i < TYPE_NAMES; i++)
		if (same_name(&name, &type_names[i].name))
			return type_names[i].kind;
	return OBJECT_OTHER;
}

/* An enum object_kind.  Types live long: what one is is looked up once a thread. */
__noinline int object_kind(struct thread *t, const struct py_layout *l, u64 object)
{
	struct known_type *known;
	u64 type, base;
	int kind = OBJECT_OTHER;

	if (!t || !l)
		return OBJECT_OTHER;
	type = object_field(object, l->object_type);
	if (!type)
		return OBJECT_OTHER;
	known = &t->types[(type >> 5 ^ type >> 9) % KNOWN_TYPES];
	if (known->type == type)
		return known->kind;
	base = type;
	for (int i = 0; i < TYPE_BASES && base && kind == OBJECT_OTHER; i++) {
		kind = type_kind(l, base);
		base = object_field(base, l->type_base);
	}
	known->kind = kind;
	known->type = type;
	return kind;
}

/* Is it asyncio's Handle._run?  (Only there in the file; names of two words each are enough.) */
static __always_inline enum function_role role_of_code(const struct py_layout *l, u64 code)
{
	struct string_head string = {};
	union {
		char text[16];
		u64 words[2];
	} file = {}, wanted = {.text = {'s', 'y', 'n', 'c', 'i', 'o', '/', 'e', 'v', 'e', 'n', 't',
					's', '.', 'p', 'y'}};
	u32 name = 0;

	if (string_head(NULL, l, object_field(code, l->code_name), &string) || !string.ascii ||
	    string.chars != 4 || read_user(NULL, &name, sizeof(name), string.data) ||
	    name != ('_' | 'r' << 8 | 'u' << 16 | 'n' << 24))
		return ROLE_PLAIN;
	if (string_head(NULL, l, object_field(code, l->code_filename), &string) || !string.ascii ||
	    string.chars < sizeof(file) ||
	    read_user(NULL, &file, sizeof(file), string.data + string.chars - sizeof(file)))
		return ROLE_PLAIN;
	return file.words[0] == wanted.words[0] && file.words[1] == wanted.words[1] ? ROLE_LOOP_CALL
										    : ROLE_PLAIN;
}

/*
 * A function is entered that is not known to be none of an event loop's.  Of Handle._run
 * its `self` is kept, which it sets to None before it returns.
 */
__noinline int loop_enter(struct thread *t, const struct py_layout *l, struct function_stats *stats,
			  u64 frame)
{
	struct loop_call *call;

	if (!t || !l || !stats)
		return 0;
	if (stats->role == ROLE_UNKNOWN)
		stats->role = role_of_code(l, stats->key.code);
	if (stats->role != ROLE_LOOP_CALL)
		return 0;
	call = &t->loop_calls[t->depth % OPEN_CALLBACKS];
	call->frame = frame;
	call->handle = object_field(frame, l->frame_locals) & ~(u64)l->code_tag_mask;
	return 0;
}

static __noinline u32 function_of_code(struct thread *t, const struct py_layout *l, u64 code)
{
	struct function_key key = {.code = code, .tgid = bpf_get_current_task_btf()->tgid};

	key.check = code_check(NULL, l, code, t->head);
	return function_slot(t->recent, l, &key);
}

/* Names that asyncio makes up are as many as there are tasks: Task-1, Task-2, ... */
static __always_inline bool name_is_numbered(const struct callback_key *key)
{
	u64 other;

	if (key->name_kind != 1 || key->name_cut || key->name_chars < 6)
		return false;
	other = (key->name[0] ^ 'T') | (key->name[1] ^ 'a') | (key->name[2] ^ 's') |
		(key->name[3] ^ 'k') | (key->name[4] ^ '-');
	for (int i = 5; i < TASK_NAME_BYTES; i++)
		other |= key->name[i] && (key->name[i] < '0' || key->name[i] > '9');
	return !other;
}

/* The name of a task, which is a str; from 3.12 on, until it is asked for, the int of Task-<int>.
 */
static __always_inline void task_name(struct thread *t, const struct py_layout *l, u64 task,
				      struct callback_key *key)
{
	u64 name = object_field(task, l->task_name), bytes;
	struct string_head string = {};
	bool cut;

	switch (object_kind(t, l, name)) {
	case OBJECT_INT:
		key->name_is = CALLBACK_NUMBERED;
		return;
	case OBJECT_STR:
		break;
	default:
		return;
	}
	if (string_head(NULL, l, name, &string))
		return;
	bytes = string.chars * string.kind;
	cut = string.chars > TASK_NAME_BYTES || bytes > TASK_NAME_BYTES;
	if (cut)
		bytes = TASK_NAME_BYTES;
	bytes &= 63;
	if (bytes > TASK_NAME_BYTES)
		bytes = TASK_NAME_BYTES;
	if (bytes && read_user(NULL, key->name, bytes, string.data))
		return;
	key->name_is = CALLBACK_TASK;
	key->name_cut = cut;
	key->name_kind = string.kind;
	key->name_chars = bytes / string.kind;
	if (name_is_numbered(key)) {
		key->name_is = CALLBACK_NUMBERED;
		key->name_kind = key->name_chars = 0;
		__builtin_memset(key->name, 0, sizeof(key->name));
	}
}

/* A step of a task.  (What is run there may also be an object that only acts as a coroutine.) */
__noinline int callback_of_task(struct thread *t, const struct py_layout *l,
				struct callback *callback)
{
	u64 coro;

	if (!t || !l || !callback)
		return 0;
	task_name(t, l, callback->task, &callback->key);
	coro = object_field(callback->task, l->task_coro);
	if (object_kind(t, l, coro) == OBJECT_COROUTINE)
		callback->code = object_field(coro, l->coro_code) & ~(u64)l->code_tag_mask;
	return 0;
}

/* What has no Python code is told by the name that C knows it by. */
static __always_inline void callback_is_named(struct callback_key *key, u64 name,
					      enum callback_name name_is)
{
	long bytes = name ? bpf_probe_read_user_str(key->name, TASK_NAME_BYTES, (void *)name) : 0;

	if (bytes <= 1)
		return;
	key->name_is = name_is;
	key->name_kind = 1;
	key->name_chars = bytes - 1;
	key->name_cut = bytes == TASK_NAME_BYTES;
}

/* From 3.10 on a task that waited goes on by a C method of its own (Modules/_asynciomodule.c). */
static __always_inline bool is_task_wakeup(u64 name)
{
	union {
		char text[16];
		u64 words[2];
	} is = {}, wanted = {.text = "task_wakeup"};

	if (!name || bpf_probe_read_user_str(is.text, sizeof(is.text), (void *)name) < 0)
		return false;
	return is.words[0] == wanted.words[0] && is.words[1] == wanted.words[1];
}

/* One look at what is called, or at what calls that. */
__noinline int callback_unwrap(struct thread *t, const struct py_layout *l,
			       struct callback *callback)
{
	u64 object, name, self;

	if (!t || !l || !callback)
		return 0;
	object = callback->next;
	callback->next = 0;
	switch (object_kind(t, l, object)) {
	case OBJECT_NONE:
		return 0;
	case OBJECT_FUNCTION:
		callback->code = object_field(object, l->function_code);
		return 0;
	case OBJECT_METHOD:
		callback->next = object_field(object, l->method_function);
		return 0;
	case OBJECT_PARTIAL:
		callback->next = object_field(object, l->partial_function);
		return 0;
	case OBJECT_STEP:
	case OBJECT_WAKEUP:
		callback->task = object_field(object, l->step_task);
		return 0;
	case OBJECT_BUILTIN:
		name = object_field(object_field(object, l->builtin_def), 0); /* ml_name */
		self = object_field(object, l->builtin_self);
		if (is_task_wakeup(name) && object_kind(t, l, self) == OBJECT_TASK)
			callback->task = self;
		else
			callback_is_named(&callback->key, name, CALLBACK_BUILTIN);
		return 0;
	}
	self = object_field(object, l->object_type);
	callback_is_named(&callback->key, object_field(self, l->type_name), CALLBACK_OBJECT);
	return 0;
}

/* `ns` is what is left without our probes, as in call_account(). */
static __always_inline void callback_add(const struct callback_key *key, s64 ns)
{
	struct callback_stats *stats = bpf_map_lookup_elem(&callbacks, key);
	u64 most = ns > 0 ? ns : 1;
	struct callback_stats fresh = {.count = 1, .ns = ns, .max_ns = most};

	if (!stats) {
		if (!bpf_map_update_elem(&callbacks, key, &fresh, BPF_NOEXIST))
			return;
		stats = bpf_map_lookup_elem(&callbacks, key); /* another CPU was first */
	}
	if (!stats) {
		lose(LOSS_CALLBACKS_FULL);
		return;
	}
	__sync_fetch_and_add(&stats->count, 1);
	__sync_fetch_and_add(&stats->ns, ns);
	if (most > stats->max_ns)
		stats->max_ns = most;
}

/*
 * Count the call of a callback that has ended.  Its Handle is still there: the loop holds it
 * (Lib/asyncio/base_events.py, _run_once).  One that was cancelled meanwhile has let go
 * of its callback: then all we know is that there was one.
 */
__noinline int loop_tell(struct thread *t, const struct py_layout *l)
{
	struct callback callback = {.key.window = callback_window};
	u64 begin = bpf_ktime_get_ns();

	if (!t || !l)
		return 0;
	callback.key.tgid = bpf_get_current_task_btf()->tgid;
	callback.key.function = t->call_over.function;
	callback.next = object_field(t->call_over.handle, l->handle_callback);
	for (int i = 0; i < CALLBACK_WRAPS && callback.next; i++)
		callback_unwrap(t, l, &callback);
	if (callback.task)
		callback_of_task(t, l, &callback);
	if (callback.code)
		callback.key.function = function_of_code(t, l, callback.code);
	callback_add(&callback.key, t->call_over.ns);
	t->call_over.pending = 0;
	t->probe_ns += bpf_ktime_get_ns() - begin;
	return 0;
}

#endif
