/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Line tables as CPython makes them, and as nobody should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "discover/lines.h"

/* From this byte on the line is that; the last one is the end. */
struct span {
	uint32_t at, line;
};

/*
 * One function with a call over several lines, a try, two statements in a line and 131 blank lines,
 * compiled by each version: its table, and what dis says of it.  It begins in line 2.
 */
/* clang-format off */
static const uint8_t table_3_9[] = {
	0, 2, 2, 1, 4, 1, 2, 255, 2, 254, 4, 5, 2, 1, 8, 1, 2, 1, 2, 255, 8, 4, 8, 1, 4, 1, 18,
	127, 0, 4, 2, 1, 2, 255,
};
static const struct span spans_3_9[] = {
	{0, 4}, {2, 5}, {6, 6}, {8, 5}, {10, 3}, {14, 8}, {16, 9}, {24, 10}, {26, 11},
	{28, 10}, {36, 14}, {44, 15}, {48, 16}, {66, 147}, {68, 148}, {70, 147}, {74, 0},
};

static const uint8_t table_3_10[] = {
	2, 2, 4, 1, 2, 1, 2, 255, 4, 254, 2, 5, 8, 1, 2, 1, 2, 1, 6, 255, 2, 255, 8, 5, 4, 1,
	16, 1, 4, 255, 0, 127, 2, 5, 2, 1, 4, 255,
};
static const struct span spans_3_10[] = {
	{0, 4}, {2, 5}, {6, 6}, {8, 5}, {10, 3}, {14, 8}, {16, 9}, {24, 10}, {26, 11},
	{28, 10}, {34, 9}, {36, 14}, {44, 15}, {48, 16}, {64, 15}, {68, 147}, {70, 148},
	{72, 147}, {76, 0},
};

static const uint8_t table_3_11[] = {
	128, 0, 224, 8, 9, 221, 8, 9, 136, 33, 216, 10, 11, 241, 3, 1, 9, 13, 244, 0, 1, 9, 13,
	240, 5, 4, 9, 6, 128, 65, 240, 10, 6, 5, 14, 216, 17, 18, 240, 0, 3, 9, 14, 240, 0, 3,
	9, 14, 136, 65, 221, 12, 17, 216, 16, 17, 241, 3, 2, 13, 14, 244, 0, 2, 13, 14, 240, 0,
	2, 13, 14, 240, 0, 2, 13, 14, 240, 3, 3, 9, 14, 240, 10, 0, 13, 14, 136, 65, 248, 136,
	65, 136, 5, 136, 5, 136, 5, 136, 5, 216, 10, 11, 240, 0, 1, 5, 21, 216, 8, 9, 136, 81,
	137, 6, 136, 1, 149, 1, 144, 33, 145, 4, 148, 4, 144, 4, 240, 3, 0, 11, 12, 240, 0, 1,
	5, 21, 240, 72, 4, 0, 13, 14, 216, 12, 16, 240, 3, 1, 12, 18, 240, 0, 1, 5, 18,
};
static const struct span spans_3_11[] = {
	{0, 2}, {2, 4}, {4, 5}, {18, 6}, {20, 5}, {34, 3}, {38, 8}, {40, 9}, {48, 10},
	{60, 11}, {62, 10}, {80, 9}, {82, 14}, {86, 0}, {88, 14}, {98, 15}, {102, 16},
	{142, 15}, {146, 147}, {148, 148}, {150, 147}, {154, 0},
};

static const uint8_t table_3_14[] = {
	128, 0, 224, 8, 9, 220, 8, 9, 136, 33, 216, 10, 11, 243, 3, 1, 9, 13, 240, 5, 4, 9, 6,
	128, 65, 240, 10, 6, 5, 14, 219, 17, 18, 136, 65, 220, 12, 17, 216, 16, 17, 246, 3, 2,
	13, 14, 241, 3, 0, 18, 19, 240, 10, 0, 13, 14, 223, 10, 11, 216, 8, 9, 136, 81, 141, 6,
	136, 1, 148, 1, 144, 33, 150, 4, 240, 70, 4, 0, 13, 14, 216, 12, 16, 240, 3, 1, 12, 18,
	240, 0, 1, 5, 18, 248, 241, 75, 4, 0, 13, 14, 250,
};
static const struct span spans_3_14[] = {
	{0, 2}, {2, 4}, {4, 5}, {16, 6}, {18, 5}, {26, 3}, {30, 8}, {32, 9}, {42, 10},
	{52, 11}, {54, 10}, {68, 9}, {72, 14}, {74, 15}, {90, 16}, {134, 147}, {136, 148},
	{138, 147}, {142, 0}, {144, 14}, {148, 0}, {154, 0},
};
/* clang-format on */

static void check(enum line_table kind, const uint8_t *table, size_t size, const struct span *spans,
		  size_t count)
{
	for (size_t i = 0; i + 1 < count; i++)
		for (uint32_t at = spans[i].at; at < spans[i + 1].at; at++)
			assert_int_equal(line_at(kind, table, size, 2, at), spans[i].line);
}

#define CHECK(kind, version)                                                                       \
	check(kind, table_##version, sizeof(table_##version), spans_##version,                     \
	      sizeof(spans_##version) / sizeof(*spans_##version))

static void as_each_version_has_them(void **state)
{
	(void)state;
	CHECK(LINES_NOTAB, 3_9);
	CHECK(LINES_RANGES, 3_10);
	CHECK(LINES_LOCATIONS, 3_11);
	CHECK(LINES_LOCATIONS, 3_14);
}

static void beyond_the_ends(void **state)
{
	(void)state;
	assert_int_equal(line_at(LINES_NOTAB, table_3_9, sizeof(table_3_9), 2, -1), 2);
	assert_int_equal(line_at(LINES_RANGES, table_3_10, sizeof(table_3_10), 2, -2), 2);
	assert_int_equal(line_at(LINES_RANGES, table_3_10, sizeof(table_3_10), 2, 76), 0);
	assert_int_equal(line_at(LINES_LOCATIONS, table_3_11, sizeof(table_3_11), 2, -2), 0);
	assert_int_equal(line_at(LINES_LOCATIONS, table_3_11, sizeof(table_3_11), 2, 154), 0);
	assert_int_equal(line_at(LINES_LOCATIONS, table_3_11, sizeof(table_3_11), 2, INT64_MAX), 0);
	for (int kind = LINES_NOTAB; kind <= LINES_LOCATIONS; kind++)
		line_at(kind, NULL, 0, 2, 8);
}

/* Whatever it holds and wherever it ends, nothing beyond it is read (the sanitizers see that). */
static void nonsense(void **state)
{
	uint32_t random = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t size = i % 65;
		uint8_t *exact = malloc(size ?: 1);

		for (size_t j = 0; j < size; j++) {
			random = random * 1664525 + 1013904223;
			exact[j] = random >> 24;
		}
		for (int kind = LINES_NOTAB; kind <= LINES_LOCATIONS; kind++)
			line_at(kind, exact, size, random, i);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_each_version_has_them),
		cmocka_unit_test(beyond_the_ends),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
