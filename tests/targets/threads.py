# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Threads that start, call something and end, one after the other and at the same time.

    threads.py COUNT
"""
import sys
import threading

import target


def short_life(x):
    for i in range(10):
        inner(i)


def inner(x):
    return x


def one_by_one(count):
    for i in range(count):
        thread = threading.Thread(target=short_life, args=(i,))
        thread.start()
        thread.join()


def all_at_once(count):
    threads = [threading.Thread(target=short_life, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    count = int(sys.argv[1])
    target.ready()
    one_by_one(count)
    all_at_once(count)
    target.done({"short_life": 2 * count, "inner": 20 * count})


if __name__ == "__main__":
    main()
