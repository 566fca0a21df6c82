# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""`--overhead PERCENT`: what a target loses, as the kernel counts it, and what is told of calls all the same."""
import json
import statistics
import threading
import time

from harness import alone, check, limit, over, timing
from report import short
from test_hits import count_runs, program_id, run_counts

BUDGET = 0.02
SPAN = 10  # the budget is kept in any so many seconds, to a half of itself


class Hits(threading.Thread):
    """Reads twenty times a second how often our program has run, from now on."""

    def __init__(self, tracer):
        super().__init__()
        self.tracer, self.number = tracer, program_id(tracer)
        self.read, self.over = [], False
        self.start()

    def run(self):
        while not self.over:
            try:
                self.read.append((time.monotonic(), run_counts(self.tracer)[self.number]))
            except (OSError, KeyError):
                return  # it has ended
            time.sleep(0.05)

    def end(self):
        self.over = True
        self.join()

    def most_in(self, seconds):
        """The most hits in any stretch of that length."""
        most = 0
        for i, (begin, before) in enumerate(self.read):
            within = [hits for when, hits in self.read[i:] if when <= begin + seconds]
            most = max(most, within[-1] - before)
        return most

    def between(self, begin, end):
        within = [hits for when, hits in self.read if begin <= when <= end]
        return within[-1] - within[0] if within else 0


def named(report, name):
    found = [f for f in report["functions"] if short(f["function"]) == name]
    check(len(found) == 1, f"{len(found)} functions {name}()")
    return found[0]


def in_windows(lab, py, section, seconds, *more):
    """Traced to a second before its end: calls that a process leaves open as it ends are a loss."""
    # (a sample may come while 3.11 links a frame)
    args = "--samples", 0, "-d", seconds - 1, *more
    return lab.run(lab.target(py, "budget.py", section, seconds), *args, exact=False, timeout=60)


def check_nothing_lost(report):
    """But what had begun before a window, which is no loss."""
    lost = {cause: n for cause, n in report["losses"].items() if n}
    check(not lost.keys() - {"began_before", "gc_began_before"}, f"{lost}")


def check_rate(f, rate):
    """Where probes take most of the time of windows, how often a function is called is not known, but for bounds."""
    low, high = f["calls_per_second_interval"] or (0, None)
    told = f["calls_per_second"]
    # hits cost more in a window's beginning, and the interval is of 95 %
    held = low / 2 < rate and (high is None or rate < 2 * high)
    check(held, f"[{low}, {high}] calls a second, really {rate}")
    check(told is None or rate / 2 < told < rate * 2, f"{told} calls a second, really {rate}")


def hit_seconds(report):
    cost = report["probe_cost"]
    return (cost["entry_seconds"] + cost["exit_seconds"]) / 2


def traced_under_budget(lab, py, *args, timeout=60):
    """(its result, the report, how often it was hit by when)"""
    count_runs(lab)
    target = lab.target(py, "budget.py", *args)
    tracer = lab.trace(target, "--overhead", 100 * BUDGET)
    hits = Hits(tracer)
    target.release()
    result = target.result(timeout)
    report = tracer.report()
    hits.end()
    lab.note(report.excerpt())
    return result, report, hits


@alone
@limit(90)
@over("debian-3.9", "debian-3.11", "debian-3.14", "pyenv-3.10")
def test_no_ten_seconds_lose_much_more_than_the_budget(lab, py):
    for threads in (1, 4):
        _, report, hits = traced_under_budget(lab, py, "spin", 14, threads)
        lost = hits.most_in(SPAN) * hit_seconds(report)
        check(
            0.2 * BUDGET * SPAN < lost <= 1.5 * BUDGET * SPAN,
            f"{threads} threads: {lost:.3f} s lost in the worst {SPAN} s",
        )
        process = report["processes"][0]
        check(process["probe_windows"]["count"] >= 2, f"{process['probe_windows']}")
        check(named(report, "small")["method"] == "window", "small() is not told as seen in windows")
        told = process["overhead_share"] * process["observed_seconds"]
        whole = (hits.read[-1][1] - hits.read[0][1]) * hit_seconds(report)
        check(0.6 * whole < told < 1.3 * whole, f"{told:.3f} s told as lost, by the kernel {whole:.3f}")


@alone
@limit(60)
@over("debian-3.11", "debian-3.13")
def test_a_storm_costs_once(lab, py):
    """From hundred calls a second to as many as it can: 200 ms at the most, once."""
    result, report, hits = traced_under_budget(lab, py, "storm", 3, 6)
    begin, _ = result["storm"]
    first = hits.between(begin - 0.1, begin + 1.5) * hit_seconds(report)
    rest = hits.between(begin + 1.5, begin + 6) * hit_seconds(report)
    check(first <= 0.2, f"the storm's first second cost {first:.3f} s")
    check(rest <= 1.5 * BUDGET * SPAN, f"and the rest {rest:.3f} s")
    check(report["processes"][0]["probe_windows"]["count"] >= 1, "no window was closed")


@over("debian-3.13")
def test_perf_events_keep_no_budget(lab, py):
    target = lab.target(py, "budget.py", "quiet", 1)
    line = lab.refused(3, "-p", target.tgid, "--attach", "perf", "--overhead", 2)
    check("--overhead 2 needs uprobe_multi" in line, line)
    tracer = lab.trace(target, "--attach", "perf", exact=False)
    target.release()
    check("waits only: " in tracer.err.text(), "it does not say that there are waits only")
    process = tracer.report()["processes"][0]
    check(process["probed_seconds"] == 0, f"probed for {process['probed_seconds']} s")


