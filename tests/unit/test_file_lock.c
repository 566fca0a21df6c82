/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "discover/file_lock.h"

/* As Linux 6.18 has them, and 6.1. */
static void lines(void **state)
{
	struct file_lock lock;

	(void)state;
	assert_true(file_lock_parse("12: FLOCK  ADVISORY  WRITE 4711 fd:01:9283 0 EOF\n", &lock));
	assert_int_equal(lock.id, 12);
	assert_false(lock.waits);
	assert_int_equal(lock.tgid, 4711);
	assert_int_equal(lock.inode, 9283);
	assert_true(file_lock_parse("12: -> FLOCK  ADVISORY  WRITE 812 fd:01:9283 0 EOF\n", &lock));
	assert_true(lock.waits);
	assert_int_equal(lock.tgid, 812);
	assert_true(file_lock_parse("1: OFDLCK ADVISORY  READ  -1 00:1a:5 0 9\n", &lock));
	assert_int_equal(lock.tgid, -1);
	assert_true(file_lock_parse("3: POSIX  ADVISORY  WRITE 0 08:01:18446744073709551615 0 EOF",
				    &lock));
	assert_int_equal(lock.inode, UINT64_MAX);
}

static void no_lines(void **state)
{
	static const char *const none[] = {"",
					   "\n",
					   "12",
					   "12: ",
					   "12: ->",
					   "12: -> FLOCK",
					   "x: y",
					   "1: FLOCK ADVISORY WRITE x 00:00:1 0 EOF",
					   "1: FLOCK ADVISORY WRITE 7 0000:1 0 EOF"};
	struct file_lock lock;

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_false(file_lock_parse(none[i], &lock));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(no_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
