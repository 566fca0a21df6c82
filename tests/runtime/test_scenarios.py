# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The verdict on services in known trouble, whom it names, and none on services that are well."""
import collections

import packages
import postgres
from harness import DEBIAN, check, check_none, limit, over, alone, short
from test_runq import Quota, pinned

SECONDS = 3.2
TRIES = 3  # of a scenario: others run on this machine as well
VERDICTS = "cpu gil lock net disk pipe child gc memory loop runq fault mixed ok idle unknown".split()
GEVENT = ("gevent", "greenlet", "zope.event", "zope.interface")

Scenario = collections.namedtuple("Scenario", "verdicts rule names words cause", defaults=("", ""))
Seen = collections.namedtuple("Seen", "diagnosis problems target report")


def one(verdict, words="", cause="", rule=None, **names):
    """`rule` is the one that decides, where it has not the verdict's name."""
    return Scenario((verdict,), rule or verdict, names, words, cause)


def undecided(*verdicts):
    """By no rule."""
    return Scenario(verdicts, None, {})


SCENARIOS = {
    "cpu": one("cpu", "CPU-bound", function="burn"),
    "spinners": one("gil", "GIL-bound", "want to run Python code", function="burn", holder="burn"),
    "convoy": one("gil", "convoy", function="ask_echo", holder="burn"),
    "regex": one("gil", "GIL-bound", function="nap", holder="backtrack"),
    "pydll": one("gil", "GIL-bound", "native code that holds it", function="nap", holder="doze"),
    "gc_storm": one("gc", "garbage collection", function="storm"),
    "locks": one("lock", "lock-bound", function="take", waker="give"),
    "slow_queue": one("lock", "on a queue", rule="queue", function="consume", waker="produce"),
    "semaphore": one("lock", "lock-bound", function="acquire", caller="enter", waker="leave"),
    "full_queue": one("lock", "lock-bound", function="put", caller="fill", waker="empty"),
    "small_pool": one("lock", "lock-bound", function="borrow", waker="give_back"),
    "slow_peer": one("net", "I/O-bound", function="ask"),
    "polled_peer": one("net", "I/O-bound", function="ask_polled"),
    "n_plus_1": one("net", "I/O-bound", caller="order"),
    "slow_disk": one("disk", "I/O-bound", function="save"),
    "cold_pages": one("fault", "memory", function="scan"),
    "slow_pipe": one("pipe", "I/O-bound", function="ask_echo"),
    "child": one("child", "child", caller="build"),
    "captured": one("child", "child", caller="capture"),
    "impatient": one("child", "child", caller="wait_long"),
    "one_pipe": one("child", "child", function="communicate", caller="check_output"),
    "memory": one("memory", "memory growth", function="grow"),
    "throttled": one("runq", "throttled by a CPU quota", rule="throttled", function="burn"),
    "preempted": one("runq", "preempted", function="burn"),
    "woken_late": one("runq", "woken late", function="rest"),
    "computing": one("cpu", "computing", rule="computing", function="work"),
    "blocked_loop": one("loop", "event loop held up", function="blocks", caller="serves"),
    "gevent_busy": one("cpu", "CPU-bound", function="crunch"),
    "mixed": undecided("mixed"),
    "idle": undecided("idle"),
    "own_workers": undecided("ok", "idle"),
    "healthy": undecided("ok", "idle"),
    "healthy_loop": undecided("ok", "idle"),
}

# those that leave each other the CPU are traced together
GROUPS = (
    ("pydll", "locks", "slow_queue", "slow_peer", "n_plus_1", "slow_disk", "slow_pipe", "child")
    + ("memory", "blocked_loop", "mixed", "idle", "healthy", "healthy_loop"),
    ("semaphore", "full_queue", "small_pool", "polled_peer", "captured", "one_pipe", "impatient")
    + ("own_workers",),
    ("cpu", "throttled"),
    ("spinners",),
    ("convoy",),
    ("regex",),
    ("gc_storm",),
    ("preempted", "woken_late"),
    ("computing", "cold_pages"),
    ("gevent_busy",),
)


