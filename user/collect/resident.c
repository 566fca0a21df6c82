/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "resident.h"

#include <stdio.h>
#include <unistd.h>

/* Less than this is no growth. */
#define GROWN_BYTES 65536
/* Readings that are nearer tell nothing new of how it goes on. */
#define APART_NS 400000000ull

uint64_t resident_bytes(pid_t tgid)
{
	char path[64];
	unsigned long size, resident = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", tgid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	fclose(file);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void resident_read(struct process_total *total, uint64_t now_ns)
{
	struct resident_total *memory = &total->memory;
	uint64_t bytes;

	if (memory->readings && now_ns < memory->ns + APART_NS)
		return;
	bytes = resident_bytes(total->process.tgid);
	if (!bytes)
		return; /* it is gone */
	if (!memory->readings) {
		memory->begin_bytes = bytes;
		memory->begin_ns = now_ns;
	} else if (bytes >= memory->bytes + GROWN_BYTES) {
		memory->grown++;
	}
	memory->bytes = bytes;
	memory->ns = now_ns;
	memory->readings++;
}

void resident_begin(struct process_total *total, uint64_t now_ns)
{
	total->memory = (struct resident_total){0};
	resident_read(total, now_ns);
}

/* The window ends: the last reading is of that moment, if it is not one more. */
static void resident_end(struct process_total *total, uint64_t now_ns)
{
	struct resident_total *memory = &total->memory;
	uint64_t bytes;

	resident_read(total, now_ns);
	if (memory->ns >= now_ns)
		return;
	bytes = resident_bytes(total->process.tgid);
	if (!bytes)
		return; /* it is gone */
	memory->bytes = bytes;
	memory->ns = now_ns;
}

void resident_profile(struct profile_process *out, struct process_total *total, uint64_t now_ns)
{
	struct resident_total *memory = &total->memory;

	if (total->current)
		resident_end(total, now_ns);
	out->rss_bytes = memory->bytes;
	out->rss_begin_bytes = memory->begin_bytes;
	out->rss_readings = memory->readings;
	out->rss_grown = memory->grown;
	if (memory->ns > memory->begin_ns)
		out->rss_growth = ((double)memory->bytes - (double)memory->begin_bytes) /
				  ((double)(memory->ns - memory->begin_ns) / 1e9);
	memory->begin_bytes = memory->bytes;
	memory->begin_ns = memory->ns;
	memory->readings = memory->readings ? 1 : 0;
	memory->grown = 0;
}
