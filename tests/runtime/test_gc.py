# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Pauses of the garbage collector, against what gc.callbacks tells the target."""
import collections
import ctypes
import json
import os
import platform
import re
import signal
import struct
import subprocess

from harness import DEBIAN, NO_GIL, check, check_none, over, parse_report, short, timing, watching

WATCHED = ("pyenv-3.8", "pyenv-3.9", "pyenv-3.10", "pyenv-3.11", "pyenv-3.12", "pyenv-3.13")
ROUNDS = 8


def told(seen):
    """{(function, generation): [seconds, ...]}"""
    found = collections.defaultdict(list)
    for function, generation, seconds in seen:
        found[function, generation].append(seconds)
    return found


def reported(report, tgid):
    """{(function, generation): entry of gc[]}; functions of one name are one here."""
    found = {}
    for gc in report["gc"]:
        key = (short(gc["function"]), gc["generation"])
        if gc["tgid"] == tgid and key in found:
            gc = dict(gc, count=gc["count"] + found[key]["count"])
        if gc["tgid"] == tgid:
            found[key] = gc
    return found


def differences(seen, report, tgid):
    """What gc[] has that the target does not know of, and the other way round."""
    want, got = told(seen), reported(report, tgid)
    counts = {key: (got.get(key, {}).get("count", 0), len(want.get(key, ()))) for key in {*want, *got}}
    return [
        f"{function}, generation {generation}: {ours} collections, there were {theirs}"
        for (function, generation), (ours, theirs) in sorted(counts.items(), key=str)
        if ours != theirs
    ]


def check_method(report, tgid, method):
    process = report.process(tgid)
    said = (process["gc_method"], process["gc_reason"])
    check(said == (method, None), f"gc_method and gc_reason are {said}")
    methods = {gc["method"] for gc in report["gc"] if gc["tgid"] == tgid}
    check(methods == {method}, f"gc[].method: {methods}")


def run_exactly(lab, target, method, *args):
    """Trace a target from before its first collection to its last: each must be in the report."""
    if method == "watchpoint":
        args = ("--watchpoints", "always", *args)
    result, report = lab.run(target, *args)
    check(not result["traps"], f"{result['traps']} traps whose reason this machine lost: tried again")
    check(len(result["seen"]) > 15, f"only {len(result['seen'])} collections in the target")
    check_method(report, target.tgid, method)
    check_none(differences(result["seen"], report, target.tgid))
    check(not report.loss("gc_began_before"), f"losses {report['losses']}")
    return result, report


# --- which, where and how many


@over(*DEBIAN)
def test_tracepoints(lab, py):
    """With call probes, so that functions are those of the shadow stack as well."""
    run_exactly(lab, lab.target(py, "collects.py", ROUNDS, "plainly"), "usdt")


@over(*DEBIAN)
def test_tracepoints_without_call_probes(lab, py):
    target = lab.target(py, "collects.py", ROUNDS, "in_threads")
    run_exactly(lab, target, "usdt", "--overhead", "0")


@watching
@over(*WATCHED, *NO_GIL)
def test_watchpoint(lab, py):
    target = lab.target(py, "collects.py", ROUNDS, "plainly")
    run_exactly(lab, target, "watchpoint", "--overhead", "0")


@watching
@over(*WATCHED, *NO_GIL)
def test_watchpoint_in_threads(lab, py):
    """Begun after the tracer: they inherit it. They are refused collections while another collects."""
    rounds = 8 * ROUNDS if py.name.startswith("built") else 2 * ROUNDS  # most are refused there
    target = lab.target(py, "collects.py", rounds, "in_threads")
    run_exactly(lab, target, "watchpoint", "--overhead", "0")


def without_notes(lab, py):
    """The same interpreter with its tracepoints' notes gone: the path inside."""
    inside, ours = lab.folder_in(py)
    exe = os.path.realpath(py.host_path(py.exe))
    command = ["objcopy", "--remove-section=.note.stapsdt", exe, ours / "without_notes"]
    subprocess.run(command, check=True, timeout=60)
    return inside / "without_notes"


@watching
@over(*DEBIAN)
def test_watchpoint_where_there_were_tracepoints(lab, py):
    """Versions of which no build without them is here, among them."""
    target = lab.target(py, "collects.py", ROUNDS, "plainly", exe=without_notes(lab, py))
    run_exactly(lab, target, "watchpoint", "--overhead", "0")


@watching
@over("debian-3.9", "debian-3.13", "pyenv-3.8", "pyenv-3.12")
def test_forked_child(lab, py):
    target = lab.target(py, "collects.py", ROUNDS, "in_child")
    method = "usdt" if py.name.startswith("debian") else "watchpoint"
    result, report = run_exactly(lab, target, method, "--overhead", "0")
    child = result["child"]
    check(len(child["seen"]) > 60, f"only {len(child['seen'])} collections in the child")
    check_method(report, child["tgid"], method)
    check_none(differences(child["seen"], report, child["tgid"]))


