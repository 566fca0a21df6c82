# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The calls of counts_calls.py, in a program that can load no extension module: nothing it has is exported.

    counts_plain.py [--cprofile]

With --cprofile, in a program that can, the same work runs under cProfile and the result is
[[file, function, line, ncalls], ...].
"""
import collections
import os
import sys

import counts_calls
import target


def handles_throw():
    while True:
        try:
            yield 1
        except KeyError:
            counts_calls.leaf(1)


def no_handler():
    yield 1
    yield 2


def cleans_up():
    try:
        yield 1
    finally:
        counts_calls.leaf(2)


def work():
    counts_calls.plain_calls()
    counts_calls.recursion()
    counts_calls.generators()
    counts_calls.exceptions()
    counts_calls.objects()
    counts_calls.callbacks()
    for _ in range(50):
        g = handles_throw()
        next(g)
        g.throw(KeyError())
        g.throw(KeyError())
        g.close()
        g = no_handler()
        next(g)
        counts_calls.raises(g.throw, KeyError("not handled"))
        g = cleans_up()
        next(g)
        g.close()
    counts_calls.plain_calls()


def profiled():
    import cProfile

    profiler = cProfile.Profile()
    profiler.enable()
    work()
    profiler.disable()
    counts = collections.Counter()
    for entry in profiler.getstats():
        file = os.path.basename(getattr(entry.code, "co_filename", ""))
        if file.startswith("counts"):
            name = getattr(entry.code, "co_qualname", entry.code.co_name)
            counts[file, name, entry.code.co_firstlineno] += entry.callcount
    return [[*label, n] for label, n in sorted(counts.items())]


if __name__ == "__main__":
    if "--cprofile" in sys.argv:
        target.done(profiled())
    target.ready()
    work()
    target.done(None)