def begin(lab, py, name):
    """Start the target of a scenario, and whom it talks to."""
    arguments, prefix = [], []
    if name in ("slow_peer", "polled_peer"):
        others = lab.target(py, "scenarios.py", "peers")
        others.release()
        arguments = others.told
    if name == "n_plus_1":
        target = postgres.client(lab, py, "forever")
        target.slow = f"127.0.0.1:{target.server.port}"
        return target.release()
    if name in ("slow_disk", "cold_pages"):
        arguments = [lab.folder_in(py)[0] / name]
    if name == "throttled":
        prefix = Quota(lab, 0.3).prefix()
    if name in ("preempted", "woken_late"):
        lab.target(py, "greedy.py", "rate", prefix=pinned()).release()
        prefix = pinned() if name == "preempted" else pinned("chrt", "-b", "0")
    if name == "gevent_busy":
        prefix = ["env", *(f"{k}={v}" for k, v in packages.environment(py, GEVENT).items())]
    target = lab.target(py, "scenarios.py", name, *arguments, prefix=prefix)
    if name in ("slow_peer", "polled_peer"):
        target.slow = f":{arguments[0]}"
    target.release()
    if name == "healthy":
        lab.target(py, "scenarios.py", "load", *target.told).release()
    return target


def problems_of(name, target, diagnosis, probed):
    wanted = SCENARIOS[name]
    if diagnosis["verdict"] not in wanted.verdicts:
        yield f"{diagnosis['verdict']}, not {'/'.join(wanted.verdicts)}"
    decided = [rule["rule"] for rule in diagnosis["rules"] if rule["decided"]]
    if decided != ([wanted.rule] if wanted.rule else []):
        yield f"decided by {decided}, not {wanted.rule}"
    if wanted.words not in diagnosis["summary"]:
        yield f"it does not say {wanted.words!r}"
    if wanted.cause not in diagnosis["cause"]:
        yield f"because {diagnosis['cause']}, not {wanted.cause!r}"
    for key, value in wanted.names.items():
        got = diagnosis[key] and short(diagnosis[key])
        if name == "blocked_loop" and key == "caller" and not probed:
            value = None  # what event loops call, call probes tell
        if got != value:
            yield f"{key} {got}, not {value}"
    if hasattr(target, "slow") and not (diagnosis["target"] or "").endswith(target.slow):
        yield f"peer {diagnosis['target']}, not {target.slow}"


def look(lab, py, names, options):
    """Trace those scenarios once: {name: Seen}"""
    targets = {name: begin(lab, py, name) for name in names}
    tgids = ",".join(str(t.tgid) for t in targets.values())
    tracer = lab.tracer("-p", tgids, "-d", SECONDS, "--format", "json", *options)
    report = tracer.attached().report()
    found = {}
    for name, target in targets.items():
        diagnosis = report.process(target.tgid)["diagnosis"]
        problems = list(problems_of(name, target, diagnosis, not options))
        found[name] = Seen(diagnosis, problems, target, report)
        if problems:
            lab.note(f"{name}: {problems}: {diagnosis}")
    for process in lab.processes:
        process.kill()
    return found


def matrix(py, found):
    """Scenarios down, verdicts across."""
    used = [v for v in VERDICTS if any(s.diagnosis["verdict"] == v for s in found.values())]
    lines = [f"{py.name:<13}" + "".join(f"{v:>8}" for v in used)]
    for name, seen in found.items():
        cells = ("x" if seen.diagnosis["verdict"] == v else "." for v in used)
        line = f"{name:<13}" + "".join(f"{cell:>8}" for cell in cells)
        word = "WRONG: " + "; ".join(seen.problems) if seen.problems else "right"
        lines.append(f"{line}  {word}")
    return "\n".join(lines)


def judged(lab, py, groups, *options):
    found = {}
    for group in groups:
        left = group
        for _ in range(TRIES):
            found.update(look(lab, py, left, options))
            left = [name for name in left if found[name].problems]
            if not left:
                break
    print(matrix(py, found), flush=True)
    check_none([f"{name}: {seen.problems}" for name, seen in found.items() if seen.problems])
    return found


@alone
@limit(170)
@over(*DEBIAN)
def test_verdicts(lab, py):
    groups = GROUPS if py.minor < 15 else GROUPS[:-1]  # there is no gevent for 3.15
    judged(lab, py, groups)


@alone
@limit(120)
@over("debian-3.13")
def test_verdicts_without_call_probes(lab, py):
    found = judged(lab, py, GROUPS[:4], "--overhead", "0")
    check(len(found) == sum(map(len, GROUPS[:4])), f"{list(found)}")
