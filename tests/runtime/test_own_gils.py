# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Interpreters within the interpreter that have a GIL each: who waits for which, and for whom."""
import collections

from harness import check, check_none, over, timing
from report import short

SECONDS = 2.5
PAIRS = (("outer_of_one", "inner_of_one"), ("outer_of_two", "inner_of_two"))


def sums(report, tgid, names, *classes):
    """Seconds that these functions waited, by class."""
    return (sum(report.wait_sum(tgid, name, c)[1] for name in names) for c in classes)


def pair_problems(report, tgid, pair, elapsed):
    """What is wrong with what is told of two threads of one interpreter that both compute."""
    waited, ready, locks = sums(report, tgid, pair, "gil", "runq", "lock")
    # one of them has the GIL at any time, running or about to
    if not elapsed - 2 * ready - 0.1 < waited < elapsed + 0.1:
        yield f"{pair}: waited {waited:.3f} s for the GIL of {elapsed:.3f}, {ready:.3f} s ready"
    if locks:
        yield f"{pair}: {locks:.6f} s of locks, they take none"
    known = 0
    for waiter, other in (pair, pair[::-1]):
        by = collections.Counter()
        for g in report["gil"]:
            if g["tgid"] == tgid and short(g["waiter"]) == waiter:
                by[short(g["holder"])] += g["seconds"]["sum"]
        named = {name for names in PAIRS for name in names if by[name]}
        # of some the holder's function stays unknown
        if named - {other}:
            yield f"{waiter}: held by {dict(by)}, it is {other}"
        known += by[other]
    if not known:
        yield f"{pair}: no holder known"


def gil_problems(report, tgid, pair, elapsed, gils):
    """The same of their GIL.  `gils`: those of the pairs before, by interpreter."""
    waits = [g for g in report["gil"] if g["tgid"] == tgid and short(g["waiter"]) in pair]
    found = {g["interpreter"] for g in waits}
    if len(found) != 1 or found & gils:
        yield f"{pair}: they waited for the GILs of interpreters {found}, the pairs before for {gils}"
    gils |= found
    told = report.process(tgid)["gil"]["interpreters"]
    wanted = sum(i["wanted_seconds"] for i in told if i["interpreter"] in found)
    (ready,) = sums(report, tgid, pair, "runq")
    # who is about to wait may have to wait for a CPU first
    if not 0.95 * elapsed - ready < wanted < 1.05 * elapsed:
        yield f"{pair}: wanted for {wanted:.3f} s of {elapsed:.3f}, {ready:.3f} s ready: {told}"


@timing
@over("pyenv-3.12", "debian-3.13", "debian-3.14", "debian-3.15")
def test_two_pairs(lab, py):
    """Both threads of a pair share a GIL that no other thread wants."""
    target = lab.target(py, "own_gils.py", SECONDS)
    result, report = lab.run(target, "--overhead", "0")
    problems, gils = [], set()
    for pair, elapsed in zip(PAIRS, result["seconds"]):
        problems += pair_problems(report, target.tgid, pair, elapsed)
        problems += gil_problems(report, target.tgid, pair, elapsed, gils)
    check_none(problems)
