/* SPDX-License-Identifier: GPL-2.0 */
/* Maps and helpers for the kernel side compiled for the host: between helpers.c and kernel.c. */
#ifndef PYTRACE_REPLAY_HELPERS_H
#define PYTRACE_REPLAY_HELPERS_H

#include <stddef.h>
#include <stdint.h>

/* What the declaration of a map comes to. */
struct host_map {
	void *declared;
	const char *name;
	uint32_t type; /* BPF_MAP_TYPE_* */
	uint32_t key_size, value_size;
	uint32_t max_entries;
	struct host_entry *entries; /* hash tables and task storage */
	uint32_t count;
	uint64_t uses;   /* of an LRU table, so far */
	uint8_t *array;  /* arrays and queues: max_entries values */
	uint32_t taken;  /* of a queue, or bytes of a ring: in all */
	uint32_t pushed; /* of a queue, in all */
};

/* All maps there are; ends with one that has no name. */
extern struct host_map host_maps[];

struct task_struct;

void host__reset(void);
void host__free(void);
/* What runs now, and which probe it has hit. */
void host__enter(struct task_struct *task, uint64_t cookie);

#endif
