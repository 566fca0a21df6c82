/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * CPython with musl: how that is told, and whom a thread waits for in a futex.  Both sides that
 * tell that, the kernel's and that of `dump`, look at lists of waiters in our own memory.
 * Links: user/discover, tests/replay; libelf, capstone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/discover/build.h"
#include "../../user/discover/frames.h"
#include "../../user/discover/memory.h"
#include "../replay/kernel.h"
#include "musl.h"
#include "test_discover_elf.h"

#define WAITERS 40

/* musl's pthread_cond_t, as far as is looked at. */
struct cond {
	uint64_t shared, head, more[4];
};

struct gil {
	uint64_t state[4];
	struct cond cond;
	uint64_t mutex[5];
	struct cond switch_cond;
	uint64_t switch_mutex[5];
};

static struct gil gil;
static struct cond lock;
static struct musl_waiter waiters[WAITERS];
static const struct py_layout layout = {
	.gil_size = sizeof(struct gil),
	.gil_cond = offsetof(struct gil, cond),
	.gil_mutex = offsetof(struct gil, mutex),
	.gil_switch_cond = offsetof(struct gil, switch_cond),
	.gil_switch_mutex = offsetof(struct gil, switch_mutex),
	.musl = 1,
};

static int own_memory(void *arg, uint64_t address, void *to, size_t size)
{
	(void)arg;
	return memory_read(getpid(), address, to, size);
}

static int begin(void **state)
{
	(void)state;
	kernel__reset();
	kernel__memory(own_memory, NULL);
	gil = (struct gil){0};
	lock = (struct cond){0};
	memset(waiters, 0, sizeof(waiters));
	return 0;
}

/* As pthread_cond_timedwait() does. */
static void waits(struct cond *cond, struct musl_waiter *waiter)
{
	struct musl_waiter *older = (struct musl_waiter *)(uintptr_t)cond->head;

	*waiter = (struct musl_waiter){.next = cond->head, .barrier = MUSL_BARRIER_ASLEEP};
	if (older)
		older->prev = (uintptr_t)waiter;
	cond->head = (uintptr_t)waiter;
}

static uint32_t kernel_says(const void *futex)
{
	return kernel__musl_gil_cond((uintptr_t)&gil, &layout, (uintptr_t)futex);
}

static bool dump_says(const void *futex)
{
	return gil_awaited(getpid(), &layout, (uintptr_t)&gil, (uintptr_t)futex);
}

static void assert_in(uint32_t cond, const void *futex)
{
	assert_int_equal(kernel_says(futex), cond);
	assert_int_equal(dump_says(futex), cond != 0);
}

static void each_of_a_list_waits(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		waits(&gil.cond, &waiters[i]);
		for (int j = 0; j <= i; j++)
			assert_in(layout.gil_cond, &waiters[j].barrier);
	}
	waits(&gil.switch_cond, &waiters[5]);
	assert_in(layout.gil_switch_cond, &waiters[5].barrier);
	assert_in(layout.gil_cond, &waiters[0].barrier);
	assert_int_equal(kernel__loss(LOSS_UNREADABLE), 0);
}

static void locks_are_no_gil(void **state)
{
	int semaphore[8] = {0};

	(void)state;
	waits(&gil.cond, &waiters[0]);
	for (int i = 1; i < 4; i++) {
		waits(&lock, &waiters[i]);
		for (int j = 1; j <= i; j++)
			assert_in(0, &waiters[j].barrier);
	}
	assert_in(0, &semaphore[6]);
	semaphore[6] = MUSL_BARRIER_ASLEEP; /* glibc's contended mutexes have that too */
	assert_in(0, &semaphore[6]);
}

/* As pthread_cond_signal() does before it wakes the oldest. */
static void is_signalled(struct cond *cond, struct musl_waiter *waiter)
{
	if (waiter->prev)
		((struct musl_waiter *)(uintptr_t)waiter->prev)->next = 0;
	else
		cond->head = 0;
	*waiter = (struct musl_waiter){.state = MUSL_SIGNALED};
}

static void locks_mutex(uint64_t *mutex, bool locked)
{
	mutex[0] = locked ? (uint64_t)EBUSY << (8 * MUSL_MUTEX_LOCK) : 0;
}

