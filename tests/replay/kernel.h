/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel side (calls.bpf.c, life.bpf.c, musl.bpf.h and what they include), compiled for the
 * host: for unit tests, which tell it what is hit and what the target's memory holds, and look at
 * what it makes of that.  There is one of it, and all state is in its maps.
 */
#ifndef PYTRACE_REPLAY_KERNEL_H
#define PYTRACE_REPLAY_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"
#include "records.h"

/* As the programs know them (struct pt_regs), in the order of EACH_REGISTER. */
enum kernel_register {
	KERNEL_BX,
	KERNEL_BP,
	KERNEL_R12,
	KERNEL_R13,
	KERNEL_R14,
	KERNEL_R15,
	KERNEL_DI,
	KERNEL_SI,
	KERNEL_DX,
	KERNEL_CX,
	KERNEL_AX,
	KERNEL_R8,
	KERNEL_R9,
	KERNEL_R10,
	KERNEL_R11,
	REGISTERS,
};

/* Fill `size` bytes from a target's memory.  0 or a negative errno. */
typedef int (*kernel_read_fn)(void *arg, uint64_t address, void *to, size_t size);
typedef void (*kernel_record_fn)(void *arg, const void *record, size_t size);

/* Begin anew: all maps are empty, but for the free function slots. */
void kernel__reset(void);
void kernel__free(void);

void kernel__memory(kernel_read_fn read, void *arg);
void kernel__records(kernel_record_fn record, void *arg);

/* Make a map of another size, and empty. */
void kernel__limit(const char *map, uint32_t entries);
uint32_t kernel__entries(const char *map);
/* The ring buffer is full; there is no memory for task storage. */
void kernel__no_ring(bool none);
void kernel__no_storage(bool none);
/* The clock: it stands still but for a little at each look. */
void kernel__pass(uint64_t ns);
uint64_t kernel__now(void);

/* What userspace does. */
void kernel__add_build(uint32_t build, const struct py_layout *layout);
void kernel__add_process(uint32_t tgid, const struct process_entry *entry);
void kernel__add_thread(uint32_t tgid, uint64_t thread_id, uint64_t tstate);
void kernel__set_tail(uint32_t slot, uint64_t from_ns);

/* A thread, made known to the kernel side by its first event. */
struct kernel_task;
struct kernel_task *kernel__task(uint32_t tgid, uint32_t tid, uint64_t fsbase);
void kernel__task_free(struct kernel_task *task);

/* Events. */
void kernel__hit(struct kernel_task *task, uint64_t cookie, uint64_t ip,
		 const uint64_t registers[REGISTERS]);
void kernel__thread_exits(struct kernel_task *task);
/* A thread's stretch off-CPU, from its beginning to its end. */
struct kernel_wait {
	enum wait_class wait_class;
	uint64_t stack;
	uint32_t target;
	uint8_t flags; /* enum wait_flags, as they are known when it begins */
	bool in_vain;
	uint64_t oncpu_ns; /* the thread ran before */
	uint64_t wait_ns;
	uint64_t runq_ns;
};
void kernel__waits(struct kernel_task *task, const struct kernel_wait *wait);
/* The end of a window: tell what was put aside. */
void kernel__window_ends(struct kernel_task *task);

/* Where in the GIL a thread waits that sleeps in this futex, with musl; 0: not there. */
uint32_t kernel__musl_gil_cond(uint64_t gil, const struct py_layout *layout, uint64_t futex);

/* Read more of the thread's memory than a hit needs, for kernel sides to come. */
void kernel__look_around(struct kernel_task *task);

/* What has come of them. */
uint64_t kernel__loss(enum loss_cause cause);
const struct function_stats *kernel__stats(uint32_t slot);
uint32_t kernel__depth(struct kernel_task *task); /* of its shadow stack */
const struct site_votes *kernel__votes(uint32_t build, uint32_t site);

#endif
