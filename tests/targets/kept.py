# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Who keeps the GIL, asleep or running, and a thread that is stopped.

    kept.py asleep|running|stopped

`asleep`: C code that sleeps with the GIL, Python that sleeps without it, and a thread that wants it.
`running`: one thread runs Python, one hashes without the GIL.
`stopped`: runs Python until stdin says that it is to end; somebody stops it meanwhile.
"""
import ctypes
import hashlib
import sys
import threading
import time

import target

NAPS = 20
NAP = 0.02
RUN = 1.0
LONGEST = 10.0


def sleeps_with():
    usleep = ctypes.PyDLL(None).usleep
    for _ in range(NAPS):
        usleep(int(NAP * 1e6))


def sleeps_without():
    for _ in range(NAPS):
        time.sleep(NAP)


def counts(end, over=None):
    total = 0
    while time.monotonic() < end and not over:
        for i in range(1000):
            total += i
    return total


def hashes(end):
    data = bytes(16 << 20)
    while time.monotonic() < end:
        hashlib.sha256(data)


def asleep():
    begin, over = time.monotonic(), []
    other = threading.Thread(target=counts, args=(begin + LONGEST, over))
    other.start()
    sleeps_with()
    with_it = time.monotonic()
    sleeps_without()
    over.append(True)
    wanted = other.is_alive()
    other.join()
    took = [with_it - begin, time.monotonic() - with_it]
    return {"naps": NAPS, "seconds": NAPS * NAP, "wanted": wanted, "took": took}


def running():
    end = time.monotonic() + RUN
    other = threading.Thread(target=hashes, args=(end,))
    other.start()
    counts(end)
    other.join()
    return {}


def stopped():
    ends = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), ends.set())).start()
    while not ends.is_set():
        counts(time.monotonic() + 0.01)
    return {}


if __name__ == "__main__":
    section = {"asleep": asleep, "running": running, "stopped": stopped}[sys.argv[1]]
    target.ready()
    target.done(section())
