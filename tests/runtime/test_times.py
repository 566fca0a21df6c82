# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Wall times, waits and their classes, against what the targets measure themselves."""
import collections
import datetime
import os
import pathlib
import re
import signal
import time

from harness import (
    check,
    check_none,
    limit,
    near,
    over,
    quantile,
    thread_runtime_ns,
    timing,
)

BUCKET = 0.09  # relative width of a bucket: 2^(1/8) - 1
SLACK = 0.0003  # what a probe, a timer or a wakeup may add

MAIN = ("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "debian-3.15", "pyenv-3.8", "pyenv-3.12")


def breakdown_problem(f):
    """On-CPU and every class add up to the wall time of the calls that are over."""
    wall = f["wall_seconds"]["sum"]
    parts = sum(f["breakdown_seconds"].values())
    if near(parts, wall, 0.02, 2e-6 * f["calls"]):
        return None
    return f"{f['function']}: wall {wall:.6f} s, its parts {parts:.6f}: {f['breakdown_seconds']}"


def check_breakdowns(functions):
    timed = [f for f in functions if f["calls"] and sum(f["wall_seconds"]["buckets"]["counts"])]
    check(timed, "no function was timed")
    check_none(filter(None, map(breakdown_problem, timed)), "breakdowns that do not add up")


@timing
@limit(60)
@over(*MAIN)
def test_sleep_and_quantiles(lab, py):
    target = lab.target(py, "times.py", "sleep")
    result, report = lab.run(target)
    problems = []
    for name in ("nap", "nap_unevenly"):
        stamps = [ns / 1e9 for ns in result["stamps"][name]]
        f = report.function(target, name)
        wall, calls = f["wall_seconds"], len(stamps)
        if f["calls"] != calls or sum(wall["buckets"]["counts"]) != calls:
            problems.append(f"{name}: {f['calls']} calls, {calls} were made")
        if not near(wall["sum"], sum(stamps), 0, SLACK * calls):
            problems.append(f"{name}: wall sum {wall['sum']:.6f}, stamps {sum(stamps):.6f}")
        for q in (50, 90, 95, 99):
            want, got = quantile(stamps, q / 100), wall[f"p{q}"]
            if got is None or not near(got, want, BUCKET, SLACK):
                problems.append(f"{name}: p{q} {got}, stamps say {want:.6f}")
        for key, want in (("min", min(stamps)), ("max", max(stamps))):
            if not near(wall[key], want, 0, SLACK):
                problems.append(f"{name}: {key} {wall[key]}, stamps say {want:.6f}")
        slept = f["breakdown_seconds"]["sleep"] / calls
        want = sum(stamps) / calls
        if not near(slept, want, BUCKET, SLACK):
            problems.append(f"{name}: {slept:.6f} s of sleep a call, it slept {want:.6f}")
        count, seconds = report.wait_sum(target.tgid, name, "sleep")
        if count != calls:
            problems.append(f"{name}: {count} waits of class sleep, {calls} were made")
        if not near(seconds, sum(stamps), BUCKET, SLACK * calls):
            problems.append(f"{name}: waits of {seconds:.4f} s, stamps say {sum(stamps):.4f}")
    nap = report.waits_of(target.tgid, "nap", "sleep")
    if nap and not near(nap[0]["seconds"]["p50"], 0.005, BUCKET, SLACK):
        problems.append(f"nap: the median wait is {nap[0]['seconds']['p50']}, not 5 ms")
    check_none(problems)
    check_breakdowns(report.functions_of(target))


@timing
@limit(60)
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "pyenv-3.8", "pyenv-3.12", "built-3.13-musl")
def test_two_spinners_share_the_gil(lab, py):
    target = lab.target(py, "times.py", "spin")
    result, report = lab.run(target)
    f = report.function(target, "spinner")
    wall = f["wall_seconds"]["sum"]
    stamped = sum(result["stamps"]["spinner"]) / 1e9
    check(near(wall, stamped, 0.02), f"spinner: wall {wall:.3f} s, stamps say {stamped:.3f}")
    # half of it each; others on the machine may take CPUs from who has the GIL and from who has not
    runq, gil = f["breakdown_seconds"]["runq"], f["breakdown_seconds"]["gil"]
    low, high = 0.43 * wall - runq, 0.57 * wall
    check(low <= gil <= high, f"gil is not {low:.3f} to {high:.3f} s: {f['breakdown_seconds']}")
    _, waited = report.wait_sum(target.tgid, wait_class="gil")
    check(low <= waited <= high, f"waits[] has {waited:.3f} s of gil, not {low:.3f} to {high:.3f}")
    check_breakdowns(report.functions_of(target))


