# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Programs whose rate is measured while tools look at them (tests/bench/rivals).

    services.py calls|mixed|asyncio|richards SECONDS    or until SIGUSR1

`calls`: one thread, small calls all the time. `mixed`: 50 threads that compute, wait for a lock and
sleep, and one that now and then keeps the GIL for 20 ms, in hog(). `asyncio`: 50 coroutines that ask
others through queues, and sleep. `richards`: pyperformance's, again and again.
The result has "samples": the work done by when (CLOCK_MONOTONIC).
"""
import asyncio
import signal
import sys
import threading
import time

import target

HOLD = 0.02


class Work:
    def __init__(self, seconds):
        self.done = 0
        self.end = time.monotonic() + seconds
        self.samples = []
        self.lock = threading.Lock()

    def ends(self):
        self.end = 0

    def goes_on(self):
        return time.monotonic() < self.end

    def watch(self):
        while self.goes_on():
            time.sleep(0.02)
            self.samples.append((time.monotonic(), self.done))


def small(x):
    return x + 1


def many(n):
    for i in range(n):
        small(i)


def calls(work):
    while work.goes_on():
        many(1000)
        work.done += 1


def hold_length():
    """So many numbers take HOLD to add up, which lets go of nothing."""
    n, begin = 1000000, time.perf_counter()
    sum(range(n))
    return int(n * HOLD / (time.perf_counter() - begin))


def hog(numbers):
    return sum(numbers)


def hogs(work):
    numbers = range(hold_length())
    while work.goes_on():
        hog(numbers)
        time.sleep(0.1)


def request(work):
    many(100)
    with work.lock:
        time.sleep(0.0002)
    time.sleep(0.02)


def serves(work):
    while work.goes_on():
        request(work)
        work.done += 1


def mixed(work):
    threads = [threading.Thread(target=serves, args=(work,)) for _ in range(50)]
    for thread in [*threads, threading.Thread(target=hogs, args=(work,))]:
        thread.start()
    for thread in threads:
        thread.join()


async def answer(asked, answered):
    while True:
        x = await asked.get()
        many(20)
        await answered.put(x)


async def ask(work, asked, answered):
    while work.goes_on():
        await asked.put(1)
        await answered.get()
        await asyncio.sleep(0.005)
        work.done += 1


async def pairs(work):
    queues = [(asyncio.Queue(1), asyncio.Queue(1)) for _ in range(50)]
    others = [asyncio.ensure_future(answer(*pair)) for pair in queues]
    await asyncio.gather(*(ask(work, *pair) for pair in queues))
    for other in others:
        other.cancel()


def coroutines(work):
    asyncio.run(pairs(work))


def richards(work):
    from accuracy_programs import PROGRAMS

    rounds = PROGRAMS["pyperformance/richards"].prepare()
    while work.goes_on():
        rounds()
        work.done += 1


WORK = {"calls": calls, "mixed": mixed, "asyncio": coroutines, "richards": richards}


def main():
    what, seconds = sys.argv[1], float(sys.argv[2])
    target.ready()
    work = Work(seconds)
    signal.signal(signal.SIGUSR1, lambda *_: work.ends())
    watcher = threading.Thread(target=work.watch)
    watcher.start()
    WORK[what](work)
    watcher.join()
    target.done({"samples": work.samples})


if __name__ == "__main__":
    main()
