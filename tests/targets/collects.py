# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Collects garbage, by itself and when told to, and knows when, where and for how long.

    collects.py ROUNDS plainly|in_threads|in_child|held|half_the_time

The result has [function, generation, seconds] of each collection, as gc.callbacks sees it.
"""
import gc
import json
import os
import signal
import sys
import threading
import time

import target

seen = []
traps = []  # of watchpoints, if the machine loses why there was one: else it would die
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


class Slow:
    def __del__(self):
        time.sleep(1.5)


def held():
    """One collection that takes a while."""
    a = Slow()
    a.itself = a
    del a
    gc.collect()


def in_threads(rounds):
    """They want to collect while another does, who waits for the GIL."""
    workers = [threading.Thread(target=work, args=(rounds,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def half_the_time():
    """Collects for half of three seconds: told in time on a CPU, which is what samples see."""
    global clock
    clock = time.thread_time_ns
    end = time.monotonic() + 3
    while time.monotonic() < end:
        begin = time.monotonic()
        gc.collect()
        until = 2 * time.monotonic() - begin
        while time.monotonic() < until:
            pass


def in_child(rounds):
    """The same in a forked child: its collections, told to the parent."""
    time.sleep(0.3)  # a fork is clearly after what the tracer did before
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        time.sleep(0.3)  # for a tracer that must look at it first
        seen.clear()
        work(rounds)
        gc.disable()
        os.write(writer, json.dumps(seen).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        return {"tgid": child, "seen": json.load(told)}


def main():
    signal.signal(signal.SIGTRAP, lambda number, frame: traps.append(number))
    rounds, how = int(sys.argv[1]), sys.argv[2]
    ballast = [{i: [i]} for i in range(30000)]
    gc.collect()
    gc.callbacks.append(watch)
    target.ready()
    seen.clear()
    child = None
    if how == "plainly":
        work(rounds)
    elif how == "in_threads":
        in_threads(rounds)
    elif how == "in_child":
        work(rounds)
        child = in_child(rounds)
    elif how == "held":
        held()
    elif how == "half_the_time":
        half_the_time()
    gc.disable()
    target.done({"seen": seen, "traps": len(traps), "child": child, "ballast": len(ballast)})


if __name__ == "__main__":
    main()