@timing
@limit(60)
@over(*MAIN, "built-3.13-musl")
def test_classes_of_waits(lab, py):
    target = lab.target(py, "times.py", "classes")
    result, report = lab.run(target)
    problems = []
    for name, wait_class in result["classes"].items():
        stamps = [ns / 1e9 for ns in result["stamps"][name]]
        f = report.function(target, name)
        parts = f["breakdown_seconds"]
        lost = parts["oncpu"] + parts["runq"] + parts["gil"]  # not the fault of the class
        want, got = sum(stamps) - lost, parts[wait_class]
        if not near(got, want, BUCKET, SLACK * len(stamps)):
            brief = {k: round(v, 5) for k, v in parts.items() if v}
            problems.append(
                f"{name}: {got:.4f} s of {wait_class} in {len(stamps)} calls, "
                f"it is {want:.4f}: {brief}"
            )
        if name in result["deeper"]:
            continue
        count, seconds = report.wait_sum(target.tgid, name, wait_class)
        if not near(seconds, got, 0.02, 1e-4):
            problems.append(f"{name}: waits[] has {seconds:.4f} s, its breakdown {got:.4f}")
        if wait_class != "disk" and count < len(stamps):
            problems.append(f"{name}: {count} waits in {len(stamps)} calls")
    check_none(problems, f"losses {report['losses']}")
    check_breakdowns(report.functions_of(target))
    server = report.function(target, "answer_slowly", tgid=result["child"])
    check(
        server["breakdown_seconds"]["sleep"] > 0.5,
        f"the forked server slept 0.6 s, it reads {server['breakdown_seconds']}",
    )


@timing
@limit(60)
@over(*MAIN)
def test_running_and_suspended(lab, py):
    """A generator's or coroutine's wall time is what it ran; what it was suspended is apart."""
    target = lab.target(py, "times.py", "suspended")
    result, report = lab.run(target)
    problems = []
    for name, stamps in result["running"].items():
        ran = [ns / 1e9 for ns in stamps]
        waited = sum(result["suspended"][name]) / 1e9
        f = report.function(target, name)
        wall, calls, segments = f["wall_seconds"], len(ran), f["segments"]
        # between a stamp and the suspension it is for, others may take the CPU
        slack = 2e-5 * segments + f["breakdown_seconds"]["runq"]
        if f["calls"] != calls or wall["count"] != calls:
            problems.append(f"{name}: {f['calls']} calls, {wall['count']} ended, of {calls}")
        if not near(wall["sum"], sum(ran), 0.02, slack):
            problems.append(f"{name}: ran {wall['sum']:.6f} s, its clock says {sum(ran):.6f}")
        if not near(f["suspended_seconds"], waited, 0.02, slack):
            problems.append(
                f"{name}: suspended {f['suspended_seconds']:.6f} s, its clock says {waited:.6f}"
            )
        if not near(wall["p50"], quantile(ran, 0.5), BUCKET, 2e-5 * segments / calls):
            problems.append(f"{name}: p50 {wall['p50']}, its clock says {quantile(ran, 0.5)}")
    check(len(result["running"]) == 5, f"{sorted(result['running'])}")
    check_none(problems)
    check_breakdowns(report.functions_of(target))


@timing
@limit(60)
@over("debian-3.9", "debian-3.11", "debian-3.14", "pyenv-3.8")
def test_waits_without_calls(lab, py):
    """--overhead 0 attributes the same waits to the same functions, and has no calls."""
    target = lab.target(py, "times.py", "classes")
    result, report = lab.run(target, "--overhead", "0")
    problems = []
    for f in report.functions_of(target):
        if f["method"] != "none" or f["calls"]:
            problems.append(f"{f['function']}: method {f['method']}, {f['calls']} calls")
    for name, wait_class in result["classes"].items():
        if name in result["deeper"]:
            continue
        stamps = [ns / 1e9 for ns in result["stamps"][name]]
        count, seconds = report.wait_sum(target.tgid, name, wait_class)
        _, other = report.wait_sum(target.tgid, name)
        if wait_class == "disk":  # a sync is also work
            wrong = not seconds
        else:
            wrong = count < len(stamps) or not near(
                seconds, sum(stamps) - (other - seconds), BUCKET, SLACK * len(stamps)
            )
        if wrong:
            problems.append(
                f"{name}: {count} waits, {seconds:.4f} s of {wait_class}; stamps say "
                f"{len(stamps)} and {sum(stamps):.4f} (other classes: {other - seconds:.4f})"
            )
    if report["probed_seconds"]:
        problems.append(f"probed_seconds is {report['probed_seconds']}")
    check_none(problems, f"losses {report['losses']}")


