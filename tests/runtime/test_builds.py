# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""However CPython was built and whatever program it is in: calls are exact, or refused with the reason."""
import json
import re
import shutil
import struct
import subprocess

from harness import (
    NO_GIL,
    TREE,
    check,
    check_none,
    limit,
    over,
    target_environment,
)
from hosts import c_host, is_pic
from test_counts import call_problems, compare, observed, run_and_compare

DEBUG = ("debug-3.9", "debug-3.11", "debug-3.13", "debug-3.14")

SECTIONS = ("calls", "throw", "abandon", "limits")


def check_counts(lab, py, sections=SECTIONS):
    """Every function's segments are cProfile's ncalls; the last report."""
    for section in sections:
        target, report = run_and_compare(lab, py, section)
        if section == "calls":
            check_none(call_problems(report, target), f"losses {report['losses']}")
    return report


@limit(120)
@over(*DEBUG)
def test_debug_builds(lab, py):
    """Py_DEBUG, -Og: structs, frames and handlers of their own shapes."""
    report = check_counts(lab, py)
    reasons = [p["reason"] for p in report["processes"]]
    check(reasons == [None], f"something is missing: {reasons}")


@limit(120)
@over("built-3.14-tail")
def test_tail_calls(lab, py):
    """Opcode handlers are functions that call each other, in other registers."""
    report = check_counts(lab, py)
    reasons = [p["reason"] for p in report["processes"]]
    check(reasons == [None], f"something is missing: {reasons}")


@limit(120)
@over(*NO_GIL)
def test_free_threaded(lab, py):
    """No GIL, thread states found all the same."""
    report = check_counts(lab, py)
    reasons = [p["reason"] for p in report["processes"]]
    check(reasons == [None], f"something is missing: {reasons}")


@limit(120)
@over("built-3.13-musl")
def test_musl(lab, py):
    """Another C library: in the list, all calls."""
    target = lab.target(py, "greedy.py", 1000)
    line = lab.listed().get(target.tgid, "not in the list")
    check(py.version in line and "opcode" in line, f"{target.tgid}: {line}")
    report = check_counts(lab, py)
    reasons = [p["reason"] for p in report["processes"]]
    check(reasons == [None], f"something is missing: {reasons}")


@limit(60)
@over(*NO_GIL)
def test_threads_of_free_threaded(lab, py):
    """Threads that run at once, come and go: each call is counted, none waits for a GIL."""
    target = lab.target(py, "threads.py", 100)
    truth, report = lab.run(target)
    for name, calls in truth.items():
        got = report.calls(target, name)
        check(got == calls, f"{name}: {got} calls, {calls} were made; losses {report['losses']}")
    check(not report["gil"], f"waits for a GIL that is not there: {report['gil']}")


def profiled(lab, py, exe):
    """{(file, function, line): ncalls} of counts_plain.py, as cProfile counts them."""
    argv, _ = lab.command(py, "counts_plain.py", "--cprofile", exe=exe)
    out = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=target_environment(), timeout=60
    )
    line = out.stdout.decode().strip()
    check(line.startswith("result "), f"{exe} failed")
    return {(file, name, at): n for file, name, at, n in json.loads(line[len("result ") :])}


def hosts_of(lab, py, kinds):
    """
    {kind: target} of programs with this Python in them. What Debian 12's linker makes of 3.14's static
    library (GCC 16) crashes if it is position-independent.
    """
    exes = {kind: c_host(lab, py, kind) for kind in kinds if py.minor < 14 or not is_pic(kind)}
    return {kind: lab.target(py, "counts_plain.py", exe=exe) for kind, exe in exes.items()}


NAMED = ("shared", "static-pie", "static", "exporting", "stripped-exporting")


@limit(90)
@over("debug-3.9", "debug-3.11", "debug-3.13", "debug-3.14")
def test_c_programs(lab, py):
    """Linked in each way that leaves the names somewhere: all calls, to the call."""
    targets = hosts_of(lab, py, NAMED)
    truth = profiled(lab, py, targets["shared"].argv[-2])
    tgids = ",".join(str(t.tgid) for t in targets.values())
    tracer = lab.tracer("-p", tgids, "--format", "json").attached()
    for target in targets.values():
        target.release().result()
    report = tracer.report()
    for kind, target in targets.items():
        process = report.process(target.tgid)
        check(process["reason"] is None, f"{kind}: {process['calls_method']}: {process['reason']}")
        check(process["calls_method"] != "none", f"{kind}: no calls")
        compare(truth, observed(report, target), report)


