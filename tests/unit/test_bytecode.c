/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where functions begin, end and handle exceptions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "discover/bytecode.h"
#include "discover/tables.h"

enum {
	OP_NOTHING = 1,
	OP_CACHED = 10,
	OP_MAKE = 75,
	OP_RETURN = 83,
	OP_YIELD = 150,
	OP_BEGIN = 151,
	OP_LINE = 254
};

static const struct py_opcodes opcodes = {
	.caches = {[OP_CACHED] = 2, [OP_LINE] = PY_CACHES_UNKNOWN},
	.count = 4,
	.ops = {{OP_MAKE, PY_OP_GENERATOR, 0, "RETURN_GENERATOR"},
		{OP_RETURN, PY_OP_RETURN, 0, "RETURN_VALUE"},
		{OP_YIELD, PY_OP_YIELD, 0, "YIELD_VALUE"},
		{OP_BEGIN, PY_OP_START, 0, "RESUME"}},
};

static int find(const uint8_t *bytecode, uint32_t size, bool caches, struct code_places *out)
{
	const char *why = NULL;
	int err = code_places_find(&opcodes, caches, bytecode, size, out, &why);

	assert_true(!err == !why);
	return err;
}

/* What an instruction keeps behind it is no instruction, whatever it looks like. */
static void caches_are_none(void **state)
{
	static const uint8_t bytecode[] = {OP_BEGIN, 0,       OP_CACHED, 0,         OP_RETURN,
					   0,        OP_LINE, OP_RETURN, OP_RETURN, 0};
	struct code_places places;

	(void)state;
	assert_int_equal(find(bytecode, sizeof(bytecode), true, &places), 0);
	assert_int_equal(places.return_count, 1);
	assert_int_equal(places.returns[0], 8);
	assert_int_equal(places.entry, 0);
	assert_false(places.generator);
	/* up to 3.10 there are none */
	assert_int_equal(find(bytecode, 6, false, &places), 0);
	assert_int_equal(places.return_count, 1);
	assert_int_equal(places.returns[0], 4);
}

static void generators(void **state)
{
	static const uint8_t bytecode[] = {OP_MAKE,  0, OP_NOTHING, 0, OP_BEGIN,  0,
					   OP_YIELD, 0, OP_BEGIN,   1, OP_RETURN, 0};
	struct code_places places;

	(void)state;
	assert_int_equal(find(bytecode, sizeof(bytecode), true, &places), 0);
	assert_true(places.generator);
	assert_int_equal(places.entry, 4);
	/* 3.8 - 3.10: its first instruction is run by the first next() */
	assert_int_equal(find(bytecode + 6, 6, false, &places), 0);
	assert_true(places.generator);
	assert_int_equal(places.entry, 0);
}

static void refusals(void **state)
{
	static const uint8_t instrumented[] = {OP_BEGIN, 0, OP_LINE, 0, OP_RETURN, 0};
	uint8_t many[2 * (CODE_RETURNS_MAX + 1)];
	struct code_places places;

	(void)state;
	assert_int_equal(find(instrumented, sizeof(instrumented), true, &places), -ENOTSUP);
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = i % 2 ? 0 : OP_RETURN;
	assert_int_equal(find(many, sizeof(many) - 2, true, &places), 0);
	assert_int_equal(places.return_count, CODE_RETURNS_MAX);
	assert_int_equal(find(many, sizeof(many), true, &places), -ENOTSUP);
	/* what is cut short is left alone */
	assert_int_equal(find(many, 3, true, &places), 0);
	assert_int_equal(places.return_count, 1);
	assert_int_equal(find(many, 0, true, &places), 0);
	assert_int_equal(places.return_count, 0);
}

/* Made by 3.11 of a function with an except and a finally; its dis says what is covered. */
static const uint8_t table[] = {140, 10, 23, 0,  151, 20,  46, 3,  173, 1,  46, 3,
				188, 10, 65, 17, 0,   193, 17, 12, 65,  29, 3};

static void handlers(void **state)
{
	static const struct watch_range covered[] = {
		{24, 44}, {46, 86}, {90, 92}, {120, 140}, {162, 186}};
	struct code_places places = {.size = 196};

	(void)state;
	code_places_handled(table, sizeof(table), &places);
	assert_int_equal(places.handled_count, 5);
	assert_memory_equal(places.handled, covered, sizeof(covered));
	/* neighbours are one; and a generator's last two units handle nothing (3.12 and later) */
	code_places_handled((const uint8_t[]){128, 2, 5, 0, 130, 3, 9, 0, 128, 9, 8, 3}, 12,
			    &places);
	assert_int_equal(places.handled_count, 2);
	assert_int_equal(places.handled[0].to, 10);
	places = (struct code_places){.size = 20, .generator = true};
	code_places_handled((const uint8_t[]){128, 2, 5, 0, 130, 3, 9, 0, 128, 9, 8, 3}, 12,
			    &places);
	assert_int_equal(places.handled_count, 1);
	assert_int_equal(places.handled[0].to, 10);
}

/* Then an exception may be handled anywhere: that is only looked at longer. */
static void tables_that_tell_nothing(void **state)
{
	struct code_places places = {.size = 196};
	uint8_t many[4 * (WATCH_RANGES + 1)];

	(void)state;
	for (size_t cut = 1; cut < 4; cut++) {
		code_places_handled(table, sizeof(table) - cut, &places);
		assert_int_equal(places.handled_count, 1);
		assert_int_equal(places.handled[0].from, 0);
		assert_int_equal(places.handled[0].to, 196);
	}
	memset(many, 255, sizeof(many));
	code_places_handled(many, sizeof(many), &places);
	assert_int_equal(places.handled[0].to, 196);
	for (size_t i = 0; i < sizeof(many); i += 4)
		memcpy(many + i, (uint8_t[]){128 | i / 2, 1, 0, 0}, 4);
	code_places_handled(many, sizeof(many), &places);
	assert_int_equal(places.handled_count, 1);
	assert_int_equal(places.handled[0].to, 196);
	code_places_handled(many, sizeof(many) - 4, &places);
	assert_int_equal(places.handled_count, WATCH_RANGES);
	code_places_handled(table, 0, &places);
	assert_int_equal(places.handled_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(caches_are_none),
		cmocka_unit_test(generators),
		cmocka_unit_test(refusals),
		cmocka_unit_test(handlers),
		cmocka_unit_test(tables_that_tell_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
