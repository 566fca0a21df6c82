# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Single-threaded processes that sleep 1 ms again and again: every wait is known.

    sleeps.py PROCESSES COUNT

The result has, for each process, its sleeps and how often the kernel says it has waited
(voluntary context switches) since the tracer was attached.
"""
import json
import os
import resource
import sys
import time

import target


def nap():
    time.sleep(0.001)


def waits():
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def work(count):
    before = waits()
    for _ in range(count):
        nap()
    return {"sleeps": count, "waits": waits() - before}


def in_child(count, writer):
    os.write(writer, (json.dumps({"tgid": os.getpid(), **work(count)}) + "\n").encode())
    os._exit(0)


def main():
    processes, count = map(int, sys.argv[1:])
    target.ready()
    if processes == 1:
        target.done([{"tgid": os.getpid(), **work(count)}])
    reader, writer = os.pipe()
    children = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            in_child(count, writer)
        children.append(child)
    os.close(writer)
    for child in children:
        os.waitpid(child, 0)
    with os.fdopen(reader) as lines:
        target.done([json.loads(line) for line in lines])


if __name__ == "__main__":
    main()
