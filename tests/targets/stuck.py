# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Threads that wait for what another one keeps for ever; it tells which does what.

    stuck.py gil|world|sections

What that is: the GIL; and in builds without one that the world may stop, or lists. Once released, the main thread
keeps it until it is killed.
"""
import gc
import itertools
import sys
import threading
import time

from target import native_id, ready

MANY = 8
tids = {}
begun = threading.Event()
lock = threading.Lock()
wanted, also_wanted = [2, 1], [2, 1]


def keeps(_=0):
    """In C, which lets nobody in."""
    begun.set()
    all(itertools.repeat(True))


def wants():
    while True:
        time.sleep(0.01)


def spins():
    while True:
        pass


def collects():
    """The first time the main thread may still be on its way."""
    begun.wait()
    while True:
        gc.collect()


def appends():
    begun.wait()
    wanted.append(3)


def extends():
    """A critical section of two locks."""
    begun.wait()
    wanted.extend(also_wanted)


def wants_lock(_=0):
    with lock:
        return 0


def locks_in_section():
    """A lock, inside the critical section of a list that nobody else wants."""
    [2, 1].sort(key=wants_lock)


def sleeps():
    time.sleep(60)


def keeps_list():
    """The critical section of a list, in which it stays."""
    wanted.sort(key=keeps)


def main():
    section = sys.argv[1]
    work = {
        "gil": {f"wants_{i}": wants for i in range(MANY)},
        "world": {"spins_one": spins, "spins_two": spins, "collects": collects, "sleeps": sleeps},
        "sections": {f.__name__: f for f in (appends, extends, wants_lock, locks_in_section, sleeps)},
    }[section]
    gc.disable()
    lock.acquire()
    for name, function in work.items():

        def run(name=name, function=function):
            tids[name] = native_id()
            function()

        threading.Thread(target=run, daemon=True).start()
    while len(tids) < len(work):
        time.sleep(0.01)
    ready({"tids": tids})
    (keeps_list if section == "sections" else keeps)()


main()
