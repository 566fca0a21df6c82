# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Calls that are open when the tracer comes, and end while it watches.

    open_calls.py DEPTH

DEPTH calls of down(), a generator in the middle of them and a thread are open at attach. Each calls
leaf() twice on its way out.
"""
import sys
import threading

import target

started = threading.Event()
go_on = threading.Event()


def leaf(n):
    return n


def down(n, bottom):
    if n:
        below = down(n - 1, bottom)
    else:
        below = bottom()
    return leaf(below) + leaf(1)


def numbers(depth):
    yield down(depth // 2, target.ready)
    leaf(0)
    yield leaf(1)


def wait_in_thread():
    started.set()
    go_on.wait()
    return 0


def in_thread():
    down(3, wait_in_thread)


def through_generator(depth):
    return sum(numbers(depth))


def main():
    depth = int(sys.argv[1])
    target.ready, original = (lambda: original() or 0), target.ready
    thread = threading.Thread(target=in_thread)
    thread.start()
    started.wait()
    down(depth // 2, lambda: through_generator(depth))
    go_on.set()
    thread.join()
    opened = 2 * (depth // 2 + 1) + 4
    target.done({"leaves": 2 * opened + 2, "opened": opened})


if __name__ == "__main__":
    main()
