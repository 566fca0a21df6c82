# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""
Sections of endings.py that run Python in interpreters within the interpreter. From 3.12 on each has
a GIL of its own, and a thread that works for it has a thread state of its own there.
"""
import os
import threading

from endings_calls import attempt, expect, key_raises, leaf, plain_generator

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

FOLDER = os.path.dirname(os.path.abspath(__file__))
SCRIPT = f"import sys; sys.path.insert(0, {FOLDER!r}); import endings_inside; endings_inside."


def run_inside(which, what):
    """A failure inside is an exception here up to 3.12, and a result from 3.13 on."""
    try:
        interpreters.run_string(which, SCRIPT + what)
    except Exception:
        pass
    return leaf(1)


def outside_work(which):
    """Calls of ours around those inside."""
    leaf(1)
    for i in plain_generator(3):
        run_inside(which, f"work({i})")
    attempt(key_raises, 5)
    run_inside(which, "fails(3)")
    return leaf(1)


def suspended_outside(which):
    run_inside(which, "work(1)")
    yield 1
    run_inside(which, "work(1)")


def expect_outside(n):
    """n times outside_work()."""
    expect("outside_work", n)
    expect("plain_generator", n, 4 * n)
    expect("run_inside", 4 * n)
    expect("attempt", n)
    expect("key_raises", n, exceptions=n)
    expect("leaf", 6 * n)
    expect_inside(3 * n, n)


def expect_inside(works, fails):
    expect("work", works)
    expect("inner", 10 * works)
    expect("inside_generator", works, 6 * works)
    expect("fails", 4 * fails, exceptions=4 * fails)
    expect("catches_inside", works)
    expect("raises_inside", works, exceptions=works)


def within_main_thread():
    which = interpreters.create()
    for _ in range(3):
        outside_work(which)
    list(suspended_outside(which))
    interpreters.destroy(which)
    leaf(1)
    expect_outside(3)
    expect("suspended_outside", 1, 2)
    expect("run_inside", 2)
    expect("leaf", 3)
    expect_inside(2, 0)


def thread_body(n):
    which = interpreters.create()
    for _ in range(n):
        outside_work(which)
    interpreters.destroy(which)
    return leaf(1)


def within_threads():
    """Three threads, each with an interpreter of its own, and the main thread at its own work."""
    threads = [threading.Thread(target=thread_body, args=(3,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    calls = 0
    while any(thread.is_alive() for thread in threads):
        main_work(1)
        calls += 1
    for thread in threads:
        thread.join()
    expect_outside(9)
    expect("thread_body", 3)
    expect("main_work", calls)
    expect("leaf", 3 + calls)


def main_work(x):
    threading.Event().wait(0.001)
    return leaf(x)


def inside_first():
    """The thread's first calls we see are inside, then inside another, then outside."""
    one, two = interpreters.create(), interpreters.create()
    for which in (one, two, one):
        interpreters.run_string(which, SCRIPT + "work(1)")
    leaf(1)
    interpreters.destroy(one)
    interpreters.destroy(two)
    expect_inside(3, 0)
    expect("leaf", 1)


SECTIONS = {f.__name__: f for f in (within_main_thread, within_threads, inside_first)}