def thread_sums(report, target):
    """{thread: (seconds on CPU, seconds of waits by class)}"""
    found = {t["tid"]: t for t in report["threads"] if t["tgid"] == target.tgid}
    missing = [name for name, tid in target.told.items() if tid not in found]
    check(not missing, f"not in threads[]: {missing}")
    told = {name: found[tid] for name, tid in target.told.items()}
    return {name: (t["oncpu_seconds"], t["wait_seconds"]) for name, t in told.items()}


def run_and_switches(tgid, tid):
    """How long the kernel says that thread has run, in seconds, and how often it has been switched from."""
    status = pathlib.Path(f"/proc/{tgid}/task/{tid}/status").read_text()
    switches = sum(map(int, re.findall(r"^\w*voluntary_ctxt_switches:\s*(\d+)", status, re.M)))
    return thread_runtime_ns(tgid, tid) / 1e9, switches


@timing
@limit(60)
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "debian-3.15", "pyenv-3.10", "built-3.13-musl")
def test_threads_add_up(lab, py):
    """Each thread's on-CPU time is the kernel's, and with its waits fills the elapsed time."""
    target = lab.target(py, "times.py", "threads")
    tracer = lab.trace(target, "--overhead", "0", "-i", 2.5)
    begin = {n: run_and_switches(target.tgid, tid) for n, tid in target.told.items()}
    time.sleep(4)
    end = {n: run_and_switches(target.tgid, tid) for n, tid in target.told.items()}
    tracer.signal(signal.SIGINT)
    reports = tracer.reports()
    lab.note("\n".join(r.excerpt() for r in reports))
    check(len(reports) == 2, f"{len(reports)} windows")
    windows = [(r["duration_seconds"], thread_sums(r, target)) for r in reports]
    problems = []
    for name in target.told:
        kernel, switches = (b - a for a, b in zip(begin[name], end[name]))
        ran = sum(sums[name][0] for _, sums in windows)
        # the kernel takes it to run from when the one before is to go, 5 to 15 us before the switch
        if not near(ran, kernel, 0.03, 0.01 + 2e-5 * switches):
            problems.append(f"{name}: {ran:.4f} s on CPU, the kernel {kernel:.4f}")
        for i, (elapsed, sums) in enumerate(windows):
            oncpu, waits = sums[name]
            total = oncpu + sum(waits.values())
            if not near(total, elapsed, 0.002, 0.002):
                problems.append(f"window {i}, {name}: {total:.4f} of {elapsed:.4f} s: {waits}")
    check_none(problems)
    expected = {"main": "pipe", "napping": "sleep", "blocked": "lock", "computing": "gil"}
    for name, wait_class in expected.items():
        waits = collections.Counter()
        for _, sums in windows:
            waits.update(sums[name][1])
        rest = {c: s for c, s in waits.items() if c not in (wait_class, "runq", "gil")}
        check(waits[wait_class] > 10 * sum(rest.values()), f"{name}: {waits}")


def window_of(report):
    """When it began and ended, by the clock on the wall."""
    begin = datetime.datetime.fromisoformat(report["started"].replace("Z", "+00:00")).timestamp()
    return begin, begin + report["duration_seconds"]


def short_window_problems(report, target):
    """Each thread was off-CPU or on for as long as the window is."""
    observed = report.process(target.tgid)["observed_seconds"]
    if not near(observed, report["duration_seconds"], 0.001):
        yield f"observed for {observed} s of {report['duration_seconds']}"
    for name, (oncpu, waits) in thread_sums(report, target).items():
        total = oncpu + sum(waits.values())
        if not near(total, observed, 0.01):
            yield f"{name}: {total:.4f} s of {observed:.4f}: {oncpu:.4f} on CPU, {waits}"


