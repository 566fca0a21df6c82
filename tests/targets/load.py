# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Load that mostly waits, for measuring what watching waits costs.

    load.py sleepers|json SECONDS

`sleepers`: 300 threads that sleep 10 ms at a time, and one that computes.
`json`: 50 threads that encode and decode some JSON and sleep 10 ms.
The result is the work done and how long it took: {"work", "wakeups", "seconds"}.
"""
import json
import sys
import threading
import time

import target

DOCUMENT = {"orders": [{"id": i, "items": list(range(10)), "note": "x" * 20} for i in range(20)]}


class Counter:
    def __init__(self):
        self.work = 0
        self.wakeups = 0


def sleeper(counter, end):
    while time.monotonic() < end:
        time.sleep(0.01)
        counter.wakeups += 1


def step(n):
    total = 0
    for i in range(n):
        total += i
    return total


def busy(counter, end):
    while time.monotonic() < end:
        step(1000)
        counter.work += 1


def json_worker(counter, end):
    while time.monotonic() < end:
        json.loads(json.dumps(DOCUMENT))
        counter.work += 1
        time.sleep(0.01)
        counter.wakeups += 1


def main():
    what, seconds = sys.argv[1], float(sys.argv[2])
    target.ready()
    begin = time.monotonic()
    workers = [json_worker] * 50 if what == "json" else [sleeper] * 300 + [busy]
    counters = [Counter() for _ in workers]
    threads = [
        threading.Thread(target=worker, args=(counter, begin + seconds))
        for worker, counter in zip(workers, counters)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    target.done(
        {
            "work": sum(c.work for c in counters),
            "wakeups": sum(c.wakeups for c in counters),
            "seconds": time.monotonic() - begin,
        }
    )


if __name__ == "__main__":
    main()
