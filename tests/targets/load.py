# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Load that mostly waits, for measuring what watching waits costs.

    load.py sleepers|nappers|json|pinned SECONDS
    load.py native SECONDS LIBRARY

`sleepers`: 300 threads that sleep 100 ms at a time, and one that computes.
`nappers`: the same with 10 ms, which the GIL lets through half as often as they ask.
`json`: 50 threads that encode and decode some JSON and sleep 10 ms.
`pinned`: on one CPU, one thread asks another over pipes, both five functions deep, 10 000 times
a second if nothing slows it; for what is left of its time it computes. (Unix sockets would make twice
as many switches: what is received makes room, and for that the sender is woken.)
`native`: two threads of C on one CPU that ask each other all the time (tests/bench/native_pair.c).
The work of a thread that computes is the CPU time it gets, in microseconds: how much it does in
that depends on who shares the machine. The result is {"work", "wakeups", "seconds"} and "samples",
the work done by when (CLOCK_MONOTONIC).
"""
import ctypes
import json
import os
import sys
import threading
import time

import target

DOCUMENT = {"orders": [{"id": i, "items": list(range(10)), "note": "x" * 20} for i in range(20)]}


class Counter:
    def __init__(self):
        self.work = 0
        self.wakeups = 0


def sleeper(counter, end):
    while time.monotonic() < end:
        time.sleep(0.1)
        counter.wakeups += 1


def napper(counter, end):
    while time.monotonic() < end:
        time.sleep(0.01)
        counter.wakeups += 1


def step(n):
    total = 0
    for i in range(n):
        total += i
    return total


def busy(counter, end):
    while time.monotonic() < end:
        step(1000)
        counter.work = time.thread_time_ns() // 1000


def json_worker(counter, end):
    while time.monotonic() < end:
        json.loads(json.dumps(DOCUMENT))
        counter.work += 1
        time.sleep(0.01)
        counter.wakeups += 1


ROUND_TRIP = 1e-4  # two switches
STEPS_A_SECOND = 2e7  # about; what is wrong with it is put right the next time


def exchange(ends, first):
    reads, writes = ends
    if first:
        os.write(writes, b"x")
    got = os.read(reads, 1)
    if got and not first:
        os.write(writes, b"x")
    return got


def answer(ends):
    while exchange(ends, False):
        pass


def rounds(mine, steps, counter, end):
    while time.monotonic() < end:
        exchange(mine, True)
        step(steps)
        counter.work += 1
        counter.wakeups += 2


def pinned(counter, end):
    """Asks, and computes for what is left of ROUND_TRIP as long as nobody is thought to watch."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    (answers, its_writes), (its_reads, asks) = os.pipe(), os.pipe()
    mine = answers, asks
    thread = threading.Thread(target=answer, args=((its_reads, its_writes),))
    thread.start()
    steps = 1000
    for _ in range(5):
        trial, begin = Counter(), time.monotonic()
        rounds(mine, steps, trial, begin + 0.2)
        took = (time.monotonic() - begin) / trial.work
        steps = max(0, steps + int((ROUND_TRIP - took) * STEPS_A_SECOND))
    rounds(mine, steps, counter, end)
    os.close(asks)
    thread.join()


def native(counter, end):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pair = ctypes.CDLL(sys.argv[3]).native_pair
    while time.monotonic() < end:
        if pair(ctypes.c_long(10000)):
            sys.exit("native_pair() failed")
        counter.work += 10000


def main():
    what, seconds = sys.argv[1], float(sys.argv[2])
    target.ready()
    begin = time.monotonic()
    workers = {
        "sleepers": [sleeper] * 300 + [busy],
        "nappers": [napper] * 300 + [busy],
        "json": [json_worker] * 50,
        "pinned": [pinned],
        "native": [native],
    }[what]
    counters = [Counter() for _ in workers]
    threads = [
        threading.Thread(target=worker, args=(counter, begin + seconds))
        for worker, counter in zip(workers, counters)
    ]
    for thread in threads:
        thread.start()
    samples = []
    while time.monotonic() < begin + seconds:
        time.sleep(0.02)
        samples.append((time.monotonic(), sum(c.work for c in counters)))
    for thread in threads:
        thread.join()
    target.done(
        {
            "samples": samples,
            "work": sum(c.work for c in counters),
            "wakeups": sum(c.wakeups for c in counters),
            "seconds": time.monotonic() - begin,
        }
    )


if __name__ == "__main__":
    main()
