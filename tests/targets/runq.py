# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A thread that could run more than it does; the test sees to it that others have the CPU.

    runq.py spin|nap SECONDS

`spin`  it computes all the time
`nap`   it sleeps a millisecond, computes for a moment, and so on
"""
import sys
import time

import target


def spin(end):
    total = 0
    while time.monotonic() < end:
        for i in range(1000):
            total += i * i


def nap(end):
    while time.monotonic() < end:
        time.sleep(0.001)
        for i in range(100):
            i * i


def main():
    target.ready()
    work = {"spin": spin, "nap": nap}[sys.argv[1]]
    work(time.monotonic() + float(sys.argv[2]))
    target.done(None)


if __name__ == "__main__":
    main()