@watching
@over("debian-3.13", "pyenv-3.12")
def test_command_from_its_start(lab, py):
    """-c: the interpreter is not up when it is found, and collects before it runs its script."""
    argv, _ = lab.command(py, "collects.py", ROUNDS, "plainly")
    command = " ".join(argv)
    args = ("--overhead", "0", "--watchpoints", "always", "--format", "json")
    tracer = lab.tracer("-c", command, *args, "-o", lab.dir / "report")
    tracer.attached().write("go\n")
    tracer.finish()
    line = next(x for x in tracer.out.text().splitlines() if x.startswith("result "))
    seen = json.loads(line[len("result ") :])["seen"]
    report = parse_report((lab.dir / "report").read_text())
    (tgid,) = {gc["tgid"] for gc in report["gc"]}
    counts = {key: gc["count"] for key, gc in reported(report, tgid).items()}
    wrong = {k: (counts.get(k), len(v)) for k, v in told(seen).items() if counts.get(k) != len(v)}
    check(not wrong, f"reported and made: {wrong}")


# --- for how long


@timing
@over(*DEBIAN, "pyenv-3.8", "pyenv-3.12")
def test_seconds(lab, py):
    """Tracepoints are inside what gc.callbacks sees, the watched flag around it."""
    usdt = py.name.startswith("debian")
    target = lab.target(py, "collects.py", 20, "plainly")
    result, report = run_exactly(lab, target, "usdt" if usdt else "watchpoint", "--overhead", "0")
    problems = []
    got = reported(report, target.tgid)
    for key, seconds in told(result["seen"]).items():
        ours, theirs, count = got[key]["seconds"]["sum"], sum(seconds), len(seconds)
        outside = (theirs - ours if usdt else ours - theirs) / count * 1e6
        lab.note(f"{key}: {count}, {ours:.6f} s, its own {theirs:.6f} s: {outside:.1f} us each")
        if not -5 < outside < 60:
            problems.append(f"{key}: {outside:.1f} us outside, each of {count}")
        if not usdt and abs(ours - theirs) > 0.1 * theirs + 10e-6 * count:
            problems.append(f"{key}: {ours:.6f} s, it says {theirs:.6f} s")
    check_none(problems)


@watching
@over("debian-3.9", "debian-3.14", "pyenv-3.12")
def test_going_on_at_the_windows_end(lab, py):
    """It is told that there is one, and how long it took in the window in which it ends."""
    target = lab.target(py, "collects.py", 0, "held")
    args = ("--format", "json", "-i", "0.5", "--watchpoints", "always")
    tracer = lab.tracer("-p", target.tgid, *args).attached()
    target.release().result()
    reports = tracer.reports()
    found = [gc for report in reports for gc in report["gc"] if short(gc["function"]) == "held"]
    censored = [gc["seconds"]["censored"] for gc in found]
    check(sum(gc["count"] for gc in found) == 1, f"{[gc['count'] for gc in found]} collections")
    check(found[-1]["count"] == 1 and censored[-1] == 0, f"censored {censored}: the last is over")
    check(2 <= len(found) <= 5 and set(censored[:-1]) == {1}, f"censored: {censored}")
    seconds = found[-1]["seconds"]["sum"]
    check(1.45 < seconds < 2.5, f"it took {seconds} s, of which it slept 1.5 s")


# --- where it cannot be seen


def open_breakpoints(tid, address, count):
    """So many hardware watchpoints on a thread, as a debugger has: their descriptors."""
    check(platform.machine() == "x86_64", "only there the number of the system call is known")
    # type, size, config, period, sample_type, read_format, flags, wakeup, bp_type, addr, len
    attr = struct.pack("<IIQQQQQIIQQ", 5, 112, 0, 1, 0, 0, 1 << 5, 0, 2, address, 4).ljust(112, b"\0")
    libc, found = ctypes.CDLL(None, use_errno=True), []
    for _ in range(count):
        fd = libc.syscall(298, attr, tid, -1, -1, 8)
        if fd < 0:
            break
        found.append(fd)
    return found


def check_unseen(report, tgid, words):
    process = report.process(tgid)
    said = (process["gc_method"], process["gc_reason"])
    check(said[0] == "unknown" and re.search(words, said[1] or ""), f"gc_method, reason: {said}")
    check(not report["gc"], f"gc[] has {report['gc']}")