@limit(60)
@over("debian-3.9", "debian-3.11", "debian-3.13", "pyenv-3.10")
def test_who_fits_the_budget_is_exact(lab, py):
    truth, report = lab.run(lab.target(py, "budget.py", "quiet", 3), exact=False)
    f = named(report, "tick")
    check(f["method"] == "exact", f"its method is {f['method']}")
    # the window opens within milliseconds of the first look
    check(truth["tick"] - 3 <= f["calls"] <= truth["tick"], f"{f['calls']} of {truth['tick']}")
    check(report["processes"][0]["probe_windows"] is None, "it says that it was probed in windows")


@alone
@limit(60)
@over("debian-3.9", "debian-3.11", "debian-3.14", "pyenv-3.10")
def test_who_waits_very_often(lab, py):
    """Of few waits is the stack read; the waits themselves are told as ever."""
    for how in ((), ("--overhead", 0)):
        # (long enough for the shares below: few stacks are read, each is held for a random while)
        truth, report = lab.run(lab.target(py, "budget.py", "waits", 12), *how, exact=False, timeout=60)
        process = report["processes"][0]
        check(process["stacks_read_one_in"] > 1, f"each stack was read: {process}")
        check(process["waits_overhead_share"] > 0, "waits cost nothing")
        told = sum(w["count"] for w in report["waits"] if w["class"] != "runq")
        really = sum(truth["switches"].values())
        # (the scheduler's tracepoint misses one event in some hundred here)
        check(abs(told - really) < 0.03 * really, f"{told} waits told, {really} of the kernel's")
        longest = max((w["seconds"]["max"] or 0 for w in report["waits"]), default=0)
        check(longest < 10, f"a wait of {longest} s, in 12 s")
        of = {
            name: sum(
                w["count"] for w in report["waits"] if w["class"] == "pipe" and short(w["function"] or "") == name
            )
            for name in ("often", "seldom")
        }
        share = of["often"] / max(1, sum(of.values()))
        check(0.7 < share < 0.8, f"often() waited in {share:.3f} of the reads, not in 0.75: {of}")
        check_nothing_lost(report)


@alone
@limit(90)
@over("debian-3.9", "debian-3.11", "debian-3.13")
def test_estimates_from_windows(lab, py):
    """Of calls that were seen for a part of the time, against the target's own clock."""
    truth, report = in_windows(lab, py, "mixed", 20)
    lengths = sorted(truth["lengths"])
    f = named(report, "request")
    process, wall = report["processes"][0], f["wall_seconds"]
    check(f["method"] == "window", "it was probed all the time")
    check(process["probed_seconds"] < 0.5 * process["observed_seconds"], "it was probed most of the time")
    for q in (50, 95):  # at 90 one length ends and the other begins
        real = lengths[int(q / 100 * len(lengths))]
        low, high = wall[f"p{q}_interval"]
        # a bucket is 9 % wide
        held = low * 0.9 <= real and (high is None or real <= high * 1.1)
        check(held, f"p{q}: [{low}, {high}], really {real}")
    p50 = lengths[len(lengths) // 2]
    check(0.85 * p50 < wall["p50"] < 1.15 * p50, f"p50 {wall['p50']}, really {p50}")
    check_rate(f, len(lengths) / truth["seconds"])
    check_rate(named(report, "small"), 4100 * len(lengths) / truth["seconds"])
    time_told = f["stack_seconds"]["inclusive"]
    check(0.9 < time_told / sum(lengths) < 1.05, f"{time_told:.2f} s in request(), really {sum(lengths):.2f} s")
    check_nothing_lost(report)


@alone
@limit(90)
@over("debian-3.11", "debian-3.13")
def test_coroutines_in_windows(lab, py):
    """Which are suspended when windows begin and end."""
    # they begin two hundred at a time: few windows see that
    truth, report = in_windows(lab, py, "tasks", 15, "--overhead", 8)
    f = named(report, "step")
    check(f["method"] == "window" and f["calls"] > 100, f"{f['method']}, {f['calls']} calls")
    check_rate(f, truth["step"] / truth["seconds"])
    ended, wall = f["wall_seconds"]["count"] + f["ended_unseen"], f["wall_seconds"]
    check(ended + wall["censored"] == f["calls"], f"{f['calls']} began, {ended} ended, {wall['censored']} open")
    check_nothing_lost(report)


@timing
@limit(90)
@over("debian-3.9", "debian-3.13")
def test_a_forked_child_is_not_slowed_for_long(lab, py):
    """It has its parent's breakpoints, whose window stays open, until one of its own has come and gone."""
    target = lab.target(py, "budget.py", "forks", 9)
    tracer = lab.trace(target, "--overhead", 2, "-d", 6)
    target.release()
    tracer.finish(timeout=30)
    over_at = time.monotonic()
    report = json.loads(tracer.out.text())
    slices = target.result(30)["slices"]
    check(len(report["processes"]) == 2, "the child is not in the report")
    traced = [done for when, done in slices if over_at - 3 < when < over_at - 1]
    after = [done for when, done in slices if when > over_at + 0.5]
    check(len(traced) >= 10 and len(after) >= 5, f"{len(traced)} and {len(after)} slices")
    share = statistics.median(traced) / statistics.median(after)
    check(share > 0.8, f"it ran at {share:.2f} of its pace alone")
