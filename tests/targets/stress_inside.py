# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What runs in the interpreters of stress_life.py, and what its children become."""
import os

NEW_PROGRAM_CALLS = 20


def inside_leaf(x):
    return x


def inside_generator(n):
    for i in range(n):
        yield inside_leaf(i)


def inside_raises(x):
    raise ValueError(x)


def inside_work(n):
    for i in inside_generator(n):
        try:
            inside_raises(i)
        except ValueError:
            inside_leaf(i)


def in_new_program():
    pass


if __name__ == "__main__":
    for _ in range(NEW_PROGRAM_CALLS):
        in_new_program()
    os._exit(0)