@limit(60)
@over("debug-3.9", "debug-3.11", "debug-3.13", "debug-3.14")
def test_stripped_c_programs(lab, py):
    """Nothing left tells where PyTraceBack_Here is: no calls, and that is said; waits as far as known."""
    targets = hosts_of(lab, py, ("stripped", "stripped-pie"))
    listed = lab.listed()
    tgids = ",".join(str(t.tgid) for t in targets.values())
    tracer = lab.tracer("-p", tgids, "--format", "json").attached()
    for target in targets.values():
        target.release().result()
    report = tracer.report()
    wanted = "PyTraceBack_Here" if py.minor >= 13 else "where its runtime is"
    for kind, target in targets.items():
        process = report.process(target.tgid)
        check(process["calls_method"] == "none", f"{kind}: calls_method {process['calls_method']}")
        check(wanted in process["reason"], f"{kind}: reason {process['reason']!r}")
        check(process["python"] == py.version, f"{kind}: python {process['python']!r}")
        line = listed.get(target.tgid, "")
        check(py.version in line and wanted in line, f"{kind}: `list` says {line!r}")
        check(not any(f["calls"] for f in report.functions_of(target)), f"{kind}: calls counted")
        waits = [w for w in report["waits"] if w["tgid"] == target.tgid]
        check(waits, f"{kind}: no waits")
        named = {w["function"] for w in waits}
        check(py.minor < 13 or "ready" in str(named), f"{kind}: waits of {named}")


def check_refused_for_jit(report, tgid, naps):
    process = report.process(tgid)
    check(process["calls_method"] == "none", f"calls_method is {process['calls_method']}")
    check("JIT is on" in (process["reason"] or ""), f"reason {process['reason']!r}")
    calls = [f["function"] for f in report["functions"] if f["tgid"] == tgid and f["calls"]]
    check(not calls, f"calls of {calls}")
    slept = sum(
        w["count"]
        for w in report["waits"]
        if (w["tgid"], w["class"], w["function"]) == (tgid, "sleep", "nap")
    )
    check(slept == naps, f"{slept} sleeps in nap(), it was {naps}")


@over("debian-3.14", "debian-3.15")
def test_jit(lab, py):
    """Where the interpreter's JIT is on its calls are refused, its children's too; waits go on."""
    target = lab.target(py, "sleeps.py", 2, 20, prefix=["env", "PYTHON_JIT=1"])
    line = lab.listed().get(target.tgid, "")
    check("none" in line and "JIT is on" in line, f"`list` says {line!r}")
    result, report = lab.run(target)
    for told in result:
        check_refused_for_jit(report, told["tgid"], told["sleeps"])
    check_refused_for_jit(report, target.tgid, 0)


@over("debian-3.14")
def test_jit_of_a_command(lab, py):
    """A process that is traced from its beginning, before it has set anything up."""
    argv, _ = lab.command(py, "briefly.py", 1000, 1.5)
    tracer = lab.tracer("--format", "json", "-c", f"PYTHON_JIT=1 {' '.join(argv)}")
    report = tracer.report()
    (process,) = [p for p in report["processes"] if p["python"]]
    check(process["calls_method"] == "none", f"calls_method is {process['calls_method']}")
    check("JIT is on" in (process["reason"] or ""), f"reason {process['reason']!r}")
    check(not [f for f in report["functions"] if f["calls"]], "calls were counted")


@over("debian-3.14", "debian-3.15")
def test_jit_that_is_off(lab, py):
    """Said so, or as Debian leaves it: counted like any other."""
    for prefix in ([], ["env", "PYTHON_JIT=0"]):
        target = lab.target(py, "greedy.py", 5000, prefix=prefix)
        result, report = lab.run(target)
        check(report.process(target.tgid)["reason"] is None, "there is a reason")
        got = report.calls(target, "small")
        check(got == result["calls"], f"{got} calls of small(), {result['calls']} were made")


# --- builds that are not what they should be


def u64(image, at):
    return struct.unpack_from("<Q", image, at)[0]


def future_version(image, _):
    """What 3.11 and later export as Py_Version, in every place it could stand."""
    version = (3 << 24 | 11 << 16 | image[image.index(b"3.11.") + 5] - ord("0") << 8 | 0xF0) & ~0xFFFF
    places = [at for at in range(0, len(image) - 8, 8) if u64(image, at) & ~0xFFFF == version]
    for at in places:
        struct.pack_into("<Q", image, at, u64(image, at) + (50 << 16))
    check(places, "there is no Py_Version")


def published(image, field):
    """Where a build publishes the offset of that field of ours (tools/gen-tables knows)."""
    table = (TREE / "user/discover/tables.inc").read_text()
    table = table[table.index("py_debug_3_13") :]
    if field == "version":
        place = re.search(r"\.version = (\d+)", table)
    else:
        place = re.search(rf"{field}\), (\d+)", table)
    (cookie,) = [m.start() for m in re.finditer(rb"xdebugpy.{2}\r\x03\0{4}", image, re.S)]
    return cookie + int(place[1])


def published_version(image, _):
    struct.pack_into("<Q", image, published(image, "version"), 0x035000F0)


def published_nonsense(image, _):
    struct.pack_into("<Q", image, published(image, "interp_next"), 1 << 40)


def published_neighbour(image, _):
    at = published(image, "interp_threads_head")  # after it: the main thread's, which a list could begin with
    struct.pack_into("<Q", image, at, u64(image, at) - 8)


