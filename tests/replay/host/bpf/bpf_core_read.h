/* SPDX-License-Identifier: GPL-2.0 */
/* Stands in for libbpf's header: the kernel's structs are our own here. */
#ifndef PYTRACE_REPLAY_BPF_CORE_READ_H
#define PYTRACE_REPLAY_BPF_CORE_READ_H

#define CORE_READ2(from, a) ((from)->a)
#define CORE_READ3(from, a, b) ((from)->a->b)
#define CORE_READ_PICK(_1, _2, _3, pick, ...) pick
#define BPF_CORE_READ(...) CORE_READ_PICK(__VA_ARGS__, CORE_READ3, CORE_READ2, )(__VA_ARGS__)

#define bpf_core_field_size(field) sizeof(field)

#endif
