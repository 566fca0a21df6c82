# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Run a program of accuracy_programs.py to be traced, or under cProfile.

    accuracy_run.py --watched|--cprofile|--displace FOLDER PROGRAM|SCRIPT

The program's preparations (imports, input) happen before the tracer attaches or cProfile begins.
With --cprofile the result is its truth, [[[file, function, line, ncalls, plain], ...], closes]; `plain`
functions are no generators or the like. --displace is the same with objects at other addresses. All runs import the same modules, have arguments of the
same length and leave with os._exit, or the comparison would not be fair; and while the tracer is
attached nothing but the program may run Python functions: hence the plain os.read and os.write.
"""
import cProfile
import functools
import gc
import inspect
import json
import opcode
import os
import sys
import traceback
import types

import accuracy_programs


SUSPENDING = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
KEPT = []
CLOSES = {}


def label_of(code):
    """Code objects can have twins: what counts is what a reader sees."""
    return code.co_filename, getattr(code, "co_qualname", code.co_name), code.co_firstlineno


def counts(profiler):
    """ncalls of every Python function, by label."""
    found, special = {}, set()
    for entry in profiler.getstats():
        if not isinstance(entry.code, str):
            label = label_of(entry.code)
            found[label] = found.get(label, 0) + entry.callcount
            if entry.code.co_flags & SUSPENDING:
                special.add(label)
    for label, closes in CLOSES.items():
        found[label] -= closes
    rows = [[*label, n, label not in special] for label, n in sorted(found.items()) if n]
    return [row for row in rows if row[0] != __file__]


def watch_closes():
    """
    From 3.14 on closing a generator that handles nothing does not run it any more, unless somebody
    profiles: then CPython goes through it for the profiler's sake (genobject.c, gen_close). These
    entries must not count; they are the ones at a RESUME outside of any `try`, which it tells by
    a bit of its own (RESUME_OPARG_DEPTH1_MASK).
    """
    if sys.version_info < (3, 14):
        return
    depth1 = 4 if sys.version_info < (3, 15) else 8
    resume = opcode.opmap["RESUME"]

    def thrown(code, offset, exception):
        at = code.co_code[offset : offset + 2]
        if not isinstance(exception, GeneratorExit) or exception.__traceback__:
            return  # what contextlib passes on by throw() has come through other frames before
        if at[0] == resume and at[1] & depth1:
            label = label_of(code)
            CLOSES[label] = CLOSES.get(label, 0) + 1

    monitoring = sys.monitoring
    monitoring.use_tool_id(4, "closes")
    monitoring.register_callback(4, monitoring.events.PY_THROW, thrown)
    monitoring.set_events(4, monitoring.events.PY_THROW)


def displaced(number):
    """
    Things to keep, so that what comes after them has other addresses in each run. Their order, as
    in a set of classes, then differs, and what depends on it can be told.
    """
    return [bytes(size) for size in range(1, 2000, 16) for _ in range(number * 5 % 11)]


def prepared(name):
    """A function that does the work of a program, or of a script as if it were started alone."""
    if name in accuracy_programs.PROGRAMS:
        return accuracy_programs.PROGRAMS[name].prepare()
    with open(name, encoding="utf-8") as f:
        code = compile(f.read(), name, "exec")
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__file__ = name
    sys.argv = [name]
    return functools.partial(exec, code, main.__dict__)


def fail(out):
    traceback.print_exc()
    os.write(out, b'result "failed"\n')
    os._exit(1)


def main():
    out = os.dup(1)  # what the program prints itself is of no interest
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    mode, folder, name = sys.argv[1:]
    if mode == "--displace":
        KEPT.extend(displaced(int(folder[-2:])))
    os.chdir(folder)
    profiler = cProfile.Profile(builtins=False)
    try:
        work = prepared(name)
    except BaseException:
        fail(out)
    gc.collect()  # so that finalizers of the preparations do not run in the middle of it
    if mode != "--watched":
        watch_closes()
        try:
            profiler.enable()
            try:
                work()
            except SystemExit:  # of a script
                pass
            profiler.disable()
        except BaseException:
            profiler.disable()
            fail(out)
        lines = b"result " + json.dumps([counts(profiler), sum(CLOSES.values())]).encode() + b"\n"
        while lines:
            lines = lines[os.write(out, lines) :]
        os._exit(0)
    os.write(out, b"ready %d null\n" % os.getpid())
    if not os.read(0, 1):
        os._exit(3)  # the test is gone
    try:
        work()
    except SystemExit:
        pass
    except BaseException:
        fail(out)
    os.write(out, b'result "done"\n')
    os._exit(0)


if __name__ == "__main__":
    main()
