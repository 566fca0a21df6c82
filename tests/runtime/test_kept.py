# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Threads that keep the GIL, asleep or running, and threads that somebody stops."""
import os
import signal
import time

from harness import check, near, over, timing
from report import short

BUILDS = (
    "pyenv-3.8",
    "debian-3.9",
    "debian-3.11",
    "pyenv-3.12",
    "debian-3.13",
    "debian-3.14",
    "debian-3.15",
)
STOPPED = 0.7


def kept(report, target, function):
    """(waits, of those with the GIL, seconds with it) of a function that sleeps."""
    waits = report.waits_of(target.tgid, function, "sleep")
    return [sum(w[key] for w in waits) for key in ("count", "held_gil", "held_gil_seconds")]


@over(*BUILDS)
def test_asleep_with_the_gil(lab, py):
    target = lab.target(py, "kept.py", "asleep")
    truth, report = lab.run(target, "--overhead", "0")
    count, held, seconds = kept(report, target, "sleeps_with")
    check(truth["wanted"], f"nobody wanted it, {truth}")
    waits = report.waits_of(target.tgid, "sleeps_with", "sleep")
    check(count == held == truth["naps"], f"{held} of {count} with the GIL, {truth}: {waits}")
    check(near(seconds, truth["seconds"], 0.05, 0.02), f"{seconds} s with the GIL, {truth}")
    count, held, seconds = kept(report, target, "sleeps_without")
    check(count == truth["naps"], f"{count} naps, {truth}")
    check(held == 0 and not seconds, f"{held} of {count} with the GIL, {seconds} s")


@timing
@over(*BUILDS)
def test_kept_from_others(lab, py):
    """Whoever sleeps with the GIL keeps it from one that wants it, each time for the whole sleep."""
    target = lab.target(py, "kept.py", "asleep")
    truth, report = lab.run(target, "--overhead", "0")
    holds, naps = report.function(target, "sleeps_with")["gil_holds"], truth["naps"]
    nap = truth["seconds"] / naps
    # the first time it may not have waited for it, nor the other always sleep when it lets it go
    check(0.5 * naps <= holds["count"] <= naps, f"{holds}, {truth}")
    mean = holds["seconds"]["sum"] / holds["count"]
    check(nap <= mean < 1.2 * nap, f"{mean} s a time: {holds}, {truth}")
    check(mean <= holds["seconds"]["max"] < 2 * nap, f"{holds}, {truth}")
    without = report.function(target, "sleeps_without")["gil_holds"]
    check(without["seconds"]["max"] < 0.5 * nap, f"it sleeps without: {without}, {truth}")


@over(*BUILDS)
def test_samples_with_the_gil(lab, py):
    target = lab.target(py, "kept.py", "running")
    _, report = lab.run(target, "--overhead", "0", "--samples", "499")
    share = {}
    for name in ("counts", "hashes"):
        stacks = [
            s
            for s in report["stacks"]
            if s["class"] == "oncpu" and s["frames"] and short(s["frames"][-1]["function"]) == name
        ]
        samples = sum(s["count"] for s in stacks)
        check(samples > 40, f"{samples} samples in {name}()")
        share[name] = sum(s["gil_samples"] for s in stacks) / samples
    check(share["counts"] > 0.9 and share["hashes"] < 0.1, f"samples with the GIL: {share}")
    others = [s for s in report["stacks"] if s["class"] != "oncpu"]
    check(all(s["gil_samples"] is None for s in others), "waits have no samples")


@over("pyenv-3.8", "debian-3.11", "debian-3.13")
def test_stopped(lab, py):
    target = lab.target(py, "kept.py", "stopped")
    tracer = lab.trace(target, "--overhead", "0")
    target.release()
    time.sleep(0.2)
    os.kill(target.tgid, signal.SIGSTOP)
    time.sleep(STOPPED)
    os.kill(target.tgid, signal.SIGCONT)
    target.release()
    target.result()
    report = tracer.report()
    stopped = max((w["seconds"]["sum"] for w in report.waits_of(target.tgid, None, "other")), default=0)
    check(near(stopped, STOPPED, 0.1, 0.05), f"stopped for {STOPPED} s, told are {stopped} s")
    _, fault = report.wait_sum(target.tgid, None, "fault")
    check(fault < 0.1, f"{fault} s of page faults")
