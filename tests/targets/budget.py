# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Programs that make many calls, or few, for tracing under a budget.

    budget.py spin SECONDS THREADS     small calls all the time
    budget.py storm QUIET SECONDS      few calls, then as many as it can
    budget.py quiet SECONDS            200 calls a second: the result has how many
    budget.py mixed SECONDS            calls of two lengths between small ones: the result has each length, in seconds
    budget.py tasks SECONDS            200 coroutines at a time that sleep in turn, and small calls
    budget.py waits SECONDS            two threads that take turns over pipes: the result has how often each waited and where
    budget.py forks SECONDS            few calls, and a child that makes many: the result has what that did by when
"""
import asyncio
import json
import os
import resource
import sys
import threading
import time

import target


def small(x):
    return x + 1


def many(n):
    for i in range(n):
        small(i)


def spin(seconds, threads):
    def work():
        while time.monotonic() < end:
            many(1000)

    target.ready()
    end = time.monotonic() + seconds
    others = [threading.Thread(target=work) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    work()
    for thread in others:
        thread.join()
    target.done({"seconds": seconds})


def storm(quiet, seconds):
    target.ready()
    end = time.monotonic() + quiet
    while time.monotonic() < end:
        small(0)
        time.sleep(0.01)
    begin = time.monotonic()
    while time.monotonic() < begin + seconds:
        many(1000)
    target.done({"storm": [begin, time.monotonic()]})


def tick():
    time.sleep(0.005)


def quietly(seconds):
    target.ready()
    calls, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        tick()
        calls += 1
    target.done({"tick": calls})


def request(i):
    """Nine in ten are short."""
    time.sleep(0.03 if i % 10 == 9 else 0.002)
    many(100)


def mixed(seconds):
    target.ready()
    lengths, end, i = [], time.monotonic() + seconds, 0
    while time.monotonic() < end:
        many(4000)
        begin = time.perf_counter()
        request(i)
        lengths.append(time.perf_counter() - begin)
        i += 1
    target.done({"lengths": lengths, "seconds": seconds})


async def step(i):
    await asyncio.sleep(0.01 + i % 7 * 0.003)
    many(50)
    await asyncio.sleep(0.005)


async def tasks(seconds):
    calls, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.gather(*(step(i) for i in range(200)))
        calls += 200
    return calls


def coroutines(seconds):
    target.ready()
    target.done({"step": asyncio.run(tasks(seconds)), "seconds": seconds})


def often(fd):
    return os.read(fd, 1)


def seldom(fd):
    return os.read(fd, 1)


def voluntary_switches():
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def waits(seconds):
    here, there = os.pipe(), os.pipe()
    reads, switches = {"often": 0, "seldom": 0}, {}

    def answer():
        while os.read(there[0], 1) != b"q":
            os.write(here[1], b"a")
        switches["answer"] = voluntary_switches()

    target.ready()
    other = threading.Thread(target=answer)
    other.start()
    end, i = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        os.write(there[1], b"x")
        how = often if i % 4 else seldom
        how(here[0])
        reads[how.__name__] += 1
        i += 1
    os.write(there[1], b"q")
    other.join()
    switches["main"] = voluntary_switches()
    target.done({"reads": reads, "switches": switches})


def forks(seconds):
    """The child tells how many thousand calls it made in each tenth of a second."""
    reads, writes = os.pipe()
    target.ready()
    until = time.monotonic() + 0.6
    while time.monotonic() < until:
        tick()
    end = time.monotonic() + seconds
    if not os.fork():
        slices = []
        while time.monotonic() < end:
            slice_end, done = time.monotonic() + 0.1, 0
            while time.monotonic() < slice_end:
                many(1000)
                done += 1
            slices.append([time.monotonic(), done])
        os.write(writes, json.dumps(slices).encode())
        os._exit(0)
    while time.monotonic() < end:
        tick()
    os.close(writes)
    target.done({"slices": json.loads(os.read(reads, 1 << 16))})


def main():
    what, *numbers = sys.argv[1:]
    how = {
        "spin": spin,
        "storm": storm,
        "quiet": quietly,
        "mixed": mixed,
        "tasks": coroutines,
        "waits": waits,
        "forks": forks,
    }[what]
    how(*map(int, numbers))


if __name__ == "__main__":
    main()
