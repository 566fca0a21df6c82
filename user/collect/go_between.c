/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "go_between.h"

#include <stddef.h>
#include <string.h>

#include "totals.h"

static const struct {
	const char *file;
	enum go_between kind;
} files[] = {
	{"threading.py", GO_BETWEEN_THREADING},
	{"queue.py", GO_BETWEEN_WAKES},
	{"selectors.py", GO_BETWEEN_WAITS},
	{"multiprocessing/synchronize.py", GO_BETWEEN_WAITS},
};

/* Is it the standard library's?  Packages have files of these names, too. */
static bool is_file(const char *path, const char *end)
{
	size_t length = strlen(path), tail = strlen(end);

	return length > tail && path[length - tail - 1] == '/' &&
	       !strcmp(path + length - tail, end) && !strstr(path, "-packages/");
}

enum go_between go_between_in(const char *file)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (is_file(file, files[i].file))
			return files[i].kind;
	return GO_BETWEEN_NONE;
}

bool go_between_wakes(enum go_between kind)
{
	return kind == GO_BETWEEN_THREADING || kind == GO_BETWEEN_WAKES;
}

static bool waits(enum go_between kind)
{
	return kind == GO_BETWEEN_THREADING || kind == GO_BETWEEN_WAITS;
}

/* Condition.wait_for() is no more than a loop around Condition.wait(). */
static bool is_wait_for(const struct function_total *function)
{
	return function && function->go_between == GO_BETWEEN_THREADING &&
	       (!strcmp(function->name.function, "Condition.wait_for") ||
		!strcmp(function->name.function, "wait_for"));
}

const struct function_total *go_between_caller(const struct stack_total *stack)
{
	size_t at = 1;

	if (!stack || stack->count < 2 || !stack->functions[0] ||
	    !waits(stack->functions[0]->go_between))
		return NULL;
	if (stack->count > 2 && is_wait_for(stack->functions[1]))
		at = 2;
	return stack->functions[at];
}

const struct function_total *go_between_waker(const struct stack_total *waker)
{
	if (!waker || !waker->count)
		return NULL;
	for (size_t i = 0; i < waker->count && waker->functions[i]; i++)
		if (!go_between_wakes(waker->functions[i]->go_between))
			return waker->functions[i];
	return waker->functions[0];
}

/* The thread's own function; NULL: not known. */
static const struct function_total *work_of(const struct stack_total *stack)
{
	if (!stack || stack->quality != STACK_COMPLETE)
		return NULL;
	for (size_t i = stack->count; i-- > 0 && stack->functions[i];)
		if (stack->functions[i]->go_between != GO_BETWEEN_THREADING)
			return stack->functions[i];
	return NULL;
}

bool go_between_same_work(const struct stack_total *a, const struct stack_total *b)
{
	const struct function_total *work = work_of(a);

	return work && work == work_of(b);
}
