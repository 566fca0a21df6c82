# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Watched functions, against what the target knows of its own calls."""
import time

from harness import check, over, short, timing, watching

ALL = (
    "pyenv-3.8", "debian-3.9", "pyenv-3.10", "debian-3.11", "pyenv-3.12", "debian-3.13",
    "debian-3.14", "debian-3.15",
)  # fmt: skip
CALLS = 10000
ALL_OF_THEM = ("--overhead", "0", "--exact")  # no call probes, and no budget for what is watched
SETTLED = 0.7  # between the first call and the others: the watchpoints are set


def watch(lab, py, name, *args, calls=CALLS, options=(), globs=None):
    """Run watched.py under --watch: its result, the report, and what that has of the function."""
    target = lab.target(py, "watched.py", name, calls, *args)
    wanted = [x for glob in globs or (name,) for x in ("--watch", glob)]
    options = options or ("--overhead", "0")
    tracer = lab.trace(target, *wanted, "--watchpoints", "always", *options, exact="--exact" in options)
    target.release()
    target.out.find("shown", 10)
    time.sleep(SETTLED)
    target.write("go\n")
    result = target.result()
    report = tracer.report()
    lab.note(report["watches"])
    check(not result["traps"], f"{result['traps']} traps whose reason this machine lost: tried again")
    return target, result, report


def of_function(report, tgid, name):
    found = [f for f in report["functions"] if f["tgid"] == tgid and short(f["function"]) == name]
    check(len(found) == 1, f"{name} is {len(found)} times in the report")
    return found[0]


def check_counts(report, tgid, name, calls, raised, unseen=0):
    f = of_function(report, tgid, name)
    check(f["method"] == "watch", f"{name} is told by {f['method']}")
    got = (f["calls"], f["exceptions"], f["ended_unseen"])
    check(got == (calls, raised, unseen), f"calls, exceptions, unseen {got}: {calls}, {raised}, {unseen}")
    check(f["wall_seconds"]["count"] == calls - unseen, f"{f['wall_seconds']['count']} have a length")
    return f


def check_exactly(lab, py, name, *args, raised=None, **kw):
    """As often called, and left by as many (or so many) exceptions, as the target says."""
    target, result, report = watch(lab, py, name, *args, options=ALL_OF_THEM, **kw)
    raised = result["raised"] if raised is None else raised
    check_counts(report, target.tgid, name, result["calls"], raised)
    return result, report


@watching
@over(*ALL)
def test_plain_calls(lab, py):
    check_exactly(lab, py, "plain", raised=0)


@watching
@over(*ALL)
def test_exceptions_that_leave(lab, py):
    check_exactly(lab, py, "raises")


@watching
@over(*ALL)
def test_exceptions_handled_inside(lab, py):
    check_exactly(lab, py, "handles", raised=0)


@watching
@over(*ALL)
def test_exceptions_passed_on(lab, py):
    check_exactly(lab, py, "passes_on")


@watching
@over(*ALL)
def test_recursion(lab, py):
    check_exactly(lab, py, "recurses", raised=0)


@watching
@over(*ALL)
def test_generators(lab, py):
    check_exactly(lab, py, "generates", raised=0)


@watching
@over(*ALL)
def test_coroutines(lab, py):
    """A thousand at a time; half of them end by an exception."""
    target, result, report = watch(lab, py, "awaits", options=ALL_OF_THEM)
    if py.minor >= 11:
        check_counts(report, target.tgid, "awaits", result["calls"], result["raised"])
        return
    # there it is not known whether an exception is handled inside, until it returns or the frame's
    # memory is used again
    f = of_function(report, target.tgid, "awaits")
    ended = f["exceptions"] + f["ended_unseen"]
    check(f["calls"] == result["calls"], f"{f['calls']} calls, {result['calls']} were made")
    check(ended == result["raised"], f"{ended} raised or ended unseen, {result['raised']} did")


