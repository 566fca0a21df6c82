# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Functions to be watched: how often they are called and how they end is known.

    watched.py FUNCTION CALLS [THREADS]

It sleeps in the function once, so that it is heard of, says so, and waits to be released again.
Without a THREAD it calls it in itself and then, as often, in a forked child.
"""
import asyncio
import json
import os
import signal
import sys
import threading
import time

import target

SHOWN = 0.3  # what the first call sleeps
shown = False


def show():
    if not shown:
        time.sleep(SHOWN)


def plain(i):
    show()
    return i


def many_returns(i):
    show()
    if i % 8 == 0:
        return "a"
    if i % 8 == 1:
        return "b"
    if i % 8 == 2:
        return "c"
    if i % 8 == 3:
        return "d"
    if i % 8 == 4:
        return "e"
    if i % 8 == 5:
        return "f"
    if i % 8 == 6:
        return "g"
    return "h"


def raises(i):
    show()
    if i % 2:
        raise ValueError(i)
    return i


def handles(i):
    show()
    try:
        raises(i)
    except ValueError:
        return -i
    return i


def passes_on(i):
    show()
    try:
        raises(i)
    finally:
        len("")
    return i


def recurses(n):
    show()
    if n:
        recurses(n - 1)
    return n


def generates(n):
    show()
    for i in range(n):
        yield i


async def awaits(i):
    show()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if i % 2:
        raise ValueError(i)
    return i


def sleeps(i):
    show()
    time.sleep(0.002)
    return i


class Times:
    """The target's own clock."""

    def __init__(self):
        self.sum = 0.0

    def call(self, function, i):
        begin = time.perf_counter()
        function(i)
        self.sum += time.perf_counter() - begin


async def interleaved(calls):
    for done in range(0, calls, 1000):
        together = [awaits(i) for i in range(min(1000, calls - done))]
        await asyncio.gather(*together, return_exceptions=True)


def work(name, calls):
    """How often it was called, and how often an exception left it."""
    function = globals()[name]
    if name == "recurses":
        for _ in range(calls // 10):
            function(9)
        return calls, 0
    if name == "generates":
        for _ in range(calls):
            list(function(2))
        return calls, 0
    if name == "awaits":
        asyncio.run(interleaved(calls))
        return calls, calls // 2
    raised = 0
    for i in range(calls):
        try:
            function(i)
        except ValueError:
            raised += 1
    return calls, raised


def in_threads(name, calls, threads):
    ends = []
    running = [
        threading.Thread(target=lambda: ends.append(work(name, calls))) for _ in range(threads)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return [sum(end[0] for end in ends), sum(end[1] for end in ends)]


def in_child(name, calls):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, json.dumps([os.getpid(), *work(name, calls)]).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as told:
        return json.load(told)


def call_once(name):
    function = globals()[name]
    if name == "generates":
        list(function(1))
    elif name == "awaits":
        asyncio.run(function(0))
    else:
        function(0)


def main():
    global shown
    name, calls = sys.argv[1], int(sys.argv[2])
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    traps = []  # if the machine loses why there was one: else it would die
    signal.signal(signal.SIGTRAP, lambda number, frame: traps.append(number))
    target.ready()
    call_once(name)
    shown = True
    print("shown", flush=True)
    sys.stdin.readline()
    times = Times()
    if name == "sleeps":
        for i in range(calls):
            times.call(sleeps, i)
        ended = [calls, 0]
    elif threads > 1:
        ended = in_threads(name, calls, threads)
    else:
        ended = work(name, calls)
    child = in_child(name, calls) if threads == 0 else None
    target.done(
        {
            "calls": ended[0],
            "raised": ended[1],
            "seconds": times.sum,
            "child": child,
            "traps": len(traps),
        }
    )


if __name__ == "__main__":
    main()
