/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Probing a function of our own and timing it with and without the probe. */
#include "calibrate.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* Short batches: among many there is one that nothing else on the machine disturbed. */
#define HITS 50
#define ROUNDS 200
#define STEPPED_ROUNDS 20 /* each hit takes ten times as long */

/*
 * What is probed: an instruction the kernel emulates, like the ones probed in CPython, or
 * after it one that it single-steps.
 */
__attribute__((noinline, noclone)) static void probed_here(void)
{
	__asm__ volatile("nop; nop; mov %%rax, %%rax" ::: "memory");
}

static double call_ns(int rounds)
{
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < rounds; round++) {
		uint64_t start = monotonic_ns(), took;

		for (int i = 0; i < HITS; i++)
			probed_here();
		took = monotonic_ns() - start;
		if (took < best)
			best = took;
	}
	return (double)best / HITS;
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

double uprobe_cost_ns(enum uprobe_way way, int prog_fd, bool stepped)
{
	struct place_of place = {.address = nop_address() + (stepped ? 2 : 0)};
	struct uprobe_place at = {};
	size_t fd_count = 0;
	int rounds = stepped ? STEPPED_ROUNDS : ROUNDS;
	double with, without;
	int fds[2];

	if (!nop_address() || !dl_iterate_phdr(find_offset, &place))
		return 0;
	at.file_offset = place.offset;
	without = call_ns(rounds);
	if (uprobe_attach(way, prog_fd, "/proc/self/exe", getpid(), &at, 1, fds, &fd_count))
		return 0;
	with = call_ns(rounds);
	while (fd_count)
		close(fds[--fd_count]);
	return with > without ? with - without : 0;
}
