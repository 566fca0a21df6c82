/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* For whom functions of the standard library wait, and wake others: told from stacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/collector_internal.h"
#include "collect/go_between.h"

#define LIB "/usr/lib/python3.13/"
#define FRAMES 6

static struct process_total process;

/* "function file", the innermost first; "" ends, "?" is a frame that is not known. */
static struct stack_total *stack_of(const char *frames[FRAMES])
{
	struct stack_total *stack = calloc(1, sizeof(*stack));

	stack->quality = STACK_COMPLETE;
	stack->functions = calloc(FRAMES, sizeof(*stack->functions));
	for (size_t i = 0; i < FRAMES && frames[i]; i++) {
		char function[64];
		const char *file = strchr(frames[i], ' ');

		stack->count++;
		if (!file)
			continue;
		snprintf(function, sizeof(function), "%.*s", (int)(file - frames[i]), frames[i]);
		stack->functions[i] = process_total__function(&process, function, file + 1, 1);
	}
	return stack;
}

#define STACK(...) stack_of((const char *[FRAMES]){__VA_ARGS__})

static void stack_free(struct stack_total *stack)
{
	free(stack->functions);
	free(stack);
}

static int forget(void **state)
{
	struct function_total *function, *next;

	(void)state;
	HASH_ITER(hh, process.functions, function, next)
	{
		HASH_DEL(process.functions, function);
		free(function->id);
		free(function->name.function);
		free(function->name.file);
		free(function);
	}
	return 0;
}

static void is_called(const struct function_total *function, const char *name)
{
	if (!name) {
		assert_null(function);
		return;
	}
	assert_non_null(function);
	assert_string_equal(function->name.function, name);
}

static void called_by(struct stack_total *stack, const char *name)
{
	is_called(go_between_caller(stack), name);
	stack_free(stack);
}

static void woken_by(struct stack_total *stack, const char *name)
{
	is_called(go_between_waker(stack), name);
	stack_free(stack);
}

static void whom_a_wait_is_for(void **state)
{
	(void)state;
	called_by(STACK("Condition.wait " LIB "threading.py", "Queue.get " LIB "queue.py"),
		  "Queue.get");
	called_by(STACK("wait " LIB "threading.py", "acquire " LIB "threading.py", "take x.py"),
		  "acquire");
	called_by(STACK("wait " LIB "threading.py", "wait_for " LIB "threading.py",
			"_wait " LIB "threading.py", "meet x.py"),
		  "_wait");
	called_by(STACK("Condition.wait " LIB "threading.py",
			"Condition.wait_for " LIB "threading.py", "borrow x.py"),
		  "borrow");
	called_by(STACK("EpollSelector.select " LIB "selectors.py", "loop x.py"), "loop");
	called_by(STACK("SemLock.__enter__ " LIB "multiprocessing/synchronize.py", "locked x.py"),
		  "locked");
	/* their own business */
	called_by(STACK("Queue.get " LIB "queue.py", "take x.py"), NULL);
	called_by(STACK("wait x.py", "take x.py"), NULL);
	called_by(STACK("wait /srv/mythreading.py", "take x.py"), NULL);
	called_by(STACK("wait " LIB "site-packages/x/threading.py", "take x.py"), NULL);
	/* not known */
	called_by(STACK("Condition.wait " LIB "threading.py"), NULL);
	called_by(STACK("Condition.wait " LIB "threading.py", "?", "take x.py"), NULL);
	called_by(STACK("?", "take x.py"), NULL);
	is_called(go_between_caller(NULL), NULL);
}

static void who_ended_a_wait(void **state)
{
	(void)state;
	woken_by(STACK("Condition.notify " LIB "threading.py", "Queue.put " LIB "queue.py",
		       "produce x.py", "main x.py"),
		 "produce");
	woken_by(STACK("notify " LIB "threading.py", "notify_all " LIB "threading.py",
		       "set " LIB "threading.py", "give x.py"),
		 "give");
	woken_by(STACK("release x.py", "main x.py"), "release");
	/* of a package, which knows what it does */
	woken_by(STACK("notify " LIB "threading.py", "put " LIB "site-packages/x/queue.py"), "put");
	/* a thread that has begun, which nobody asked it to tell */
	woken_by(STACK("notify " LIB "threading.py", "set " LIB "threading.py",
		       "_bootstrap_inner " LIB "threading.py"),
		 "notify");
	woken_by(STACK("notify " LIB "threading.py", "?", "give x.py"), "notify");
	is_called(go_between_waker(NULL), NULL);
}

static void same_work(bool same, struct stack_total *a, struct stack_total *b)
{
	assert_int_equal(go_between_same_work(a, b), same);
	stack_free(a);
	stack_free(b);
}

static void threads_that_do_the_same(void **state)
{
	const char *thread = "run " LIB "threading.py";
	struct stack_total *cut;

	(void)state;
	same_work(true, STACK("wait x.py", "borrows x.py", thread),
		  STACK("notify x.py", "give x.py", "borrows x.py", thread));
	same_work(false, STACK("wait x.py", "works x.py", thread),
		  STACK("notify x.py", "accepts x.py", thread));
	same_work(false, STACK("wait x.py", "works x.py", thread), STACK("notify x.py"));
	same_work(false, STACK("wait " LIB "threading.py", thread),
		  STACK("notify " LIB "threading.py", thread));
	cut = STACK("wait x.py", "borrows x.py");
	cut->quality = STACK_TRUNCATED;
	same_work(false, cut, STACK("notify x.py", "borrows x.py"));
	assert_false(go_between_same_work(NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whom_a_wait_is_for),
		cmocka_unit_test(who_ended_a_wait),
		cmocka_unit_test(threads_that_do_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, forget);
}
