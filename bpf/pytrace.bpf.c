// SPDX-License-Identifier: GPL-2.0
/* One object of all event sources, so that they share their maps. */
#include "calls.bpf.c"
#include "sched.bpf.c"
#include "sample.bpf.c"
#include "gc.bpf.c"
#include "watch.bpf.c"
#include "life.bpf.c"
#include "child.bpf.c"
#include "window.bpf.c"

char LICENSE[] SEC("license") = "GPL";
