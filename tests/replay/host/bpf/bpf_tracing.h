/* SPDX-License-Identifier: GPL-2.0 */
/* Stands in for libbpf's header: a tracepoint's program is a function of its arguments. */
#ifndef PYTRACE_REPLAY_BPF_TRACING_H
#define PYTRACE_REPLAY_BPF_TRACING_H

#define BPF_PROG(name, ...) program_##name(__VA_ARGS__) /* libc has an on_exit() of its own */

#endif
