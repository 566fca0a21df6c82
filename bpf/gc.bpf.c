// SPDX-License-Identifier: GPL-2.0
/*
 * Pauses of the garbage collector.  (Uses traced_thread() of sched.bpf.c, with which it shares
 * the object file.)
 */
#include "gc.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_BUILDS *GC_SITE_MAX);
	__type(key, u32);
	__type(value, struct probe_argument);
} gc_generations SEC(".maps");

/* The value of a tracepoint's argument, or -1. */
static __always_inline s32 argument_value(struct pt_regs *ctx,
					  const struct probe_argument *argument)
{
	u32 unused = 64 - 8 * argument->bytes;
	u64 value = 0;

	if (argument->place == ARGUMENT_UNKNOWN)
		return -1;
	if (argument->place == ARGUMENT_CONSTANT)
		return argument->value;
	if (bpf_probe_read_kernel(&value, sizeof(value), (void *)ctx + argument->at))
		return -1;
	if (argument->place == ARGUMENT_MEMORY) {
		u64 from = value + argument->value;

		value = 0;
		if (read_user(NULL, &value, (argument->bytes & 7) ?: 8, from))
			return -1;
	}
	value <<= unused & 63;
	return argument->is_signed ? (s64)value >> (unused & 63) : value >> (unused & 63);
}

static __always_inline s32 generation_at(struct pt_regs *ctx, u64 cookie)
{
	u32 index = SITE_COOKIE_BUILD(cookie) * GC_SITE_MAX + SITE_COOKIE_SITE(cookie);
	struct probe_argument *argument = bpf_map_lookup_elem(&gc_generations, &index);

	return argument ? argument_value(ctx, argument) : -1;
}

/* The function on top of the current thread's stack, NO_FUNCTION if it is not known. */
static __always_inline u32 collecting_function(struct thread *t)
{
	const struct py_layout *l = t->runtime ? layout_of(t->build) : NULL;
	struct function_stats *stats;
	u32 slot;

	if (!l || (!t->tstate && thread_find(t, l)) ||
	    read_code_frame(l, t->head, current_frame(NULL, l, t->tstate)))
		return NO_FUNCTION;
	slot = function_of_frame(t, l);
	stats = stats_of_slot(slot);
	if (stats && !stats->told)
		function_tell_again(l, stats, slot);
	return slot;
}

/* Returns the thread's pause, or NULL. */
static __always_inline struct gc_pause *gc_begins(struct task_struct *task, struct thread *t,
						  s32 generation)
{
	struct gc_pause *pause =
		bpf_task_storage_get(&gc_pauses, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!pause) {
		lose(LOSS_STORAGE);
		return NULL;
	}
	pause->function = collecting_function(t);
	pause->generation = generation;
	pause->start_ns = bpf_ktime_get_ns(); /* what we took until here is no part of it */
	return pause;
}

/* The tracepoints gc__start and gc__done. */
SEC("uprobe")
int gc_site(struct pt_regs *ctx)
{
	u64 now = bpf_ktime_get_ns(), cookie = bpf_get_attach_cookie(ctx);
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t = traced_thread(task, false);
	struct gc_pause *pause;

	if (!t)
		return 0;
	if (SITE_COOKIE_KIND(cookie) == SITE_GC_START) {
		gc_begins(task, t, generation_at(ctx, cookie));
		return 0;
	}
	pause = bpf_task_storage_get(&gc_pauses, task, NULL, 0);
	if (!pause) {
		lose(LOSS_GC_BEGAN_BEFORE);
		return 0;
	}
	if (pause->start_ns) /* else two links told of the same */
		gc_tell(task, pause, now, true);
	pause->start_ns = 0;
	return 0;
}

/* What the collector's counts are, a byte a generation.  0, or nonzero if that cannot be read. */
static __always_inline int counts_read(const struct gc_counts *where, u64 flag, u8 *counts)
{
	u64 at = flag - where->before;

	if (where->is_pointer)
		at = read_user_u64(NULL, at);
	if (!at)
		return -1;
	return read_user(NULL, &counts[0], 1, at + where->generation[0]) |
	       read_user(NULL, &counts[1], 1, at + where->generation[1]) |
	       read_user(NULL, &counts[2], 1, at + where->generation[2]);
}

/* The generation whose count has changed, -1 if none has. */
static __always_inline s32 generation_collected(const u8 *before, const u8 *after)
{
	s32 generation = -1;

	for (int i = 0; i < GC_GENERATIONS; i++)
		if (before[i] != after[i])
			generation = i;
	return generation;
}

/*
 * `collecting` has been written: 1 where a collection begins, 0 where it is over.  But from
 * 3.13 on it is also written by who finds it 1 already and lets it be (a compare-and-exchange):
 * in the collecting thread, where a finalizer wants to collect, or in another one.  With a GIL
 * what is read tells one from the other, and whether the counts have changed; without, the flag is
 * perhaps another thread's by now, but the CPU's zero flag tells whether the exchange was made.
 */
SEC("perf_event")
int gc_written(struct bpf_perf_event_data *ctx)
{
	u64 now = bpf_ktime_get_ns(), address = ctx->addr;
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t = traced_thread(task, false);
	u8 counts[GC_GENERATIONS + 1] = {};
	const struct gc_flag *where;
	const struct py_layout *l;
	struct gc_pause *pause;
	s32 collected = -1;
	u32 flag = 0;
	bool begins;

	if (!t || !t->runtime)
		return 0;
	l = layout_of(t->build);
	where = bpf_map_lookup_elem(&gc_flags, &t->build);
	if (!l || !where || read_user(NULL, &flag, sizeof(flag), address) ||
	    counts_read(&where->counts, address, counts))
		return 0;
	t->probe_ns += watch_trap_ns;
	begins = flag == 1 && (!l->nogil || (ctx->regs.flags & X86_EFLAGS_ZF));
	pause = bpf_task_storage_get(&gc_pauses, task, NULL, 0);
	if (pause && pause->start_ns) {
		collected = generation_collected(pause->counts, counts);
		if (collected >= 0 && (!flag || l->nogil)) {
			pause->generation = collected;
			pause->start_ns += watch_trap_ns; /* half of the first trap, half of this */
			gc_tell(task, pause, now > pause->start_ns ? now : pause->start_ns, true);
			begins = false;
		} else if (collected < 0 && flag) {
			return 0; /* refused, in the middle of one */
		}
		pause->start_ns = 0; /* nothing was to be collected, or it was not this thread's */
	} else if (!pause && !flag && !l->nogil && (counts[0] | counts[1] | counts[2])) {
		/* (without a GIL it was more likely refused by one that is over by now) */
		lose(LOSS_GC_BEGAN_BEFORE);
	}
	if (!begins)
		return 0;
	pause = gc_begins(task, t, -1);
	if (pause)
		__builtin_memcpy(pause->counts, counts, sizeof(counts));
	return 0;
}
