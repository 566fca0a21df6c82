# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A process that becomes another Python program in the middle.

    execs.py EXE [DEPTH]     EXE: "-" for the one it runs on

It calls first() 100 times, execs, and calls second() 200 times. With DEPTH another thread than the
first execs, in so many calls of down().
"""
import os
import sys
import threading
import time

import target


def first(x):
    return x


def second(x):
    return x


def down(depth, exe):
    if depth > 1:
        down(depth - 1, exe)
    os.execv(exe, [exe, __file__, "--second"])


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
    if len(sys.argv) == 2:
        os.execv(exe, [exe, __file__, "--second"])
    other = threading.Thread(target=down, args=(int(sys.argv[2]), exe))
    other.start()
    other.join()


if __name__ == "__main__":
    main()
