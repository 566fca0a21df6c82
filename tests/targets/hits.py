# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Does what it is told, so that the probe hits of each kind of call can be counted.

For each line "KIND N" on its standard input it does that N times and says "did"; until the line
"over". Nothing but what is asked for depends on N.
"""
import os
import sys

import target


def leaf(x):
    return x


def calls(n):
    for i in range(n):
        leaf(i)


def generator(n):
    for i in range(n):
        yield i


def segments(n):
    for _ in generator(n):
        pass


def raises():
    raise ValueError


def exceptions(n):
    for _ in range(n):
        try:
            raises()
        except ValueError:
            pass


def catching():
    while True:
        try:
            yield
        except ValueError:
            pass


def throws(n):
    g = catching()
    next(g)
    for _ in range(n):
        g.throw(ValueError)


KINDS = {f.__name__: f for f in (calls, segments, exceptions, throws)}


def main():
    target.ready()
    while True:
        kind, _, n = sys.stdin.readline().strip().partition(" ")
        if kind == "over":
            target.done(None)
        KINDS[kind](int(n))
        os.write(1, b"did\n")


if __name__ == "__main__":
    main()
