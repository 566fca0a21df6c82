/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Trying what tracing needs, one feature after the other. */
#include "features.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "sampler.h"
#include "uprobe.h"
#include "watch.h"

__attribute__((format(printf, 4, 5))) static void report(struct features *features,
							 const char *name, enum feature_state state,
							 const char *format, ...)
{
	struct feature *feature = &features->list[features->count++];
	va_list arguments;

	feature->name = name;
	feature->state = state;
	va_start(arguments, format);
	vsnprintf(feature->detail, sizeof(feature->detail), format, arguments);
	va_end(arguments);
	if (state == FEATURE_MISSING && !features->refusal)
		features->refusal = feature;
}

static bool has_capability(uint64_t effective, int capability)
{
	return effective >> capability & 1;
}

/* What CAP_SYS_ADMIN includes, if it is not there whole: bpf(2), capabilities(7). */
static void check_privilege(struct features *features)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {};
	uint64_t effective;

	if (syscall(__NR_capget, &header, data)) {
		report(features, "privileges", FEATURE_MISSING, "cannot be read: %s",
		       strerror(errno));
		return;
	}
	effective = data[0].effective | (uint64_t)data[1].effective << 32;
	if (has_capability(effective, CAP_SYS_ADMIN) && has_capability(effective, CAP_SYS_PTRACE)) {
		report(features, "privileges", FEATURE_OK, "CAP_SYS_ADMIN, CAP_SYS_PTRACE");
		return;
	}
	if (has_capability(effective, CAP_BPF) && has_capability(effective, CAP_PERFMON) &&
	    has_capability(effective, CAP_SYS_PTRACE) &&
	    has_capability(effective, CAP_DAC_READ_SEARCH)) {
		report(features, "privileges", FEATURE_OK,
		       "CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH");
		return;
	}
	report(features, "privileges", FEATURE_MISSING,
	       "not enough: run it with sudo (or with CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and "
	       "CAP_DAC_READ_SEARCH)");
}

static void check_btf(struct features *features)
{
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		report(features, "kernel BTF", FEATURE_OK, "/sys/kernel/btf/vmlinux");
	else
		report(features, "kernel BTF", FEATURE_MISSING,
		       "/sys/kernel/btf/vmlinux cannot be read: use a kernel built with "
		       "CONFIG_DEBUG_INFO_BTF=y, and mount sysfs");
}

/* Can a program of this type call the helper? */
static void check_helper(struct features *features, const char *name, enum bpf_prog_type type,
			 enum bpf_func_id helper, const char *needs)
{
	int answer = libbpf_probe_bpf_helper(type, helper, NULL);

	if (answer == 1)
		report(features, name, FEATURE_OK, "works");
	else if (answer == 0)
		report(features, name, FEATURE_MISSING, "this kernel does not have it; %s", needs);
	else
		report(features, name, FEATURE_MISSING, "cannot be tried: %s", strerror(-answer));
}

static void check_map(struct features *features, const char *name, enum bpf_map_type type,
		      const char *needs)
{
	int answer = libbpf_probe_bpf_map_type(type, NULL);

	if (answer == 1)
		report(features, name, FEATURE_OK, "works");
	else if (answer == 0)
		report(features, name, FEATURE_MISSING, "this kernel does not have it; %s", needs);
	else
		report(features, name, FEATURE_MISSING, "cannot be tried: %s", strerror(-answer));
}

static void check_uprobes(struct features *features)
{
	features->uprobe_multi = uprobe_multi_works();
	if (features->uprobe_multi)
		report(features, "uprobes", FEATURE_OK, "uprobe_multi links");
	else if (!access("/sys/bus/event_source/devices/uprobe/type", R_OK))
		report(features, "uprobes", FEATURE_MISSING_OPTIONAL,
		       "perf events only: attaching takes longer and probes every process of a "
		       "build, also with -p (kernel 6.6 and later have uprobe_multi links)");
	else
		report(features, "uprobes", FEATURE_MISSING,
		       "this kernel has none: use one built with CONFIG_UPROBE_EVENTS=y");
}

static void check_samples(struct features *features)
{
	const char *event;
	int err = sampler_try(&event);

	if (err)
		report(features, "samples", FEATURE_MISSING_OPTIONAL,
		       "none (see kernel.perf_event_paranoid): %s", strerror(-err));
	else if (!strcmp(event, "cpu-cycles"))
		report(features, "samples", FEATURE_OK, "by the CPU's cycle counter (%s)", event);
	else
		report(features, "samples", FEATURE_OK,
		       "by the kernel's clock (%s): there is no cycle counter", event);
}

static void check_watchpoints(struct features *features)
{
	uint32_t trap_ns;
	int err = watch_try(&trap_ns);

	if (!err)
		err = watch_allowed(WATCH_AUTO);
	if (err)
		report(features, "watchpoints", FEATURE_MISSING_OPTIONAL, "not used: %s",
		       watch_refusal(err));
	else
		report(features, "watchpoints", FEATURE_OK, "work: a hit costs %.1f us",
		       trap_ns / 1e3);
}

static void check_tracefs(struct features *features)
{
	bool mounted = !access("/sys/kernel/tracing/events", R_OK) ||
		       !access("/sys/kernel/debug/tracing/events", R_OK);

	report(features, "tracefs", FEATURE_OK, "%s; not needed",
	       mounted ? "mounted" : "not mounted");
}

void features_probe(struct features *features)
{
	static const char needs[] = "use Linux 5.18 or later";
	struct utsname name;

	memset(features, 0, sizeof(*features));
	if (!uname(&name))
		report(features, "kernel", FEATURE_OK, "%s %s %s", name.sysname, name.release,
		       name.machine);
	check_privilege(features);
	check_btf(features);
	if (features->refusal)
		return; /* everything after this would fail for that reason */
	check_map(features, "BPF ring buffer", BPF_MAP_TYPE_RINGBUF, needs);
	check_map(features, "BPF task storage", BPF_MAP_TYPE_TASK_STORAGE, needs);
	check_helper(features, "bpf_get_attach_cookie", BPF_PROG_TYPE_KPROBE,
		     BPF_FUNC_get_attach_cookie, needs);
	check_helper(features, "bpf_loop", BPF_PROG_TYPE_KPROBE, BPF_FUNC_loop, needs);
	check_uprobes(features);
	check_samples(features);
	check_watchpoints(features);
	check_tracefs(features);
}