def strange_table(image, _):
    """3.11 defines no opcodes from 181 to 254 (opcode.h): all lead to one place, till now."""
    for at in range(0, len(image) - 2048, 8):
        if u64(image, at + 8 * 181) == u64(image, at + 8 * 254) and u64(image, at + 8 * 181):
            cells = struct.unpack_from("<256Q", image, at)
            if len(set(cells[181:255])) == 1 and len(set(cells)) > 100:
                struct.pack_into("<Q", image, at + 8 * 200, cells[9])
                return
    check(False, "there is no dispatch table")


def patched(lab, py, patch):
    """A copy of the interpreter with something else in it: its path inside."""
    inside, ours = lab.folder_in(py)
    image = bytearray(py.host_path(py.exe).read_bytes())
    patch(image, py)
    program = ours / patch.__name__
    shutil.copy2(py.host_path(py.exe), program)
    program.write_bytes(image)
    return inside / program.name


def check_refused_entry(entry, reason):
    """What `list --format json` says of one."""
    check(entry.get("calls_method") == "none", f"`list` says {entry}")
    check(reason in entry.get("reason", ""), f"`list` says {entry}, not {reason!r}")


REFUSED = {
    # patch: (version, what the reason must tell, are its functions known?)
    future_version: ("3.11", "not a version we know", False),
    published_version: ("3.13", "does not publish", False),
    published_nonsense: ("3.13", "make no sense", False),
    published_neighbour: ("3.13", "does not fit the layout", False),
    strange_table: ("3.11", "dispatch table", True),
}


@limit(90)
@over("debian-3.11", "debian-3.13")
def test_what_does_not_verify(lab, py):
    """Nothing is guessed: no calls, with the reason in `list` and in the report; waits go on."""
    targets = {}
    for patch, (version, _, _) in REFUSED.items():
        if py.name.endswith(version):
            targets[patch] = lab.target(py, "sleeps.py", 1, 20, exe=patched(lab, py, patch))
    listed, entries = lab.listed(), lab.listed_json()
    tgids = ",".join(str(t.tgid) for t in targets.values())
    tracer = lab.tracer("-p", tgids, "--format", "json").attached()
    for target in targets.values():
        target.release().result()
    report = tracer.report()
    for patch, target in targets.items():
        _, reason, named = REFUSED[patch]
        check_refused_entry(entries.get(target.tgid, {}), reason)
        name, process = patch.__name__, report.process(target.tgid)
        check(process["calls_method"] == "none", f"{name}: calls_method {process['calls_method']}")
        check(reason in (process["reason"] or ""), f"{name}: reason {process['reason']!r}")
        line = listed.get(target.tgid, "")
        check("none" in line and reason in line, f"{name}: `list` says {line!r}")
        check(not any(f["calls"] for f in report.functions_of(target)), f"{name}: calls counted")
        slept = [
            w for w in report["waits"] if (w["tgid"], w["class"]) == (target.tgid, "sleep")
        ]
        told = sum(w["count"] for w in slept)
        check(told == 20, f"{name}: {told} sleeps told, it was 20")
        known = {w["function"] for w in slept} == {"nap"}
        check(known == named, f"{name}: functions {[w['function'] for w in slept]}")


LATE = """
import os, sys, time
print(os.getpid(), file=open(sys.argv[1], "w"))
def short(x):
    return x
def nap():
    time.sleep(0.02)
def burn():
    end = time.process_time() + 0.5
    while time.process_time() < end:
        short(1)
def work(n):
    for _ in range(n):
        nap()
    burn()
    return n
n = work(100)
if os.fork() == 0:
    work(20)
    os._exit(0)
os.wait()
"""


def check_late(report, tgid, naps):
    """Its calls are refused, with the reason; its waits and what ran are told, of no function."""
    process = report.process(tgid)
    check(process["calls_method"] == "none", f"calls_method {process['calls_method']}")
    check("does not fit the layout" in (process["reason"] or ""), f"reason {process['reason']!r}")
    called = [f["function"] for f in report["functions"] if f["tgid"] == tgid and f["calls"]]
    check(not called, f"calls counted of {called}")
    slept, _ = report.wait_sum(tgid, wait_class="sleep")
    check(slept == naps, f"{slept} sleeps told, it was {naps}")
    named = {w["function"] for w in report["waits"] if w["tgid"] == tgid}
    check(named == {""}, f"waits of {named}")
    ran = sum(s["seconds"] for s in report["stacks"] if (s["tgid"], s["class"]) == (tgid, "oncpu"))
    check(0.4 < ran < 0.8, f"running for {ran} s told, it was 0.5")


@over("debian-3.13")
def test_late_starter_does_not_verify(lab, py):
    """
    What begins while we trace is believed for a second, and then looked at: from then on it is
    refused like the others, and so is its forked child.
    """
    exe = patched(lab, py, published_neighbour)
    inside, ours = lab.folder_in(py)
    (ours / "late.py").write_text(LATE)
    argv = [*py.argv_of(exe), str(inside / "late.py"), str(inside / "tgid")]
    report = lab.tracer("--format", "json", "-c", " ".join(argv)).attached().report()
    lab.note(report.excerpt())
    tgid = int((ours / "tgid").read_text())
    check_late(report, tgid, 100)
    (child,) = {p["tgid"] for p in report["processes"]} - {tgid}
    check_late(report, child, 20)
