# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Calls that are open when the tracer comes, and end while it watches.

    open_calls.py DEPTH [raises]

DEPTH calls of down(), a generator in the middle of them and a thread are open at attach. Each calls
leaf() twice on its way out, or (`raises`, but for the thread's) an exception ends them all.
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
    depth, raises = int(sys.argv[1]), sys.argv[2:] == ["raises"]

    def bottom():
        original()
        if raises:
            raise ValueError
        return 0

    target.ready, original = bottom, target.ready
    thread = threading.Thread(target=in_thread)
    thread.start()
    started.wait()
    try:
        down(depth // 2, lambda: through_generator(depth))
    except ValueError:
        pass
    go_on.set()
    thread.join()
    opened = 2 * (depth // 2 + 1) + 4
    leaves = 2 * 4 if raises else 2 * opened + 2
    target.done({"leaves": leaves, "opened": opened})


if __name__ == "__main__":
    main()
