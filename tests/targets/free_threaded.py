# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What only the threads of a build without a GIL wait for.

    free_threaded.py stopped|sections|locked SECONDS

The result is what the threads measured themselves.
"""
import gc
import sys
import time

import target
from blockers import going_on, keeps_lock, lock, run, spins, told

clock = time.perf_counter
pauses = []


def watch(phase, info):
    if phase == "start":
        pauses.append(clock())
    else:
        pauses[-1] = clock() - pauses[-1]


def collects():
    while going_on():
        gc.collect()
        time.sleep(0.02)


def stopped():
    """A collector that stops two spinners."""
    heap = [[[i]] for i in range(250000)]
    gc.callbacks.append(watch)
    run(collects, spins, spins)
    told.update(heap=len(heap), pauses=pauses)


shared = list(range(500000))
waited = {"appends": 0.0, "extends": 0.0}


def sorts():
    while going_on():
        shared.sort()
        time.sleep(0.002)


def appends():
    while going_on():
        begin = clock()
        shared.append(1)
        waited["appends"] += clock() - begin
        time.sleep(0.001)


def extends():
    """Two lists, and so a critical section of two locks."""
    few = [1, 2]
    while going_on():
        begin = clock()
        shared.extend(few)
        waited["extends"] += clock() - begin
        time.sleep(0.001)


def sections():
    """Who holds a list's critical section for milliseconds, and who wants to enter."""
    run(sorts, appends, extends)
    told.update(waited)


def want(_=0):
    lock.acquire()
    lock.release()
    return 0


def wants_lock():
    while going_on():
        want()


def wants_in_section():
    """Inside the critical section of a list that nobody else wants."""
    own = [2, 1]
    while going_on():
        own.sort(key=want)


def locked():
    run(keeps_lock, wants_lock, wants_in_section)


SECTIONS = {"stopped": stopped, "sections": sections, "locked": locked}

if __name__ == "__main__":
    gc.disable()
    target.ready()
    SECTIONS[sys.argv[1]]()
    target.done(told)
