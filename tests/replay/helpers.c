// SPDX-License-Identifier: GPL-2.0
/*
 * The helpers BPF programs call and the maps they use, as far as the kernel side needs them.
 * What is taken out of a hash table is freed at once, so that its use afterwards shows.
 */
#include "helpers.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/bpf/bpf_helpers.h"
#include "kernel.h"

#define CHAINS 512
#define MAX_KEY 16
#define TICK_NS 20 /* a look at the clock takes that long */

struct host_entry {
	struct host_entry *next; /* of its chain */
	uint64_t used;
	uint64_t key[MAX_KEY / 8];
	uint64_t value[];
};

static struct {
	struct task_struct *task;
	uint64_t cookie;
	uint64_t now;
	kernel_read_fn read;
	void *read_arg;
	kernel_record_fn record;
	void *record_arg;
	bool no_storage, no_ring;
} host;

static _Noreturn void die(const char *what, const char *name)
{
	fprintf(stderr, "replay: %s: %s\n", name, what);
	abort();
}

static struct host_map *map_of(void *declared)
{
	for (struct host_map *map = host_maps; map->name; map++)
		if (map->declared == declared)
			return map;
	die("no such map", "helpers");
}

static struct host_map *map_named(const char *name)
{
	for (struct host_map *map = host_maps; map->name; map++)
		if (!strcmp(map->name, name))
			return map;
	die("no such map", name);
}

static bool is_array(const struct host_map *map)
{
	return map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       map->type == BPF_MAP_TYPE_QUEUE;
}

static void map_empty(struct host_map *map)
{
	for (size_t i = 0; map->entries && i < CHAINS; i++) {
		struct host_entry *entry = map->entries[i].next;

		while (entry) {
			struct host_entry *next = entry->next;

			free(entry);
			entry = next;
		}
	}
	free(map->entries);
	free(map->array);
	map->entries = NULL;
	map->array = NULL;
	map->count = map->taken = map->pushed = 0;
	map->uses = 0;
}

static void *allocated(void *memory)
{
	if (!memory)
		die("no memory", "helpers");
	return memory;
}

static void map_make(struct host_map *map)
{
	if (map->type == BPF_MAP_TYPE_RINGBUF)
		return;
	if (map->key_size > MAX_KEY)
		die("its keys are too long", map->name);
	if (is_array(map))
		map->array = allocated(calloc(map->max_entries, map->value_size));
	else
		map->entries = allocated(calloc(CHAINS, sizeof(*map->entries)));
}

/* The entry before that with this key, or the last of its chain. */
static struct host_entry *entry_before(struct host_map *map, const void *key, uint32_t size)
{
	uint64_t padded[MAX_KEY / 8] = {0}, mixed = 0;
	struct host_entry *entry;

	memcpy(padded, key, size);
	for (size_t i = 0; i < MAX_KEY / 8; i++)
		mixed = (mixed ^ padded[i]) * 0x9e3779b97f4a7c15ull;
	entry = &map->entries[mixed >> 32 & (CHAINS - 1)];
	while (entry->next && memcmp(entry->next->key, padded, sizeof(padded)) != 0)
		entry = entry->next;
	return entry;
}

static struct host_entry *entry_add(struct host_map *map, struct host_entry *before,
				    const void *key, uint32_t size)
{
	struct host_entry *entry = allocated(calloc(1, sizeof(*entry) + map->value_size));

	memcpy(entry->key, key, size);
	entry->used = ++map->uses;
	before->next = entry;
	map->count++;
	return entry;
}

static void entry_remove(struct host_map *map, struct host_entry *before)
{
	struct host_entry *entry = before->next;

	before->next = entry->next;
	free(entry);
	map->count--;
}

static void evict_oldest(struct host_map *map)
{
	struct host_entry *oldest = NULL;

	for (size_t i = 0; i < CHAINS; i++)
		for (struct host_entry *e = &map->entries[i]; e->next; e = e->next)
			if (!oldest || e->next->used < oldest->next->used)
				oldest = e;
	if (oldest)
		entry_remove(map, oldest);
}

