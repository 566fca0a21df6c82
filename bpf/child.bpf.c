// SPDX-License-Identifier: GPL-2.0
/* Children that end: what their parents' wait4() was for. */
#include "target.bpf.h"

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_child_exit, struct task_struct *task)
{
	struct target_key key = {.generation = target_generation};
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	u32 parent = BPF_CORE_READ(leader, real_parent, tgid);
	struct child_end end = {};

	if (BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	if (!bpf_map_lookup_elem(&processes, &parent))
		return 0;
	target_command(&key, leader);
	end.ns = bpf_ktime_get_ns();
	end.pid = task_number(leader);
	end.target = target_number(&key, 0);
	bpf_map_update_elem(&child_ends, &parent, &end, BPF_ANY);
	return 0;
}
