#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What tracing waits only costs a target that has many: its rate against itself alone.

    tests/bench/waits [INTERPRETER...]      default: debian-3.13

Each round runs the target alone and traced, in turning order, and compares within the round; the
figure is the median over the rounds. "own CPU" is the tracer's, in percent of one core.
Exit status 1 if the target with 300 threads keeps less than 0.99 of its rate.
"""
import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "runtime"))
sys.dont_write_bytecode = True

import harness  # noqa: E402

ROUNDS = 5
SECONDS = 4
WANTED = 0.99
LOADS = {"sleepers": "300 sleeping threads + 1 busy", "json": "50 threads, JSON + sleep"}


def cpu_seconds(pid):
    """User and system time of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(py, load, traced):
    """One run: (work a second, the tracer's share of a core, waits lost)."""
    with harness.Lab() as lab:
        target = lab.target(py, "load.py", load, SECONDS)
        own, lost = 0.0, 0
        if traced:
            tracer = lab.trace(target, "--overhead", "0")
            before = cpu_seconds(tracer.pid)
        result = target.release().result()
        if traced:
            own = (cpu_seconds(tracer.pid) - before) / result["seconds"]
            lost = tracer.report().loss("ring_full_wait")
        return result["work"] / result["seconds"], own, lost


def measure(py, load):
    ratios, shares, lost = [], [], 0
    for number in range(ROUNDS):
        first_traced = number % 2 == 1  # neither is always the one that comes first
        rates = {}
        for traced in (first_traced, not first_traced):
            rates[traced], own, missing = run(py, load, traced)
            if traced:
                shares.append(own)
                lost += missing
        ratios.append(rates[True] / rates[False])
    return ratios, shares, lost


def main():
    names = sys.argv[1:] or ["debian-3.13"]
    print(f"waits only, {ROUNDS} rounds of {SECONDS} s; target rate against alone\n")
    print(f"{'':14} {'':32} {'rate':>6} {'lowest to highest':>20} {'own CPU':>8} {'lost':>8}")
    failed = False
    for name in names:
        py = harness.interpreter(name)
        for load, words in LOADS.items():
            ratios, shares, lost = measure(py, load)
            rate = statistics.median(ratios)
            spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
            own = f"{100 * statistics.median(shares):.1f} %"
            print(f"{py.name:14} {words:32} {rate:6.3f} {spread:>20} {own:>8} {lost:>8}", flush=True)
            failed |= load == "sleepers" and rate < WANTED
    print(f"\nwanted with 300 threads: {WANTED} - {'missed' if failed else 'kept'}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
