# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Running tests/targets/stress.py under a tracer, for test_stress.py and bench/stress."""
from harness import check, short

# these run where it can be deeper than is tracked: what has no seen end has no seen exception
DEEP = {"descend", "trace_function", "on_tick"}
DEEP_RAISING = {"deep_thrower"}
# a page that the kernel is moving cannot be read for a moment: what comes of it is in the figures
NO_LOSS = {"began_before", "ended_unseen", "depth", "stack_mismatch", "unreadable_memory"}


def differences(report, target, truth):
    """What differs from the program's own truth, a line each."""
    found = {}
    for f in report.functions_of(target):
        name = short(f["function"])
        old = found.get(name, [0, 0, 0, 0])
        new = [f["calls"], f["segments"], f["exceptions"], f["ended_unseen"]]
        found[name] = [a + (b or 0) for a, b in zip(old, new)]
    lines = []
    for name, wanted in sorted(truth.items()):
        got = found.get(name, [0, 0, 0, 0])
        figures = 2 if name in DEEP_RAISING else 3 if name in DEEP else 4
        for what, want, have in list(
            zip(("calls", "segments", "exceptions", "ended_unseen"), [*wanted, 0], got)
        )[:figures]:
            if want != have:
                lines.append(f"{name}(): expected {want} {what}, got {have} ({have - want:+d})")
    lost = {k: v for k, v in report["losses"].items() if v and k not in NO_LOSS}
    if lost:
        lines.append(f"expected no losses, got {lost}")
    return lines


def stress(lab, py, seed, seconds, threads, *more):
    """One run: (calls made, what differs)."""
    target = lab.target(py, "stress.py", seed, seconds, threads, *more)
    tracer = lab.trace(target)
    truth = target.release().result(seconds * 4 + 30)
    code = target.wait(10)
    check(code == 0, f"the target ended with {code}: {target.err.text()[-500:]}")
    report = tracer.report()
    calls = sum(wanted[0] for wanted in truth.values())
    check(calls > 1000, f"only {calls} calls were made")
    return calls, differences(report, target, truth)
