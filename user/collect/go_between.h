/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Functions of the standard library in which threads wait, or wake others, for who calls them: on
 * top of a stack they tell nothing of what goes on.
 */
#ifndef PYTRACE_GO_BETWEEN_H
#define PYTRACE_GO_BETWEEN_H

#include <stdbool.h>

struct function_total;
struct stack_total;

enum go_between {
	GO_BETWEEN_NONE,
	GO_BETWEEN_THREADING, /* threading.py: threads wait there, and wake others */
	GO_BETWEEN_WAKES,     /* they wake others */
	GO_BETWEEN_WAITS,     /* they wait */
};

/* What the functions in a file are. */
enum go_between go_between_in(const char *file);
bool go_between_wakes(enum go_between kind);

/*
 * Who called what a thread waits in, if that is a go-between: perhaps another one, as
 * Semaphore.acquire() of Condition.wait().  NULL: it is none, or the caller is not known.
 */
const struct function_total *go_between_caller(const struct stack_total *stack);

/* The innermost function that wakes for itself; the one on top if there is none; NULL: unknown. */
const struct function_total *go_between_waker(const struct stack_total *waker);

/* Do both threads run the same function, by their outermost frames but for threading.py's? */
bool go_between_same_work(const struct stack_total *a, const struct stack_total *b);

#endif
