/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A timer, or a counter of page faults, on every CPU that runs a BPF program. */
#ifndef PYTRACE_SAMPLER_H
#define PYTRACE_SAMPLER_H

#include <stddef.h>

struct sampler;

/*
 * So many times a second of each CPU's running time; the CPU's own cycle counter tells where
 * there is one, else the kernel's clock.  0 with *out, for sampler__free(), or a negative errno.
 */
int sampler__new(int program_fd, unsigned int hz, struct sampler **out);
/* By which of the two, static, as perf calls them: "cpu-cycles", "cpu-clock". */
const char *sampler__event(const struct sampler *sampler);
/* By which it would be, without a sample taken.  0 or a negative errno. */
/* Another rate, from now on. */
void sampler__rate(struct sampler *sampler, unsigned int hz);
int sampler_try(const char **event);
/* At one in `every` page faults of each CPU, whoever takes them.  Returns the same. */
int sampler__new_faults(int program_fd, unsigned int every, struct sampler **out);
void sampler__free(struct sampler *sampler);

#endif