@watching
@over(*ALL)
def test_more_returns_than_slots(lab, py):
    """Those that end where nothing is watched are counted, and said to have ended unseen."""
    target, result, report = watch(lab, py, "many_returns", options=ALL_OF_THEM)
    f = of_function(report, target.tgid, "many_returns")
    # (up to 3.10 what reads all bytecode of a function that gets hot cannot be told from a call)
    more = py.minor < 11
    calls = f["calls"]
    check(0 <= calls - result["calls"] <= more, f"{calls} calls, {result['calls']} were made")
    seen = f["wall_seconds"]["count"]
    # (the last call may have ended unseen without anything after it that shows it)
    check(
        0 <= f["calls"] - seen - f["ended_unseen"] <= 1,
        f"{seen} have a length and {f['ended_unseen']} ended unseen of {f['calls']}",
    )
    (said,) = [w for w in report["watches"] if w["function"] == "many_returns"]
    watched = said["returns_watched"]
    check(
        said["returns"] == 8 and abs(seen - watched * result["calls"] / 8) <= more,
        f"{seen} have a length: {watched} of {said['returns']} returns are watched",
    )


@watching
@over("debian-3.9", "debian-3.13", "pyenv-3.12")
def test_threads(lab, py):
    check_exactly(lab, py, "raises", 50, calls=200)


@watching
@over("debian-3.9", "debian-3.13", "pyenv-3.12")
def test_forked_child(lab, py):
    result, report = check_exactly(lab, py, "raises", 0, calls=1000)
    tgid, calls, raised = result["child"]
    check_counts(report, tgid, "raises", calls, raised)


@timing
@over(*ALL)
def test_times(lab, py):
    """A handler that sleeps 2 ms: as long as its own clock says, and nearly all of it a sleep."""
    target, result, report = watch(lab, py, "sleeps", calls=1000)
    f = check_counts(report, target.tgid, "sleeps", result["calls"], 0)
    wall, own = f["wall_seconds"]["sum"], result["seconds"]
    lab.note(f"{wall:.6f} s, by its own clock {own:.6f} s")
    check(own - 60e-6 * result["calls"] < wall <= own, f"{wall} s, its own clock says {own} s")
    parts = f["breakdown_seconds"]
    check(abs(sum(parts.values()) - wall) < 0.02 * wall, f"{parts} of {wall} s")
    check(parts["sleep"] > 0.9 * wall, f"{parts} of {wall} s")


@watching
@over("debian-3.13")
def test_too_hot(lab, py):
    """What would cost more than the budget is let go of, and that is said."""
    target, result, report = watch(lab, py, "plain", calls=300000)
    (said,) = [w for w in report["watches"] if w["function"] == "plain"]
    check(not said["watched"] and "too often" in said["reason"], f"it says {said}")
    f = of_function(report, target.tgid, "plain")
    check(f["calls"] < 10000, f"{f['calls']} calls were watched")


@over("debian-3.13")
def test_names_of_nothing(lab, py):
    _, _, report = watch(lab, py, "sleeps", calls=10, globs=("sleeps", "no_such_*"))
    (said,) = [w for w in report["watches"] if w["glob"]]
    check(said["glob"] == "no_such_*" and not said["watched"] and said["reason"], f"it says {said}")


@over("debian-3.13")
def test_not_in_a_virtual_machine(lab, py):
    """Without --watchpoints always they are served by probe windows here, and it says why."""
    target = lab.target(py, "watched.py", "sleeps", 500)
    tracer = lab.trace(target, "--watch", "sleeps", exact=False)
    target.release()
    target.out.find("shown", 10)
    time.sleep(SETTLED)
    target.write("go\n")
    target.result()
    report = tracer.report()
    (said,) = [w for w in report["watches"] if w["function"] == "sleeps"]
    works = said["watched"] or said["reason"] == "its process has ended"
    check(works or "virtual machine" in said["reason"], f"it says {said}")
