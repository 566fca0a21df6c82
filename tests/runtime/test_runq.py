# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Threads that are ready to run and do not: preempted, woken late, or stopped by a CPU quota."""
import os

from groups import Quota
from harness import check, check_none, near, over, thread_runq_ns, timing

PYTHONS = ("debian-3.9", "debian-3.11", "debian-3.13")


def pinned(*command):
    """To the last CPU."""
    return ["taskset", "-c", str(max(os.sched_getaffinity(0))), *command]


def sums_problems(report, tgid):
    """Parts of run queue time are all of it, in threads and in the process."""
    parts = {"preempted": 0, "woken_late": 0}
    for t in report["threads"]:
        if t["tgid"] != tgid:
            continue
        runq, whole = t["runq_seconds"], t["wait_seconds"]["runq"]
        if not near(sum(runq.values()), whole, 1e-6, 1e-8):
            yield f"thread {t['tid']}: {runq} of {whole}"
        for key in parts:
            parts[key] += runq[key]
    process = report.process(tgid)["runq_seconds"]
    for key, value in parts.items():
        if not near(process[key], value, 1e-6, 1e-8):
            yield f"{key}: {process[key]}, its threads {value}"


def beside_a_hog(lab, py, mode, prefix):
    """The run queue time of a thread that has a CPU with one that never sleeps; its parts."""
    hog = lab.target(py, "greedy.py", "rate", prefix=pinned())
    target = lab.target(py, "runq.py", mode, 2, prefix=prefix)
    hog.release()
    tracer = lab.trace(target)
    before = thread_runq_ns(target.tgid, target.tgid)
    target.release()
    target.result()
    after = thread_runq_ns(target.tgid, target.tgid)
    report = tracer.report()
    lab.note(report.excerpt())
    check_none(list(sums_problems(report, target.tgid)))
    parts = report.process(target.tgid)["runq_seconds"]
    waited = sum(parts.values())
    check(
        near(waited, (after - before) / 1e9, 0.1, 0.05),
        f"{waited:.3f} s on the run queue, the kernel says {(after - before) / 1e9:.3f}",
    )
    return parts, report.process(target.tgid)


@timing
@over(*PYTHONS)
def test_preempted(lab, py):
    parts, process = beside_a_hog(lab, py, "spin", pinned())
    check(parts["preempted"] > 0.6, f"preempted for half of two seconds: {parts}")
    check(parts["woken_late"] < 0.1 * parts["preempted"], f"it never sleeps: {parts}")
    diagnosis = process["diagnosis"]
    check(diagnosis["verdict"] == "runq", f"{diagnosis}")
    check("preempted" in diagnosis["summary"], f"{diagnosis}")


@timing
@over(*PYTHONS)
def test_woken_late(lab, py):
    """Of class SCHED_BATCH, it takes the CPU from nobody when it is woken."""
    parts, process = beside_a_hog(lab, py, "nap", pinned("chrt", "-b", "0"))
    check(parts["woken_late"] > 0.2, f"it is woken beside one that never sleeps: {parts}")
    check(parts["preempted"] < 0.3 * parts["woken_late"], f"it hardly runs: {parts}")
    diagnosis = process["diagnosis"]
    check(diagnosis["verdict"] == "runq", f"{diagnosis}")
    check("woken late" in diagnosis["summary"], f"{diagnosis}")


@timing
@over(*PYTHONS)
def test_throttled_by_a_quota(lab, py):
    """The report has what the group's own counters gained meanwhile, and says that it is the cause."""
    group = Quota(lab, 0.3)
    target = lab.target(py, "runq.py", "spin", 2, prefix=group.prefix())
    earliest = group.throttled()
    tracer = lab.trace(target)
    begin = group.throttled()
    target.release()
    target.result()
    end = group.throttled()
    report = tracer.report()
    latest = group.throttled()
    lab.note(report.excerpt())
    process = report.process(target.tgid)
    told = process["throttling"]
    check(told, f"nothing told of a quota; the group's counters: {begin}, {end}")
    check(told["cgroup"] == group.path, f"{told}, its group is {group.path}")
    for i, key in enumerate(("seconds", "count")):
        low, high = end[i] - begin[i], latest[i] - earliest[i]
        check(low > 0, f"it was not throttled: {begin}, {end}")
        check(low - 1e-6 <= told[key] <= high + 1e-6, f"{key}: {told}, not {low} to {high}")
    check_none(list(sums_problems(report, target.tgid)))
    diagnosis = process["diagnosis"]
    check(diagnosis["verdict"] == "runq", f"{diagnosis}")
    check("throttled by a CPU quota" in diagnosis["summary"], f"{diagnosis}")
    check("quota" in diagnosis["next_step"], f"{diagnosis}")


@over("debian-3.13")
def test_no_quota(lab, py):
    target = lab.target(py, "runq.py", "spin", 0.3)
    _, report = lab.run(target, "--overhead", "0")
    told = report.process(target.tgid)["throttling"]
    check(told is None or not told["seconds"], f"{told}")
