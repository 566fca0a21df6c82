# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A process that ends in the middle of its calls.

    exits.py HOW     _exit, system_exit, uncaught, abort, thread (others still run), forever

done_before() has been called 100 times and returned; in_the_middle() has been entered once.
"""
import os
import sys
import threading
import time

import target


def done_before(x):
    return x


def busy():
    while True:
        done_before_elsewhere()


def done_before_elsewhere():
    time.sleep(0.001)


def in_the_middle(how):
    if how == "_exit":
        os._exit(0)
    if how == "system_exit":
        sys.exit(0)
    if how == "uncaught":
        raise ValueError("nobody catches this")
    if how == "abort":
        os.abort()
    if how == "thread":
        for _ in range(3):
            threading.Thread(target=busy, daemon=True).start()
        time.sleep(0.1)
        os._exit(0)
    print("result null", flush=True)
    while True:
        time.sleep(0.01)


def main():
    target.ready()
    for i in range(100):
        done_before(i)
    in_the_middle(sys.argv[1])


if __name__ == "__main__":
    main()
