/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * From the futex no way leads to the object whose lock it is of.  But what a thread waits for in a
 * method of an object it has on its frame's stack: the object itself, or its bound method.  An
 * object there that has or points to just this lock is the one, and the word after that its owner
 * (Modules/_threadmodule.c: rlockobject; Modules/_io/bufferedio.c: buffered; so in 3.8 to 3.15).
 */
#include "lock_owner.h"

#include <stdbool.h>
#include <stddef.h>

#include "frames.h"
#include "memory.h"

#define FRAME_WORDS 256 /* what is looked at of a frame */
#define OBJECT_WORDS 32 /* and of an object */
#define PAGE_BYTES 4096
#define TAG_BITS 7 /* of references on the stack (3.14+) */

struct looking {
	pid_t tgid;
	const struct py_layout *layout;
	uint64_t futex;  /* of a lock that is a semaphore: where that begins */
	uint64_t parked; /* at the lock there, if the futex is of a wait_entry */
	pid_t (*thread_of)(const void *arg, uint64_t id);
	const void *arg;
};

/* As many words from there on as can be read: to the end of a page, at least. */
static size_t read_words(pid_t tgid, uint64_t address, uint64_t *words, size_t count)
{
	size_t left = (PAGE_BYTES - (address & (PAGE_BYTES - 1))) / sizeof(*words);

	if (!memory_read(tgid, address, words, count * sizeof(*words)))
		return count;
	if (left < count && !memory_read(tgid, address, words, left * sizeof(*words)))
		return left;
	return 0;
}

/* The owner in the object there, if its lock is the one: the word after the lock. */
static pid_t owner_in(const struct looking *l, uint64_t object, uint64_t *bound_to)
{
	uint64_t words[OBJECT_WORDS];
	uint32_t self = l->layout->builtin_self;
	size_t first = l->layout->object_type / sizeof(*words) + 1; /* after the object's head */
	size_t count = read_words(l->tgid, object, words, OBJECT_WORDS);

	*bound_to = self / sizeof(*words) < count ? words[self / sizeof(*words)] : 0;
	for (size_t i = first; i + 1 < count; i++) {
		pid_t owner;
		bool its = words[i] == l->futex || words[i] == l->parked ||
			   (i == first && object + i * sizeof(*words) == l->parked);

		owner = its ? l->thread_of(l->arg, words[i + 1]) : 0;
		if (owner)
			return owner;
	}
	return 0;
}

/*
 * The address of what a thread is parked at that sleeps in the semaphore of a wait_entry (3.13+,
 * Python/parking_lot.c): it comes before the semaphore.  Where the thread does not, the futex, or
 * anything.
 */
static uint64_t parked_at(pid_t tgid, uint64_t futex)
{
	uint64_t address;

	if (memory_read_u64(tgid, futex - sizeof(address), &address) || address < PAGE_BYTES)
		return futex;
	return address;
}

pid_t lock_owner(pid_t tgid, const struct py_layout *layout, uint64_t tstate, uint64_t futex,
		 pid_t (*thread_of)(const void *arg, uint64_t id), const void *arg)
{
	struct looking l = {tgid, layout, futex, parked_at(tgid, futex), thread_of, arg};
	uint64_t words[FRAME_WORDS], self, none;
	struct walked_frame top;
	pid_t owner = 0;
	size_t count;

	if (layout->object_type == LAYOUT_ABSENT ||
	    frames_walk(tgid, layout, tstate, &top, 1, &count) == WALK_UNREADABLE || !count)
		return 0;
	count = read_words(tgid, top.frame, words, FRAME_WORDS);
	for (size_t i = 0; i < count && !owner; i++) {
		uint64_t object = words[i] & ~(uint64_t)TAG_BITS;

		if (object < PAGE_BYTES)
			continue;
		owner = owner_in(&l, object, &self);
		if (!owner && self >= PAGE_BYTES)
			owner = owner_in(&l, self, &none);
	}
	return owner;
}
