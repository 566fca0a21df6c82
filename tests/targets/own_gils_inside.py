# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What runs in the interpreters of own_gils.py: two threads that compute, until they are told to stop."""
import mmap
import struct
import threading
import time

TIMES = struct.Struct("dd")


def shared(path):
    """A page that all interpreters see: a byte that says stop, then the times of each pair."""
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), mmap.PAGESIZE)


def place(pair):
    return (pair + 1) * TIMES.size


def outer_of_one(page):
    while not page[0]:
        pass


def inner_of_one(page):
    while not page[0]:
        pass


def outer_of_two(page):
    while not page[0]:
        pass


def inner_of_two(page):
    while not page[0]:
        pass


PAIRS = ((outer_of_one, inner_of_one), (outer_of_two, inner_of_two))


def run(path, pair, known):
    """
    By a thread of the main interpreter.  It takes some naps first, in which it becomes known that it
    is in another one.
    """
    page = shared(path)
    outer, inner = PAIRS[pair]
    end = time.monotonic() + known
    while time.monotonic() < end:
        time.sleep(0.01)
    thread = threading.Thread(target=inner, args=(page,))
    thread.start()
    begin = time.monotonic()
    outer(page)
    TIMES.pack_into(page, place(pair), begin, time.monotonic())
    thread.join()
