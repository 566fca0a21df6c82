# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Functions that make many calls, and how long they take without a tracer.

    heavy.py

Times each before it is traced and makes the same calls afterwards. The result is
{function: [shortest seconds alone, ...]}.
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


def shortest(function):
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - begin)
    return best


def main():
    functions = (many_calls, nested_calls)
    alone = {f.__name__: shortest(f) for f in functions}
    target.ready()
    for _ in range(ROUNDS):
        for f in functions:
            f()
    target.done(alone)


if __name__ == "__main__":
    main()
