# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Stretches of a target's run, with a tool and without, and what is made of them."""
import pathlib
import statistics

from outcome import Failed


def cpu_seconds(pid):
    """What a process ran, user and system, to the nanosecond: ticks of 10 ms say too little."""
    threads = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def work_at(samples, when):
    """The work done by then, between the two samples around it."""
    for (t0, w0), (t1, w1) in zip(samples, samples[1:]):
        if t0 <= when <= t1:
            return w0 + (w1 - w0) * (when - t0) / (t1 - t0)
    raise Failed("no sample then: the target ended too soon")


def rate(samples, stretch):
    begin, end = stretch
    return (work_at(samples, end) - work_at(samples, begin)) / (end - begin)


def against_neighbours(traced, alone):
    """Each traced stretch against the mean of the stretches alone before and after it."""
    return [2 * t / (a + b) for t, a, b in zip(traced, alone, alone[1:])]


def median_error(values):
    """Standard error of the median, from the middle half of the values."""
    low, _, high = statistics.quantiles(values, n=4)
    return 1.2533 * (high - low) / 1.349 / len(values) ** 0.5
