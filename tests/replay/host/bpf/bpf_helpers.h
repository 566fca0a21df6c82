/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stands in for libbpf's header when the kernel side is compiled for the host: the helpers are
 * functions of tests/replay/helpers.c, and a map is what that makes of its declaration.
 */
#ifndef PYTRACE_REPLAY_BPF_HELPERS_H
#define PYTRACE_REPLAY_BPF_HELPERS_H

struct task_struct;

#undef __always_inline
#undef __noinline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline, unused))
#define SEC(name) /* nothing is loaded by name */
#define barrier_var(var) __asm__ volatile("" : "+r"(var))

/* As in libbpf: the declaration of a map holds what it is in types. */
#define __uint(name, value) int(*name)[value]
#define __type(name, value) __typeof__(value) *name

void *bpf_map_lookup_elem(void *map, const void *key);
long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags);
long bpf_map_delete_elem(void *map, const void *key);
long bpf_map_push_elem(void *map, const void *value, __u64 flags);
long bpf_map_pop_elem(void *map, void *value);
void *bpf_task_storage_get(void *map, struct task_struct *task, void *value, __u64 flags);
long bpf_task_storage_delete(void *map, struct task_struct *task);
void *bpf_ringbuf_reserve(void *map, __u64 size, __u64 flags);
void bpf_ringbuf_submit(void *data, __u64 flags);
long bpf_ringbuf_output(void *map, void *data, __u64 size, __u64 flags);
__u64 bpf_ringbuf_query(void *map, __u64 flags);
long bpf_probe_read_user(void *to, __u32 size, const void *from);
long bpf_probe_read_user_str(void *to, __u32 size, const void *from);
long bpf_copy_from_user_task(void *to, __u32 size, const void *from, struct task_struct *task,
			     __u64 flags);
struct task_struct *bpf_get_current_task_btf(void);
long bpf_get_current_comm(void *to, __u32 size);
__u64 bpf_get_attach_cookie(void *ctx);
__u64 bpf_ktime_get_ns(void);
long bpf_loop(__u32 count, long (*step)(__u32 index, void *arg), void *arg, __u64 flags);

#endif
