# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Collects garbage, by itself and when told to, and knows when, where and for how long.

    collects.py ROUNDS [THREADS]

The result has [function, generation, seconds] of each collection, as gc.callbacks sees it.
"""
import gc
import sys
import threading
import time

import target

seen = []
started = [0]
clock = time.perf_counter_ns  # exact, and says nothing to the collector


def watch(phase, info):
    now = clock()
    if phase == "start":
        started[:] = [now, sys._getframe(1).f_code.co_name]
    else:
        seen.append((started[1], info["generation"], (now - started[0]) / 1e9))


class Node:
    pass


def storm(count):
    """Cycles: with each few hundred the interpreter collects."""
    for _ in range(count):
        a, b = Node(), Node()
        a.other, b.other = b, a


def explicitly():
    for generation in (0, 1, 2, 1, 0):
        gc.collect(generation)


def hoard():
    """What nobody collects: young objects that stay."""
    return [[i] for i in range(2000)]


class Resurrected:
    def __del__(self):
        in_finalizer()


def in_finalizer():
    gc.collect()  # refused: one is in progress
    storm(400)


def finalized():
    a = Resurrected()
    a.itself = a
    del a
    gc.collect()


def work(rounds):
    kept = []
    for _ in range(rounds):
        storm(3000)
        explicitly()
        kept.append(hoard())
        finalized()


def main():
    rounds, threads = int(sys.argv[1]), int((sys.argv + ["1"])[2])
    ballast = [{i: [i]} for i in range(30000)]
    gc.collect()
    gc.callbacks.append(watch)
    target.ready()
    seen.clear()
    if threads == 1:
        work(rounds)
    else:
        workers = [threading.Thread(target=work, args=(rounds,)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    gc.disable()
    target.done(seen + [] * len(ballast))


if __name__ == "__main__":
    main()
