# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A process that becomes another Python program in the middle.

    execs.py EXE     "-" for the one it runs on

It calls first() 100 times, execs, and calls second() 200 times.
"""
import os
import sys
import time

import target


def first(x):
    return x


def second(x):
    return x


def main():
    if sys.argv[1] == "--second":
        time.sleep(0.5)  # a binary never seen before has to be analysed first
        for i in range(200):
            second(i)
        target.done({"first": 100, "second": 200})
    target.ready()
    for i in range(100):
        first(i)
    exe = sys.argv[1] if sys.argv[1] != "-" else sys.executable
    os.execv(exe, [exe, __file__, "--second"])


if __name__ == "__main__":
    main()
