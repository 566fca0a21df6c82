# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Processes that fork, from inside several calls, and work on both sides.

    forks.py CHILDREN

The result tells each process's calls: {"parent": {...}, "children": {pid: {...}}}.
"""
import os
import sys

import target


def before(x):
    return x


def in_child(x):
    return x + 1


def in_grandchild(x):
    return x + 2


def in_parent(x):
    return x + 3


def after(x):
    return x


def child_work(number):
    for i in range(100 + number):
        in_child(i)
    if number == 0:
        grandchild = os.fork()
        if grandchild == 0:
            for i in range(50):
                in_grandchild(i)
            os._exit(0)
        os.waitpid(grandchild, 0)


def fork_one(number):
    """The child leaves this call by returning, as a worker in a pool does not but a daemon does."""
    child = os.fork()
    if child == 0:
        child_work(number)
    return child


def fork_all(count):
    children = {}
    for number in range(count):
        child = fork_one(number)
        if child == 0:
            after(number)
            os._exit(0)
        children[child] = {"in_child": 100 + number, "after": 1}
    return children


def main():
    target.ready()
    for i in range(10):
        before(i)
    children = fork_all(int(sys.argv[1]))
    for child in children:
        os.waitpid(child, 0)
    for i in range(200):
        in_parent(i)
    parent = {"before": 10, "in_parent": 200, "fork_one": len(children), "fork_all": 1}
    target.done({"parent": parent, "children": children})


if __name__ == "__main__":
    main()
