/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel types the BPF programs touch, and of each only the fields they
 * use: CO-RE finds the real offsets at load time by name.  Written by hand, so
 * that building needs no kernel BTF and a reader sees what we depend on.
 */
#ifndef PYTRACE_VMLINUX_H
#define PYTRACE_VMLINUX_H

#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;

enum { false, true };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Registers as the kernel saves them (arch/x86/include/asm/ptrace.h). */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long orig_ax, ip, cs, flags, sp, ss;
};

typedef struct {
	int counter;
} atomic_t;

struct inode {
	unsigned short i_mode;
};

struct file {
	struct inode *f_inode;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct signal_struct {
	atomic_t live;
};

struct thread_struct {
	unsigned long fsbase;
};

struct task_struct {
	unsigned int __state;
	unsigned int flags;
	int on_cpu;
	int pid;
	int tgid;
	unsigned int in_iowait : 1;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
	struct thread_struct thread;
};

struct linux_binprm;

struct bpf_iter_meta;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_perf_event_data {
	struct pt_regs regs;
	u64 sample_period;
	u64 addr;
};

#pragma clang attribute pop

#define X86_EFLAGS_ZF 0x40 /* arch/x86/include/uapi/asm/processor-flags.h */

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */
#define TASK_RUNNING 0
#define TASK_UNINTERRUPTIBLE 2

#define S_IFMT 00170000 /* include/uapi/linux/stat.h */
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000

#endif