@timing
@limit(60)
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "pyenv-3.8", "pyenv-3.12")
def test_short_windows(lab, py):
    """Of threads that are there before: nothing from before a window is in it, of the first too."""
    target = lab.target(py, "times.py", "steady")
    runs = [
        lab.tracer("-p", target.tgid, "--format", "json", *args).reports()
        for args in (("-d", 1), ("-d", 1, "--overhead", 0), ("-d", 2, "-i", 0.5))
    ]
    ticks = target.release().result()["ticks"]
    problems = []
    for windows, many in zip(runs, (1, 1, 4)):
        check(many <= len(windows) <= many + 1, f"{len(windows)} windows, not {many}")
        for i, report in enumerate(windows[:many]):
            begin, end = window_of(report)
            made = sum(begin <= tick < end for tick in ticks)
            calls = report.calls(target, "tick")
            if report["probed_seconds"] and not made - 2 <= calls <= made + 2:
                problems.append(f"{many} windows, {i}: {calls} calls of tick(), {made} were made")
            problems += (f"{many} windows, {i}: {p}" for p in short_window_problems(report, target))
    check_none(problems)


@timing
@limit(60)
@over("debian-3.9", "debian-3.11", "debian-3.14")
def test_waits_begun_before(lab, py):
    """A thread that slept when the tracer came shows what it sleeps in, and where."""
    target = lab.target(py, "times.py", "threads")
    tracer = lab.trace(target, "--overhead", "0")
    time.sleep(1.5)
    report = tracer.stop().report()
    lab.note(report.excerpt())
    blocked = report.wait_sum(target.tgid, "blocked", "lock")
    check(blocked[1] >= 1.4, f"blocked: {blocked[1]:.3f} s of lock in 1.5 s")


@timing
@over("debian-3.11", "debian-3.13")
def test_run_queue(lab, py):
    """Two processes that compute on one CPU: half of the time each waits for it."""
    cpu = max(os.sched_getaffinity(0))
    hog = lab.target(py, "greedy.py", "rate", prefix=["taskset", "-c", str(cpu)])
    target = lab.target(py, "times.py", "runq", prefix=["taskset", "-c", str(cpu)])
    hog.release()
    result, report = lab.run(target)
    f = report.function(target, "spinner")
    wall = sum(result["stamps"]["spinner"]) / 1e9
    share = f["breakdown_seconds"]["runq"] / wall
    check(abs(share - 0.5) < 0.1, f"runq is {share:.3f} of the wall time: {f['breakdown_seconds']}")
    check_breakdowns(report.functions_of(target))


@timing
@over("debian-3.13")
def test_own_cpu_and_overhead_are_told(lab, py):
    """The report says what it cost: hits times calibrated cost, as a share of the process."""
    target = lab.target(py, "greedy.py", 300000)
    result, report = lab.run(target)
    f = report.function(target, "small")
    check(f["calls"] == result["calls"], f"{f['calls']} calls, {result['calls']} were made")
    process = report.process(target.tgid)
    cost = result["ns_per_call"] * 1e-9 * result["calls"]
    told = process["overhead_share"] * report["duration_seconds"]
    own = report["own"]
    check(0 < own["window_cpu_seconds"] < own["cpu_seconds"], f"own CPU: {own}")
    share = own["window_cpu_seconds"] / report["duration_seconds"]
    check(share < 0.2, f"the tracer used {share:.2f} of a core: {own}")
    # an uninstrumented call is some 60 ns, so the run time is nearly all probes
    check(0.4 * cost < told < 1.2 * cost, f"told {told:.3f} s of probes in {cost:.3f} s of calls")


@timing
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "pyenv-3.12", "built-3.13t")
def test_our_probes_are_not_the_target_s_time(lab, py):
    """A function that makes thousands of calls reads what it takes untraced."""
    target = lab.target(py, "heavy.py")
    alone, report = lab.run(target)
    lab.note(report.excerpt())
    for name, seconds in alone.items():
        f = report.function(target, name)
        probes = f["probe_seconds"] / f["calls"]
        told = f["breakdown_seconds"]["oncpu"] / f["calls"]  # others may run in between
        words = f"{name}: {told:.6f} s told, {seconds:.6f} s alone, {probes:.6f} s of probes in it"
        check(probes > 0.15 * seconds, f"{words}: too few for a test")
        # machines change their pace between the two runs: what a run alone gives varies, too
        check(abs(told - seconds) < 0.25 * probes + 0.1 * seconds, words)
