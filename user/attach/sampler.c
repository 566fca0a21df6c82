/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "sampler.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct sampler {
	const char *event;
	size_t count;
	int fds[];
};

static int open_on(int cpu, struct perf_event_attr *attr)
{
	attr->size = sizeof(*attr);
	attr->disabled = 1;
	return (int)syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static int open_cycles(int cpu, unsigned int hz)
{
	struct perf_event_attr cycles = {
		.type = PERF_TYPE_HARDWARE,
		.config = PERF_COUNT_HW_CPU_CYCLES,
		.freq = 1,
		.sample_freq = hz,
	};

	return open_on(cpu, &cycles);
}

static int open_clock(int cpu, unsigned int hz)
{
	struct perf_event_attr clock = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.freq = 1,
		.sample_freq = hz,
	};

	return open_on(cpu, &clock);
}

static int open_faults(int cpu, unsigned int every)
{
	struct perf_event_attr faults = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_PAGE_FAULTS,
		.sample_period = every,
	};

	return open_on(cpu, &faults);
}

static int attach(int fd, int program_fd)
{
	if (program_fd < 0)
		return 0;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, program_fd) || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
		return -errno;
	return 0;
}

/* `open` gives the event of one CPU.  Without a program (negative) it is only tried. */
static int sampler_open(int program_fd, int (*open)(int cpu, unsigned int argument),
			unsigned int argument, struct sampler **out)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	struct sampler *sampler = calloc(1, sizeof(*sampler) + (size_t)cpus * sizeof(int));
	int err = 0;

	if (!sampler)
		return -ENOMEM;
	for (long cpu = 0; cpu < cpus && !err; cpu++) {
		int fd = open((int)cpu, argument);

		if (fd < 0 && errno == ENODEV)
			continue; /* it is offline */
		if (fd < 0) {
			err = -errno;
			break;
		}
		sampler->fds[sampler->count++] = fd;
		err = attach(fd, program_fd);
	}
	if (!err && !sampler->count)
		err = -ENODEV;
	if (err) {
		sampler__free(sampler);
		return err;
	}
	*out = sampler;
	return 0;
}

int sampler__new(int program_fd, unsigned int hz, struct sampler **out)
{
	static const struct {
		int (*open)(int cpu, unsigned int hz);
		const char *event;
	} clocks[] = {{open_cycles, "cpu-cycles"}, {open_clock, "cpu-clock"}};
	int err = -EINVAL;

	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]) && err; i++) {
		err = sampler_open(program_fd, clocks[i].open, hz, out);
		if (!err)
			(*out)->event = clocks[i].event;
	}
	return err;
}

const char *sampler__event(const struct sampler *sampler)
{
	return sampler->event;
}

void sampler__rate(struct sampler *sampler, unsigned int hz)
{
	uint64_t value = hz; /* of events that have one, it is the frequency that is set */

	for (size_t i = 0; i < sampler->count; i++)
		ioctl(sampler->fds[i], PERF_EVENT_IOC_PERIOD, &value);
}

int sampler_try(const char **event)
{
	struct sampler *sampler;
	int err = sampler__new(-1, 1, &sampler);

	if (err)
		return err;
	*event = sampler__event(sampler);
	sampler__free(sampler);
	return 0;
}

int sampler__new_faults(int program_fd, unsigned int every, struct sampler **out)
{
	return sampler_open(program_fd, open_faults, every, out);
}

void sampler__free(struct sampler *sampler)
{
	if (!sampler)
		return;
	for (size_t i = 0; i < sampler->count; i++)
		close(sampler->fds[i]);
	free(sampler);
}
