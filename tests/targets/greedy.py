# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Small calls, as fast as it can: where probes cost most.

    greedy.py rate      for ever; prints "rate NS_PER_CALL" five times a second
    greedy.py COUNT     that many calls and a few more; the result is their number and what a call
                        took, on average and in the quietest batch of ten thousand
"""
import sys
import time

import target


def small(x):
    return x


def many_small(count):
    for i in range(count):
        small(i)


def rate():
    count, told = 1000, time.perf_counter_ns()
    while True:
        begin = time.perf_counter_ns()
        many_small(count)
        end = time.perf_counter_ns()
        if end - told > 2e8:
            print(f"rate {(end - begin) / count:.1f}", flush=True)
            told = end
        count = max(1000, int(count * 1e7 / (end - begin)))  # 10 ms at a time


def main():
    target.ready()
    if sys.argv[1] == "rate":
        rate()
    count = int(sys.argv[1])
    batch = min(count, 10000)
    many_small(batch)  # let the interpreter specialise
    taken = []
    for _ in range(count // batch):
        begin = time.perf_counter_ns()
        many_small(batch)
        taken.append((time.perf_counter_ns() - begin) / batch)
    calls = batch * (len(taken) + 1)
    mean = sum(taken) / len(taken)
    target.done({"calls": calls, "ns_per_call": mean, "quietest_ns": min(taken)})


if __name__ == "__main__":
    main()
