# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Stretches of a target's run, with a tool and without, and what is made of them."""
import pathlib
import statistics
import time

from outcome import Failed


def stretch(seconds, settle=0.0):
    """One that begins once all has settled, and is over: (its begin, its end)"""
    begin = time.monotonic() + settle
    time.sleep(settle + seconds)
    return begin, time.monotonic()


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


def rate(samples, when):
    begin, end = when
    return (work_at(samples, end) - work_at(samples, begin)) / (end - begin)


def against_neighbours(traced, before, after):
    """The rate of a traced stretch against the mean of those alone before and after it."""
    return 2 * traced / (before + after)


def median_error(values):
    """Standard error of the median, from the middle half of the values."""
    low, _, high = statistics.quantiles(values, n=4)
    return 1.2533 * (high - low) / 1.349 / len(values) ** 0.5
