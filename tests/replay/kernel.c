// SPDX-License-Identifier: GPL-2.0
/* The kernel side compiled for the host, and the ways into it. */
#include <string.h>

#include "calls.bpf.c"
#include "life.bpf.c"
#include "musl.bpf.h"

#include "helpers.h"
#include "kernel.h"

void *calloc(size_t count, size_t size);
void free(void *memory);
void abort(void) __attribute__((noreturn));

/* What its declaration says in types. */
#define DECLARED(map) .declared = &(map), .name = #map, .type = sizeof(*(map).type) / sizeof(int)
#define STORAGE(map)                                                                               \
	{                                                                                          \
		DECLARED(map), .key_size = sizeof(void *), .value_size = sizeof(*(map).value)      \
	}
#define MAP(map)                                                                                   \
	{                                                                                          \
		DECLARED(map), .key_size = sizeof(*(map).key), .value_size = sizeof(*(map).value), \
			       .max_entries = sizeof(*(map).max_entries) / sizeof(int)             \
	}

struct host_map host_maps[] = {
	STORAGE(threads),
	STORAGE(first_chunks),
	MAP(stack_chunks),
	MAP(stack_chunk_blank),
	MAP(layouts),
	MAP(processes),
	MAP(windows),
	MAP(thread_states),
	MAP(function_slots),
	MAP(functions),
	MAP(generators),
	MAP(generator_blank),
	MAP(losses),
	MAP(child_ends),
	MAP(site_votes),
	MAP(build_costs),
	MAP(costs),
	MAP(gils),
	MAP(parked),
	MAP(parked_below),
	MAP(begun),
	MAP(parked_blank),
	{DECLARED(free_slots), .value_size = sizeof(u32), .max_entries = DEFAULT_FUNCTIONS},
	{DECLARED(ring)},
	{DECLARED(alarms)},
	{},
};

#define HOST_FUNCTIONS 1024

struct kernel_task {
	struct task_struct task;
	struct signal_struct signal;
};

void kernel__reset(void)
{
	host__reset();
	process_epoch = 1;
	calls_over = 0;
	kernel__limit("functions", HOST_FUNCTIONS);
	kernel__limit("function_slots", HOST_FUNCTIONS);
	kernel__limit("free_slots", HOST_FUNCTIONS);
	bpf_map_update_elem(&windows, &(u32){WINDOW_ALWAYS},
			    &(struct probe_window){.end_ns = ~0ull}, BPF_ANY);
	for (u32 slot = 0; slot < HOST_FUNCTIONS; slot++)
		bpf_map_push_elem(&free_slots, &slot, 0);
}

void kernel__free(void)
{
	host__free();
}

void kernel__add_build(u32 build, const struct py_layout *layout)
{
	struct build_cost cost = {.most_ns = 1};

	bpf_map_update_elem(&layouts, &build, layout, BPF_ANY);
	bpf_map_update_elem(&build_costs, &build, &cost, BPF_ANY);
}

void kernel__add_process(u32 tgid, const struct process_entry *entry)
{
	bpf_map_update_elem(&processes, &tgid, entry, BPF_ANY);
	process_epoch++;
}

void kernel__add_thread(u32 tgid, uint64_t thread_id, uint64_t tstate)
{
	struct thread_key key = {.thread_id = thread_id, .tgid = tgid};

	bpf_map_update_elem(&thread_states, &key, &tstate, BPF_ANY);
}

struct kernel_task *kernel__task(u32 tgid, u32 tid, uint64_t fsbase)
{
	struct kernel_task *task = calloc(1, sizeof(*task));

	if (!task)
		abort();
	task->task.tgid = tgid;
	task->task.pid = tid;
	task->task.thread.fsbase = fsbase;
	task->task.signal = &task->signal;
	task->signal.live.counter = 1; /* it is never the last */
	return task;
}

void kernel__task_free(struct kernel_task *task)
{
	free(task);
}

void kernel__hit(struct kernel_task *task, uint64_t cookie, uint64_t ip,
		 const uint64_t registers[REGISTERS])
{
	struct pt_regs regs = {.ip = ip};

#define X(index, name) regs.name = registers[index];
	EACH_REGISTER(X)
#undef X
	host__enter(&task->task, cookie);
	call_site(&regs);
}

void kernel__thread_exits(struct kernel_task *task)
{
	host__enter(&task->task, 0);
	program_on_exit(&task->task);
	bpf_task_storage_delete(&threads, &task->task);
	bpf_task_storage_delete(&first_chunks, &task->task);
}

void kernel__waits(struct kernel_task *task, const struct kernel_wait *wait)
{
	struct thread *t =
		bpf_task_storage_get(&threads, &task->task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	u64 begin = kernel__now();

	if (!t)
		abort();
	host__enter(&task->task, 0);
	t->oncpu_ns += wait->oncpu_ns;
	t->off_class = wait->wait_class;
	t->off_stack = wait->stack;
	t->off_function = NO_FUNCTION;
	t->off_target = wait->target;
	t->off_flags = wait->flags;
	t->in_vain = wait->in_vain;
	t->off_begin = t->off_ns = begin;
	t->wake_ns = begin + wait->wait_ns;
	switch_in(&task->task, t, t->wake_ns + wait->runq_ns);
	kernel__pass(wait->wait_ns + wait->runq_ns);
}

void kernel__window_ends(struct kernel_task *task)
{
	gathered_tell(bpf_task_storage_get(&threads, &task->task, NULL, 0));
}

void kernel__look_around(struct kernel_task *task)
{
	struct thread *t = bpf_task_storage_get(&threads, &task->task, NULL, 0);
	const struct py_layout *l = t ? layout_of(t->build) : NULL;
	u64 frame, units;
	u8 bytes[16];

	if (!l || !t->tstate)
		return;
	frame = current_frame(NULL, l, t->tstate);
	for (int i = 0; i < 4 && frame; i++) {
		if (read_frame(NULL, l, t->head, frame))
			return;
		frame = frame_previous(l, t->head);
		if (frame_is_entry(l, t->head))
			continue;
		units = head_u64(t->head, l->frame_instr) - 4;
		if (l->lasti_unit)
			units = read_user_u64(NULL, frame_code(l, t->head) + l->code_units) +
				l->bytes_data +
				(u64)head_u32(t->head, l->frame_instr) * l->lasti_unit;
		read_user(NULL, bytes, sizeof(bytes), units);
	}
}

u32 kernel__musl_gil_cond(uint64_t gil, const struct py_layout *layout, uint64_t futex)
{
	return musl_gil_cond(NULL, gil, layout, futex);
}

uint64_t kernel__loss(enum loss_cause cause)
{
	u32 index = cause;
	u64 *count = bpf_map_lookup_elem(&losses, &index);

	return count ? *count : 0;
}

const struct function_stats *kernel__stats(u32 slot)
{
	return stats_of_slot(slot);
}

void kernel__set_tail(u32 slot, uint64_t from_ns)
{
	struct function_stats *stats = stats_of_slot(slot);

	if (stats)
		stats->tail_from_ns = from_ns;
}

u32 kernel__depth(struct kernel_task *task)
{
	struct thread *t = bpf_task_storage_get(&threads, &task->task, NULL, 0);

	return t ? t->depth : 0;
}

const struct site_votes *kernel__votes(u32 build, u32 site)
{
	u32 index = build * SITE_MAX + site;

	return bpf_map_lookup_elem(&site_votes, &index);
}
