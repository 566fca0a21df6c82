# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The verdict on services in known trouble, whom it names, and none on services that are well."""
import collections
import os
import pathlib
import time

import packages
import postgres
from disks import LoopDisk
from groups import Quota
from harness import DEBIAN, Skipped, check, check_none, limit, over, alone, short
from test_runq import pinned

SECONDS = 3.2  # memory must have grown for so long
SHORT = 2  # is enough for one alone that never pauses
TRIES = 3  # of a scenario: others run on this machine as well
LOADED = 0.3  # what others have of the CPUs by which one that is well may look as if it were not
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
    "rendering": one("gil", "GIL-bound", function="nap", holder="iterencode", holder_caller="render"),
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
    "silent_clients": undecided("ok", "idle"),
}

WELL = {name for name, scenario in SCENARIOS.items() if "idle" in scenario.verdicts}

# those that leave each other the CPU are traced together
GROUPS = (
    ("pydll", "locks", "slow_queue", "slow_peer", "n_plus_1", "slow_disk", "slow_pipe", "child")
    + ("memory", "blocked_loop", "mixed", "idle", "healthy", "healthy_loop", "silent_clients"),
    ("semaphore", "full_queue", "small_pool", "polled_peer", "captured", "one_pipe", "impatient")
    + ("own_workers",),
    ("cpu", "throttled"),
    ("spinners",),
    ("convoy",),
    ("regex",),
    ("rendering",),
    ("gc_storm",),
    ("preempted", "woken_late"),
    ("computing", "cold_pages"),
    ("gevent_busy",),
)


def begin(lab, py, name):
    """Start the target of a scenario, and whom it talks to."""
    arguments, prefix, slow = [], [], None
    if name in ("slow_peer", "polled_peer"):
        others = lab.target(py, "scenarios.py", "peers")
        others.release()
        arguments = others.told
        slow = f":{arguments[0]}"
    if name == "n_plus_1":
        target = postgres.client(lab, py, "forever")
        target.slow = f"127.0.0.1:{target.server.port}"
        return target.release()
    if name == "slow_disk":
        inside, ours = lab.folder_in(py)
        prefix = LoopDisk(lab, ours / "disk").prefix
        arguments = [inside / "disk/saved"]
        slow = f"{inside}/disk/saved"
    if name == "child":
        inside, ours = lab.folder_in(py)
        command = ours / "compiler"  # which is the name it was run by
        command.unlink(missing_ok=True)
        command.symlink_to(py.exe)
        arguments = [inside / "compiler"]
        slow = "child compiler"
    if name == "cold_pages":
        arguments = [lab.folder_in(py)[0] / name]
    if name == "throttled":
        prefix = Quota(lab, 0.1).prefix()  # it gets as much on a busy machine, too
    if name in ("preempted", "woken_late"):
        lab.target(py, "greedy.py", "rate", prefix=pinned()).release()
        prefix = pinned() if name == "preempted" else pinned("chrt", "-b", "0")
    if name == "gevent_busy":
        prefix = ["env", *(f"{k}={v}" for k, v in packages.environment(py, GEVENT).items())]
    target = lab.target(py, "scenarios.py", name, *arguments, prefix=prefix)
    target.slow = slow
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
    if target.slow and not (diagnosis["target"] or "").endswith(target.slow):
        yield f"target {diagnosis['target']}, not {target.slow}"


def cpu_seconds(session):
    """What the processes of a session, and their children that are over, have run."""
    ticks = 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[3]) in session:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def machine_seconds():
    """(what all CPUs have worked, what they could have)"""
    first = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0]
    user, nice, system, idle, iowait, irq, softirq, steal = map(int, first.split()[1:9])
    busy = user + nice + system + irq + softirq + steal
    ticks = os.sysconf("SC_CLK_TCK")
    return busy / ticks, (busy + idle + iowait) / ticks


class Others:
    """Which part of the CPUs is taken by processes that are not the test's."""

    def __init__(self, lab):
        self.session = {process.pid for process in lab.processes}
        self.before = self.now()

    def now(self):
        return (*machine_seconds(), cpu_seconds(self.session))

    def share(self):
        busy, whole, ours = (b - a for a, b in zip(self.before, self.now()))
        return max(0, busy - ours) / whole


def look(lab, py, names, options, seconds=SECONDS):
    """Trace those scenarios once: ({name: Seen}, share of the CPUs others had)"""
    targets = {}
    for name in names:
        try:
            targets[name] = begin(lab, py, name)
        except Skipped as e:
            print(f"{py.name}: {name} is left out: {e}", flush=True)
    if not targets:
        return {}, 0
    tgids = ",".join(str(t.tgid) for t in targets.values())
    tracer = lab.tracer("-p", tgids, "-d", seconds, "--format", "json", *options)
    tracer.attached()
    others = Others(lab)
    time.sleep(seconds - 0.2)  # while all of them are there
    others = others.share()
    report = tracer.report()
    found = {}
    for name, target in targets.items():
        diagnosis = report.process(target.tgid)["diagnosis"]
        problems = list(problems_of(name, target, diagnosis, not options))
        found[name] = Seen(diagnosis, problems, target, report)
        if problems:
            lab.note(f"{name}: {problems}: {diagnosis}")
    for process in lab.processes:
        process.kill()
    return found, others


def matrix(py, found, failed):
    """Scenarios down, verdicts across; below each what it was before it was tried again."""
    used = [v for v in VERDICTS if any(s.diagnosis["verdict"] == v for s in found.values())]
    lines = [f"{py.name:<13}" + "".join(f"{v:>8}" for v in used)]
    for name, seen in found.items():
        cells = ("x" if seen.diagnosis["verdict"] == v else "." for v in used)
        line = f"{name:<13}" + "".join(f"{cell:>8}" for cell in cells)
        word = "WRONG: " + "; ".join(seen.problems) if seen.problems else "right"
        lines.append(f"{line}  {word}")
        lines += [f"{'':<13}    {words}" for words in failed[name]]
    return "\n".join(lines)


def judged(lab, py, groups, *options):
    found, failed = {}, collections.defaultdict(list)
    for group in groups:
        left, seconds = group, SECONDS if len(group) > 1 else SHORT
        for attempt in range(1, TRIES + 1):
            looked, others = look(lab, py, left, options, seconds)
            found.update(looked)
            left = [name for name, seen in looked.items() if seen.problems]
            if others < LOADED:  # nobody but us is to blame for a false alarm
                left = [name for name in left if name not in WELL]
            if not left or attempt == TRIES:
                break
            for name in left:
                words = "; ".join(found[name].problems)
                failed[name].append(f"try {attempt}: {words} (others had {others:.0%} of the CPUs)")
    print(matrix(py, found, failed), flush=True)
    check_none([f"{name}: {seen.problems}" for name, seen in found.items() if seen.problems])
    return found


def groups_of(py):
    return GROUPS if py.minor < 15 else GROUPS[:-1]  # there is no gevent for 3.15


@alone
@limit(170)
@over(*DEBIAN)
def test_verdicts(lab, py):
    judged(lab, py, groups_of(py))


@alone
@limit(150)
@over("debian-3.9", "debian-3.13", "debian-3.14")
def test_verdicts_without_call_probes(lab, py):
    judged(lab, py, groups_of(py), "--overhead", "0")