void *bpf_map_lookup_elem(void *declared, const void *key)
{
	struct host_map *map = map_of(declared);
	struct host_entry *entry;
	uint32_t index;

	if (is_array(map)) {
		memcpy(&index, key, sizeof(index));
		return index < map->max_entries ? map->array + (size_t)index * map->value_size
						: NULL;
	}
	entry = entry_before(map, key, map->key_size)->next;
	if (!entry)
		return NULL;
	entry->used = ++map->uses;
	return entry->value;
}

long bpf_map_update_elem(void *declared, const void *key, const void *value, __u64 flags)
{
	struct host_map *map = map_of(declared);
	struct host_entry *before, *entry;
	void *slot;

	if (is_array(map)) {
		slot = bpf_map_lookup_elem(declared, key);
		if (!slot)
			return -E2BIG;
		memcpy(slot, value, map->value_size);
		return 0;
	}
	before = entry_before(map, key, map->key_size);
	entry = before->next;
	if (entry && flags == BPF_NOEXIST)
		return -EEXIST;
	if (!entry && flags == BPF_EXIST)
		return -ENOENT;
	if (!entry && map->count >= map->max_entries) {
		if (map->type != BPF_MAP_TYPE_LRU_HASH)
			return -E2BIG;
		evict_oldest(map);
		before = entry_before(map, key, map->key_size);
	}
	if (entry) /* a new one takes its place in the kernel too: who still has the old sees it */
		entry_remove(map, before);
	entry = entry_add(map, entry_before(map, key, map->key_size), key, map->key_size);
	memcpy(entry->value, value, map->value_size);
	return 0;
}

long bpf_map_delete_elem(void *declared, const void *key)
{
	struct host_map *map = map_of(declared);
	struct host_entry *before = entry_before(map, key, map->key_size);

	if (!before->next)
		return -ENOENT;
	entry_remove(map, before);
	return 0;
}

long bpf_map_push_elem(void *declared, const void *value, __u64 flags)
{
	struct host_map *map = map_of(declared);

	(void)flags;
	if (map->pushed - map->taken >= map->max_entries)
		return -E2BIG;
	memcpy(map->array + (size_t)(map->pushed++ % map->max_entries) * map->value_size, value,
	       map->value_size);
	return 0;
}

long bpf_map_pop_elem(void *declared, void *value)
{
	struct host_map *map = map_of(declared);

	if (map->pushed == map->taken)
		return -ENOENT;
	memcpy(value, map->array + (size_t)(map->taken++ % map->max_entries) * map->value_size,
	       map->value_size);
	return 0;
}

void *bpf_task_storage_get(void *declared, struct task_struct *task, void *value, __u64 flags)
{
	struct host_map *map = map_of(declared);
	struct host_entry *before = entry_before(map, &task, sizeof(task));

	(void)value;
	if (before->next)
		return before->next->value;
	if (!(flags & BPF_LOCAL_STORAGE_GET_F_CREATE) || host.no_storage)
		return NULL;
	return entry_add(map, before, &task, sizeof(task))->value;
}

long bpf_task_storage_delete(void *declared, struct task_struct *task)
{
	struct host_map *map = map_of(declared);
	struct host_entry *before = entry_before(map, &task, sizeof(task));

	if (!before->next)
		return -ENOENT;
	entry_remove(map, before);
	return 0;
}

/* A reserved record, its size before it. */
struct reserved {
	uint64_t size;
	uint8_t data[];
};

void *bpf_ringbuf_reserve(void *declared, __u64 size, __u64 flags)
{
	struct reserved *reserved;

	(void)flags;
	map_of(declared);
	if (host.no_ring)
		return NULL;
	reserved = allocated(malloc(sizeof(*reserved) + size));
	reserved->size = size;
	memset(reserved->data, 0xa5, size); /* not zeroed in the kernel either */
	return reserved->data;
}

