# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Deterministic calls of every kind, counted by the tracer and by cProfile.

    counts.py [--cprofile] SECTION

Sections: `calls` (all but the following), `throw` (generators entered by throw() and close(), which
go in without an instruction that begins a function), `abandon` (generators that are closed before
they are finished), `limits` (the recursion limit).

With --cprofile the same work runs under cProfile in this process and the result is its truth,
[[file, function, line, ncalls], ...] of the files named counts*.py. Both runs import the same
modules and leave with os._exit, or the comparison would not be fair.
"""
import asyncio
import cProfile
import os
import sys

import counts_async
import counts_calls
import target


def calls():
    counts_calls.plain_calls()
    counts_calls.recursion()
    counts_calls.generators()
    counts_calls.exceptions()
    counts_calls.objects()
    counts_calls.callbacks()
    counts_async.coroutines()
    asyncio.run(counts_async.async_main())
    counts_calls.plain_calls()  # once more: the stack must still be right after all that


SECTIONS = {
    "calls": calls,
    "throw": counts_async.throw_and_close,
    "abandon": counts_calls.abandon,
    "limits": counts_calls.limits,
}


def own_counts(profiler, section):
    """The calls of our own files, by label: code objects can have twins."""
    counts = {}
    for entry in profiler.getstats():
        code = entry.code
        if isinstance(code, str):
            continue
        file = os.path.basename(code.co_filename)
        if file.startswith("counts"):
            label = (file, getattr(code, "co_qualname", code.co_name), code.co_firstlineno)
            counts[label] = counts.get(label, 0) + entry.callcount
    if sys.version_info >= (3, 14) and section is counts_calls.abandon:
        # closing a generator that handles nothing does not run it any more, unless somebody
        # profiles: then CPython goes through it for the profiler's sake (genobject.c, gen_close)
        for label in counts:
            counts[label] -= counts_calls.CLOSED_UNHANDLED.get(label[1].rsplit(".", 1)[-1], 0)
    return [[*label, n] for label, n in sorted(counts.items())]


def main():
    section = SECTIONS[sys.argv[-1]]
    if "--cprofile" in sys.argv:
        profiler = cProfile.Profile()
        profiler.enable()
        section()
        profiler.disable()
        target.done(own_counts(profiler, section))
    target.ready()
    section()
    target.done(None)


if __name__ == "__main__":
    main()
