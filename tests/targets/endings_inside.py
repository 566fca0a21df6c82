# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What runs inside the interpreters of endings_embedded.py."""


def inner(x):
    return x


def inside_generator(n):
    for i in range(n):
        yield inner(i)


def raises_inside(x):
    raise ValueError(x)


def catches_inside(x):
    try:
        raises_inside(x)
    except ValueError:
        return x


def work(x):
    for i in range(5):
        inner(i)
    for i in inside_generator(5):
        pass
    return catches_inside(x)


def fails(n):
    return fails(n - 1) if n else int("no number")