void bpf_ringbuf_submit(void *data, __u64 flags)
{
	struct reserved *reserved =
		(struct reserved *)((uint8_t *)data - offsetof(struct reserved, data));

	(void)flags;
	if (host.record)
		host.record(host.record_arg, data, reserved->size);
	free(reserved);
}

long bpf_ringbuf_output(void *declared, void *data, __u64 size, __u64 flags)
{
	void *record = bpf_ringbuf_reserve(declared, size, 0);

	if (!record)
		return -EAGAIN;
	memcpy(record, data, size);
	bpf_ringbuf_submit(record, flags);
	return 0;
}

__u64 bpf_ringbuf_query(void *declared, __u64 flags)
{
	(void)flags;
	map_of(declared);
	return 0;
}

long bpf_probe_read_user(void *to, __u32 size, const void *from)
{
	int err = host.read ? host.read(host.read_arg, (uintptr_t)from, to, size) : -EFAULT;

	if (err)
		memset(to, 0, size);
	return err;
}

/* Characters up to a NUL, which counts; what is read past it is of no matter here. */
long bpf_probe_read_user_str(void *to, __u32 size, const void *from)
{
	char *text = to;

	for (__u32 i = 0; i < size; i++) {
		if (bpf_probe_read_user(text + i, 1, (const char *)from + i))
			return -EFAULT;
		if (!text[i])
			return i + 1;
	}
	text[size - 1] = '\0';
	return size;
}

long bpf_copy_from_user_task(void *to, __u32 size, const void *from, struct task_struct *task,
			     __u64 flags)
{
	(void)task;
	(void)flags;
	return bpf_probe_read_user(to, size, from);
}

struct task_struct *bpf_get_current_task_btf(void)
{
	return host.task;
}

long bpf_get_current_comm(void *to, __u32 size)
{
	memset(to, 0, size);
	return 0;
}

__u64 bpf_get_attach_cookie(void *ctx)
{
	(void)ctx;
	return host.cookie;
}

__u64 bpf_ktime_get_ns(void)
{
	host.now += TICK_NS;
	return host.now;
}

long bpf_loop(__u32 count, long (*step)(__u32 index, void *arg), void *arg, __u64 flags)
{
	__u32 i;

	(void)flags;
	for (i = 0; i < count; i++)
		if (step(i, arg))
			return i + 1;
	return i;
}

/* --- for tests */

void host__reset(void)
{
	memset(&host, 0, sizeof(host));
	host.now = 1000000000;
	for (struct host_map *map = host_maps; map->name; map++) {
		map_empty(map);
		map_make(map);
	}
}

void host__free(void)
{
	for (struct host_map *map = host_maps; map->name; map++)
		map_empty(map);
}

void host__enter(struct task_struct *task, uint64_t cookie)
{
	host.task = task;
	host.cookie = cookie;
}

void kernel__limit(const char *name, uint32_t entries)
{
	struct host_map *map = map_named(name);

	map_empty(map);
	map->max_entries = entries;
	map_make(map);
}

uint32_t kernel__entries(const char *name)
{
	struct host_map *map = map_named(name);

	return map->type == BPF_MAP_TYPE_QUEUE ? map->pushed - map->taken : map->count;
}

void kernel__memory(kernel_read_fn read, void *arg)
{
	host.read = read;
	host.read_arg = arg;
}

void kernel__records(kernel_record_fn record, void *arg)
{
	host.record = record;
	host.record_arg = arg;
}

void kernel__no_ring(bool none)
{
	host.no_ring = none;
}

void kernel__no_storage(bool none)
{
	host.no_storage = none;
}

void kernel__pass(uint64_t ns)
{
	host.now += ns;
}

uint64_t kernel__now(void)
{
	return host.now;
}
