# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Functions that make many calls, and how long they take without a tracer.

    heavy.py

Times each before it is traced and makes the same calls afterwards. The result is
{function: the CPU seconds of a call alone}, at the pace the machine has had since: a loop without
calls, which probes do not slow, is timed beside them all the time.
"""
import time

import target

CALLS = 4000
ROUNDS = 15


def some_work(n):
    total = 0
    for i in range(60):
        total += i * n
    return total


def many_calls():
    for i in range(CALLS):
        some_work(i)


def three(n):
    return some_work(n)


def two(n):
    return three(n)


def one(n):
    return two(n)


def nested_calls():
    for i in range(CALLS):
        one(i)


class Made:
    def __init__(self, n):
        some_work(n)


def constructors():
    for i in range(CALLS):
        Made(i)


def raises(n):
    some_work(n)
    raise ValueError


def passes(n):
    return raises(n)


def passes_on(n):
    return passes(n)


def calls_that_raise(function):
    for i in range(CALLS):
        try:
            function(i)
        except ValueError:
            pass


def raising_calls():
    calls_that_raise(raises)


def passing_calls():
    calls_that_raise(passes_on)


def loop():
    total = 0
    for i in range(100000):
        total += i
    return total


def rounds(functions):
    """Call them in turn; answer {name: CPU seconds a call}."""
    took = {f.__name__: 0 for f in functions}
    for _ in range(ROUNDS):
        for f in functions:
            begin = time.thread_time()
            f()
            took[f.__name__] += (time.thread_time() - begin) / ROUNDS
    return took


def main():
    functions = (many_calls, loop, nested_calls, constructors, raising_calls, passing_calls)
    rounds(functions)  # specialized and warm
    alone = rounds(functions)
    target.ready()
    traced = rounds(functions)
    pace = traced.pop("loop") / alone.pop("loop")
    target.done({name: seconds * pace for name, seconds in alone.items()})


if __name__ == "__main__":
    main()
