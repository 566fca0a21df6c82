# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Greenlets: calls are right, and last as long as they do, though stacks are switched under them."""
import packages
from harness import brief, check_none, limit, near, over, short

FIGURES = ("calls", "segments", "exceptions", "ended_unseen")


@limit(90)
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "pyenv-3.10", "pyenv-3.12", "pyenv-3.13")
def test_switches_in_the_middle_of_calls(lab, py):
    needs = [f"{k}={v}" for k, v in packages.environment(py, ["greenlet"]).items()]
    target = lab.target(py, "greenlets.py", prefix=["env", *needs])
    told, report = lab.run(target)
    functions = {short(f["function"]): f for f in report.functions_of(target)}
    problems = []
    for name, wanted in sorted(told["truth"].items()):
        f = functions.get(name, {})
        got = [f.get(k, 0) for k in FIGURES]
        if got != wanted:
            told_apart = zip(FIGURES, wanted, got)
            what = ", ".join(f"{k} {w} got {g}" for k, w, g in told_apart if w != g)
            problems.append(f"{name}(): expected {what}")
    for name, seconds in told["seconds"].items():
        f = functions.get(name)
        # its own stamps have our probes in them, and what is around them: some microseconds a call,
        # or more where it is preempted there
        told_seconds = f["wall_seconds"]["sum"] + f["probe_seconds"] if f else 0
        around = 2e-5 * f["calls"] + f["breakdown_seconds"]["runq"] if f else 0
        if not f or not near(told_seconds, seconds, 0.1, around):
            shown = brief(f) if f else "nothing"
            problems.append(f"{name}(): expected {seconds:.6f} s in all, got {shown}")
    # what our probes take while a call is switched out is not inside it
    away, there = (functions[name]["probe_seconds"] for name in ("waits", "works"))
    if away > 0.1 * there:
        problems.append(f"waits(): {away:.6f} s of probes, and works() {there:.6f} meanwhile")
    # GreenletExit is swallowed by C; who is preempted in the middle of a switch has half a stack
    harmless = ("began_before", "ended_unseen", "stack_mismatch")
    harmless += ("unreadable_memory", "string_truncated")
    lost = {k: v for k, v in report["losses"].items() if v and k not in harmless}
    if lost:
        problems.append(f"expected no losses, got {lost}")
    check_none(problems, f"losses {report['losses']}")
