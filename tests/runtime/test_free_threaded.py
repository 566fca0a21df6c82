# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What threads wait for that have no GIL to wait for."""
import collections

from harness import NO_GIL, check, over, timing
from report import short

STOP, SECTION = "stop-the-world", "critical section"
SECONDS = 2


def waited(report, target):
    """{(function, target): (count, seconds)} of the waits of class `lock`."""
    found = collections.defaultdict(lambda: (0, 0.0))
    for w in report.waits_of(target.tgid, None, "lock"):
        key = (w["function"] and short(w["function"]), w["target"])
        count, seconds = found[key]
        found[key] = (count + w["count"], seconds + w["seconds"]["sum"])
    return found


def run(lab, py, section):
    target = lab.target(py, "free_threaded.py", section, SECONDS)
    result, report = lab.run(target, "--overhead", "0")
    return target, result, report, waited(report, target)


@timing
@over(*NO_GIL)
def test_stopped_world(lab, py):
    """Who runs Python code waits for as long as the collector's pauses take, and for the collector."""
    target, result, report, waits = run(lab, py, "stopped")
    pauses = sum(result["pauses"])
    spinners = [w for w in report.waits_of(target.tgid, None, "lock") if w["target"] == STOP]
    spinners = [w for w in spinners if short(w["function"]) in ("spins", "going_on")]
    seconds = sum(w["seconds"]["sum"] for w in spinners)
    lab.note(f"{len(result['pauses'])} pauses of {pauses:.3f} s, two stopped for {seconds:.3f} s: {dict(waits)}")
    check(pauses > 0.3, f"only {pauses} s of pauses")
    # of three busy threads two have a CPU: one that is ready, but does not run, is not stopped by it
    check(1.2 * pauses < seconds < 2.02 * pauses, f"{seconds:.3f} s for two, {pauses:.3f} s of pauses")
    wakers = collections.Counter()
    for w in spinners:
        wakers[w["waker"] and short(w["waker"])] += w["seconds"]["sum"]
    check(wakers["collects"] > 0.9 * seconds, f"stopped by {dict(wakers)}")
    check(not any(what == SECTION for _, what in waits), f"critical sections: {dict(waits)}")


@timing
@over(*NO_GIL)
def test_critical_sections(lab, py):
    """Waits to enter, by one lock and by two, against the time the calls took that enter."""
    target, result, report, waits = run(lab, py, "sections")
    lab.note(f"{result}: {dict(waits)}")
    for name in ("appends", "extends"):
        count, seconds = waits[name, SECTION]
        check(count > 20, f"{name}() waited {count} times: {dict(waits)}")
        _, ready = report.wait_sum(target.tgid, name, "runq")  # it yields before it waits
        words = f"{name}(): {seconds:.3f} s and {ready:.3f} s ready, it took {result[name]:.3f}"
        check(seconds < 1.02 * result[name] < 1.2 * (seconds + ready), words)
    check(not any(what == STOP for _, what in waits), f"stopped worlds: {dict(waits)}")


@over(*NO_GIL)
def test_locks_are_neither(lab, py):
    """threading.Lock, also where it is waited for inside a critical section."""
    _, _, _, waits = run(lab, py, "locked")
    count, _ = waits["want", None]
    check(count > 20, f"want() waited {count} times: {dict(waits)}")
    named = {key: waits[key] for key in waits if key[1]}
    check(not named, f"locks of another kind: {named}")