/* Between its being signalled and the wakeup, which whoever signals does with the mutex locked. */
static void signalled_while_going_to_sleep(void **state)
{
	(void)state;
	waits(&gil.cond, &waiters[0]);
	waits(&gil.cond, &waiters[1]);
	locks_mutex(gil.mutex, true);
	is_signalled(&gil.cond, &waiters[0]);
	assert_int_equal(kernel_says(&waiters[0].barrier), layout.gil_cond);
	assert_in(layout.gil_cond, &waiters[1].barrier);

	waits(&gil.switch_cond, &waiters[2]);
	locks_mutex(gil.switch_mutex, true);
	is_signalled(&gil.switch_cond, &waiters[2]);
	assert_int_equal(kernel_says(&waiters[2].barrier), layout.gil_switch_cond);

	waiters[2].barrier = -1; /* a semaphore that is waited for */
	assert_int_equal(kernel_says(&waiters[2].barrier), 0);

	locks_mutex(gil.mutex, false);
	locks_mutex(gil.switch_mutex, false);
	waits(&lock, &waiters[3]);
	is_signalled(&lock, &waiters[3]);
	assert_in(0, &waiters[3].barrier);
}

/* What is no longer in a list may still look like it. */
static void left_over_nodes_are_no_gil(void **state)
{
	(void)state;
	waits(&gil.cond, &waiters[0]);
	waiters[1] = (struct musl_waiter){.next = (uintptr_t)&waiters[0],
					  .barrier = MUSL_BARRIER_ASLEEP};
	assert_in(0, &waiters[1].barrier);
	waiters[1].prev = (uintptr_t)&waiters[0];
	assert_in(0, &waiters[1].barrier);
	waiters[1].prev = (uintptr_t)&waiters[1];
	waiters[1].next = (uintptr_t)&waiters[1];
	assert_int_equal(kernel_says(&waiters[1].barrier), 0); /* (dump goes round for longer) */
	assert_in(layout.gil_cond, &waiters[0].barrier);
}

static void long_lists_end(void **state)
{
	(void)state;
	for (int i = 0; i < WAITERS; i++)
		waits(&gil.cond, &waiters[i]);
	assert_in(layout.gil_cond, &waiters[WAITERS - 1 - MUSL_WAITERS_MAX].barrier);
	assert_int_equal(kernel__loss(LOSS_GIL_QUEUE), 0);
	assert_int_equal(kernel_says(&waiters[WAITERS - 2 - MUSL_WAITERS_MAX].barrier), 0);
	assert_int_equal(kernel__loss(LOSS_GIL_QUEUE), 1);
	assert_true(dump_says(&waiters[0].barrier));
}

static void memory_before_a_futex_may_be_missing(void **state)
{
	char *pages;

	(void)state;
	pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages, 4096, PROT_NONE), 0);
	assert_in(0, pages + 4096);
	assert_int_equal(kernel__loss(LOSS_UNREADABLE), 0); /* nothing is lost */
	munmap(pages, 8192);
}

static void glibc_is_not_searched(void **state)
{
	struct py_layout other = layout;

	(void)state;
	other.musl = 0;
	waits(&gil.cond, &waiters[0]);
	assert_false(
		gil_awaited(getpid(), &other, (uintptr_t)&gil, (uintptr_t)&waiters[0].barrier));
	assert_true(gil_awaited(getpid(), &other, (uintptr_t)&gil, (uintptr_t)&gil.cond));
	assert_false(gil_awaited(getpid(), &other, 0, 0));
}

static void musl_is_told_from_glibc(void **state)
{
	static struct build build;
	static const struct {
		const char *needs[2], *text;
		bool musl;
	} cases[] = {
		{{"libm.so.6", "libc.so.6"}, NULL, false},
		{{"libc.so.6"}, "No error information", false}, /* it may have that text */
		{{"libc.so"}, NULL, true},
		{{"libpython3.13.so.1.0", "libc.musl-x86_64.so.1"}, NULL, true},
		{{NULL}, NULL, false},
		{{NULL}, "No error information", true},
		{{NULL}, "No error information was given", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct small_elf s = {
			.hex = 0x030d05f0,
			.row = small_row(13, 0),
			.needs = {cases[i].needs[0], cases[i].needs[1]},
			.strings = {cases[i].text},
		};
		int fd;

		small_elf_make(&s);
		fd = small_elf_open(s.bytes, sizeof(s.bytes));
		assert_true(fd >= 0);
		assert_int_equal(build_analyse(fd, "small", &build), 0);
		close(fd);
		assert_string_equal(build.reason, "");
		assert_int_equal(build.layout.musl, cases[i].musl);
	}
}

static int end(void **state)
{
	(void)state;
	kernel__free();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_of_a_list_waits, begin),
		cmocka_unit_test_setup(locks_are_no_gil, begin),
		cmocka_unit_test_setup(signalled_while_going_to_sleep, begin),
		cmocka_unit_test_setup(left_over_nodes_are_no_gil, begin),
		cmocka_unit_test_setup(long_lists_end, begin),
		cmocka_unit_test_setup(memory_before_a_futex_may_be_missing, begin),
		cmocka_unit_test_setup(glibc_is_not_searched, begin),
		cmocka_unit_test(musl_is_told_from_glibc),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
