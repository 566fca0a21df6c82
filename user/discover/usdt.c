/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Probe sites at CPython's own tracepoints (configure --with-dtrace). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "probe_argument.h"
#include "sites.h"

#define MAX_PLACES 8

/*
 * Up to 3.10 _PyEval_EvalFrameDefault has both where it begins and where it
 * ends, and runs once for each call and each resumption, throw() included
 * (Python/ceval.c).  From 3.11 on one activation of it runs many calls.
 */
struct places {
	struct site sites[MAX_PLACES];
	size_t count;
	bool entry, leave, too_many;
};

static int note_probe(const struct elf_probe *probe, void *arg)
{
	struct places *places = arg;
	bool entry = !strcmp(probe->name, "function__entry");

	if (strcmp(probe->provider, "python") ||
	    (!entry && strcmp(probe->name, "function__return")))
		return 0;
	if (places->count == MAX_PLACES) {
		places->too_many = true;
		return 0;
	}
	places->sites[places->count++] = (struct site){
		.kind = entry ? SITE_ENTRY : SITE_LEAVE,
		.vaddr = probe->vaddr,
		.semaphore = probe->semaphore,
	};
	*(entry ? &places->entry : &places->leave) = true;
	return 0;
}

int sites_add_usdt(const struct elf_file *elf, struct build *build)
{
	struct places places = {0};
	size_t before = build->site_count;
	int err;

	err = elf_file__probes(elf, note_probe, &places);
	if (err)
		return err;
	if (!places.entry || !places.leave || places.too_many)
		return -ENOENT;
	for (size_t i = 0; !err && i < places.count; i++)
		err = sites_add(elf, build, places.sites[i]);
	if (err)
		build->site_count = before;
	return err;
}

static int note_gc_probe(const struct elf_probe *probe, void *arg)
{
	struct build *build = arg;
	bool start = !strcmp(probe->name, "gc__start");

	if (strcmp(probe->provider, "python") || (!start && strcmp(probe->name, "gc__done")))
		return 0;
	if (build->gc_site_count == GC_SITE_MAX)
		return -E2BIG;
	build->gc_sites[build->gc_site_count++] = (struct gc_site){
		.site = {.kind = start ? SITE_GC_START : SITE_GC_DONE,
			 .vaddr = probe->vaddr,
			 .semaphore = probe->semaphore},
		.generation = probe_argument_first(start ? probe->arguments : ""),
	};
	return 0;
}

int sites_add_gc(const struct elf_file *elf, struct build *build)
{
	bool start = false, done = false;
	int err;

	err = elf_file__probes(elf, note_gc_probe, build);
	for (size_t i = 0; !err && i < build->gc_site_count; i++) {
		struct site *site = &build->gc_sites[i].site;

		if (elf_file__offset(elf, site->vaddr, &site->file_offset))
			err = -ENOENT;
		*(site->kind == SITE_GC_START ? &start : &done) = true;
	}
	if (!err && (!start || !done))
		err = -ENOENT;
	if (err)
		build->gc_site_count = 0;
	return err;
}
