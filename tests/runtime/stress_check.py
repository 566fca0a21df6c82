# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Running tests/targets/stress.py under a tracer, for test_stress.py and bench/stress."""
import os

import packages
from harness import check, short

FIGURES = ("calls", "segments", "exceptions", "ended_unseen")
# what runs where it can be deeper than is tracked: what has no seen end has no seen exception
DEEP = {"descend", "trace_function", "on_tick", "on_event", "user_line", "user_return", "next_move"}
DEEP_RAISING = {"deep_thrower"}
# what a child's tools were told of while it counted
UNCOUNTED_IN_CHILDREN = {"trace_function", "on_event", "user_line", "user_return"}
# A page that the kernel is moving cannot be read for a moment, and task storage not be made while a
# task is preempted in the middle of making it, or just after another's: what comes of it for calls is
# in the figures.
NO_LOSS = {"began_before", "ended_unseen", "depth", "stack_mismatch", "unreadable_memory"}
NO_LOSS |= {"thread_storage"}


def counts_of(functions):
    """{tgid: {function: figures}} in one pass: there are many processes."""
    found = {}
    for f in functions:
        own = found.setdefault(f["tgid"], {})
        old = own.get(short(f["function"]), [0] * 4)
        own[short(f["function"])] = [a + (f[k] or 0) for a, k in zip(old, FIGURES)]
    return found


def differing(truth, got, where=""):
    """A line each."""
    lines = []
    for name, wanted in sorted(truth.items()):
        figures = 2 if name in DEEP_RAISING else 3 if name in DEEP else 4
        have = got.get(name, [0] * 4)
        for what, want, is_ in list(zip(FIGURES, wanted, have))[:figures]:
            if want != is_:
                told = f"{name}(): expected {want} {what}, got {is_} ({is_ - want:+d})"
                lines.append(where + told)
    return lines


def differences(report, target, told):
    """What differs from the program's own truth, a line each."""
    folder = os.path.dirname(target.script)
    found = counts_of(f for f in report["functions"] if os.path.dirname(f["file"]) == folder)
    lines = differing(told["truth"], found.get(target.tgid, {}))
    for tgid, truth in told["children"].items():
        truth = {k: v for k, v in truth.items() if k not in UNCOUNTED_IN_CHILDREN}
        lines += differing(truth, found.get(int(tgid), {}), f"child {tgid}: ")
    lost = {k: v for k, v in report["losses"].items() if v and k not in NO_LOSS}
    if lost:
        lines.append(f"expected no losses, got {lost}")
    return lines


def start(lab, py, *args):
    exe, env = lab.own_copy(py)
    if 9 <= py.minor <= 14 and not py.name.endswith("t"):  # those the package is for
        more = packages.environment(py, ["greenlet"])
        paths = [e["LD_LIBRARY_PATH"] for e in (env, more) if "LD_LIBRARY_PATH" in e]
        env = dict(env, **more)
        if paths:
            env["LD_LIBRARY_PATH"] = ":".join(paths)
    prefix = ["env", *(f"{k}={v}" for k, v in env.items())]
    return lab.target(py, "stress.py", *args, exe=exe, prefix=prefix)


def stress(lab, py, seed, seconds, threads, *more):
    """One run: (calls made, processes, what differs)."""
    target = start(lab, py, seed, seconds, threads, *more)
    tracer = lab.trace(target, "--functions", 65536)
    told = target.release().result(seconds * 4 + 30)
    code = target.wait(10)
    check(code == 0, f"the target ended with {code}: {target.err.text()[-500:]}")
    report = tracer.report()
    calls = sum(wanted[0] for wanted in told["truth"].values())
    check(calls > 1000, f"only {calls} calls were made")
    return calls, 1 + len(told["children"]), differences(report, target, told)