@over("pyenv-3.12")
def test_no_slot_left(lab, py):
    target = lab.target(py, "collects.py", 1, "plainly")
    taken = open_breakpoints(target.tgid, 0x10000, 4)
    lab.undo.append(lambda: [os.close(fd) for fd in taken])
    check(len(taken) == 4, f"{len(taken)} watchpoints could be had")
    _, report = lab.run(target, "--overhead", "0", "--watchpoints", "always", "--samples", "0")
    check_unseen(report, target.tgid, "taken")


@over("pyenv-3.12")
def test_slots_are_given_back(lab, py):
    """One is taken and no more; killed, the tracer leaves none behind."""
    target = lab.target(py, "collects.py", 1, "plainly")
    for number in (signal.SIGINT, signal.SIGKILL):
        tracer = lab.trace(target, "--overhead", "0", "--watchpoints", "always")
        taken = open_breakpoints(target.tgid, 0x10000, 4)
        for fd in taken:
            os.close(fd)
        check(len(taken) == 3, f"{len(taken)} slots were left beside the tracer's")
        tracer.signal(number)
        tracer.wait()
        free = open_breakpoints(target.tgid, 0x10000, 4)
        for fd in free:
            os.close(fd)
        check(len(free) == 4, f"{len(free)} slots after the tracer's end")


@over("pyenv-3.12")
def test_too_few_descriptors(lab, py):
    target = lab.target(py, "collects.py", 1, "plainly")
    args = ("--overhead", "0", "--watchpoints", "always", "--samples", "0")
    _, report = lab.run(target, *args, prefix=["prlimit", "--nofile=200:200"])
    check_unseen(report, target.tgid, "descriptors")


def text_of(lab, target, *args):
    tracer = lab.tracer("-p", target.tgid, "--overhead", "0", *args).attached()
    target.release().result()
    return tracer.finish().out.text()


@over("pyenv-3.12")
def test_it_is_said_in_the_text(lab, py):
    never = ("--watchpoints", "never")
    text = text_of(lab, lab.target(py, "collects.py", 1, "plainly"), *never, "--samples", "0")
    check("Garbage collections are not seen: --watchpoints never" in text, f"the report: {text}")
    text = text_of(lab, lab.target(py, "collects.py", 40, "plainly"), *never)
    check("Garbage collections are estimated from samples" in text, f"the report: {text}")
    check(re.search(r"^\s*\?\s+\?\s.*\bexplicitly\b", text, re.M), f"the report: {text}")


@over("pyenv-3.12")
def test_not_in_a_virtual_machine(lab, py):
    """There a trap can lose its reason and kill the target: tracers do not take that risk unasked."""
    target = lab.target(py, "collects.py", 1, "plainly")
    _, report = lab.run(target, "--overhead", "0")
    process = report.process(target.tgid)
    flags = open("/proc/cpuinfo", encoding="ascii").read().split()
    method = "samples" if "hypervisor" in flags else "watchpoint"
    check(process["gc_method"] == method, f"gc_method is {process['gc_method']}, not {method}")
    said = process["gc_reason"]
    check(method == "watchpoint" or "--watchpoints always" in said, f"gc_reason: {said}")


# --- estimated


@timing
@over(*WATCHED, *NO_GIL)
def test_samples(lab, py):
    """The time in collections, from how many samples found one: 99 a second for some seconds."""
    target = lab.target(py, "collects.py", 0, "half_the_time")
    result, report = lab.run(target, "--overhead", "0", "--watchpoints", "never", "--samples", "999")
    process = report.process(target.tgid)
    check(process["gc_method"] == "samples", f"gc_method {process['gc_method']}")
    gcs = [gc for gc in report["gc"] if gc["tgid"] == target.tgid]
    check(gcs and all(gc["count"] is None and gc["generation"] is None for gc in gcs), f"gc[]: {gcs}")
    ours, theirs = sum(gc["seconds"]["sum"] for gc in gcs), sum(s for _, _, s in result["seen"])
    lab.note(f"{ours:.3f} s, its own {theirs:.3f} s")
    check(abs(ours - theirs) < 0.15 * theirs, f"{ours:.3f} s of collections, it says {theirs:.3f}")
    most = max(gcs, key=lambda gc: gc["seconds"]["sum"])
    check(short(most["function"]) == "half_the_time", f"most of it in {most['function']}")


@over("debian-3.13")
def test_table(lab, py):
    target = lab.target(py, "collects.py", ROUNDS, "plainly")
    tracer = lab.tracer("-p", target.tgid, "--overhead", "0").attached()
    target.release().result()
    text = tracer.finish().out.text()
    row = re.search(r"^\s*2\s+8\s.*\bfinalized\b", text, re.M)
    check("collected garbage in" in text and row, f"the report: {text}")
