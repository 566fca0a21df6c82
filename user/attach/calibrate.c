/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Probing a function of our own and timing it with and without the probe. */
#include "calibrate.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Short batches: most of them nothing else on the machine disturbs. */
#define HITS 20
#define ROUNDS 100
#define STEPPED_ROUNDS 20 /* each hit takes ten times as long */

/*
 * What is probed: an instruction the kernel emulates, like the ones probed in CPython, or
 * after it one that it single-steps.
 */
__attribute__((noinline, noclone)) static void probed_here(void)
{
	__asm__ volatile("nop; nop; mov %%rax, %%rax" ::: "memory");
}

__attribute__((noinline, noclone)) static void not_probed(void)
{
	__asm__ volatile("nop; nop; mov %%rax, %%rax # of its own" ::: "memory");
}

static void nothing(void)
{
}

/*
 * A microsecond or two of code that is spread over many cache lines, as an interpreter's is: what a
 * trap has pushed out of the processor's caches shows in how long it takes.
 */
static void much_code(void)
{
	char text[64];
	struct tm day;
	time_t when;

	snprintf(text, sizeof(text), "%d %g %s", ROUNDS, ROUNDS / 7.0, "some text");
	when = strtol(text, NULL, 10) + (time_t)strtod(text + 4, NULL);
	gmtime_r(&when, &day);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &day);
	/* the compiler must not know that nobody reads it */
	__asm__ volatile("" ::"r"(text) : "memory");
}

static int64_t batch_ns(void (*work)(void), void (*called)(void))
{
	uint64_t start = monotonic_ns();

	for (int i = 0; i < HITS; i++) {
		work();
		called();
	}
	return (int64_t)(monotonic_ns() - start);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* With and without in turns: the machine's pace is the same for both. */
static double hit_ns(int rounds, void (*work)(void))
{
	int64_t more[ROUNDS] = {0};

	for (int i = 0; i < rounds; i++)
		more[i] = batch_ns(work, probed_here) - batch_ns(work, not_probed);
	qsort(more, rounds, sizeof(*more), by_value);
	return (double)more[rounds / 2] / HITS;
}

struct place_of {
	uintptr_t address;
	uint64_t offset;
	int found;
};

/* Our own program header that holds the address gives the file offset. */
static int find_offset(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct place_of *place = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type != PT_LOAD || place->address < start ||
		    place->address >= start + segment->p_filesz)
			continue;
		place->offset = place->address - start + segment->p_offset;
		place->found = 1;
		return 1;
	}
	return 0;
}

/* The address of the first nop of probed_here(): its prologue may differ. */
static uintptr_t nop_address(void)
{
	const uint8_t *code = (const uint8_t *)(uintptr_t)probed_here;

	for (int i = 0; i < 32; i++)
		if (code[i] == 0x90 && code[i + 1] == 0x90)
			return (uintptr_t)&code[i];
	return 0;
}

int uprobe_cost(enum uprobe_way way, int prog_fd, bool stepped, struct hit_cost *cost)
{
	struct place_of place = {.address = nop_address() + (stepped ? 2 : 0)};
	int rounds = stepped ? STEPPED_ROUNDS : ROUNDS;
	struct uprobe_place at = {};
	size_t fd_count = 0;
	double among_code;
	int fds[2];
	int err;

	if (!nop_address() || !dl_iterate_phdr(find_offset, &place))
		return -ENOENT;
	at.file_offset = place.offset;
	err = uprobe_attach(way, prog_fd, "/proc/self/exe", getpid(), &at, 1, fds, &fd_count);
	if (err)
		return err;
	cost->trap_ns = hit_ns(rounds, nothing);
	among_code = hit_ns(rounds, much_code);
	while (fd_count)
		close(fds[--fd_count]);
	if (cost->trap_ns < 0)
		cost->trap_ns = 0;
	cost->slowed_ns = among_code > cost->trap_ns ? among_code - cost->trap_ns : 0;
	return 0;
}
