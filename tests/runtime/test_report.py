# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The report itself: the JSON schema, what must hold in any of them, and the text."""
import fcntl
import os
import pathlib
import pty
import re
import struct
import termios
import threading

from harness import check, check_none, interpreter, limit, near, over, parse_report

NUMBER = (int, float)
NULL = type(None)
RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
CLASSES = ("gil", "lock", "sleep", "poll", "net", "disk", "pipe", "child", "fault", "runq", "other")

TOP = {
    "schema": str,
    "version": str,
    "host": str,
    "kernel": str,
    "started": str,
    "duration_seconds": NUMBER,
    "probed_seconds": NUMBER,
    "probe_cost": dict,
    "samples_hz": int,
    "samples_event": (str, NULL),
    "own": dict,
    "replaced_processes": int,
    "processes": list,
    "threads": list,
    "functions": list,
    "waits": list,
    "asyncio": dict,
    "gil": list,
    "gc": list,
    "stacks": list,
    "page_faults": list,
    "losses": dict,
}
PROCESS = {
    "tgid": int,
    "comm": str,
    "python": str,
    "build": str,
    "calls_method": str,
    "diagnosis": dict,
    "cpu_seconds": NUMBER,
    "runq_seconds": dict,
    "throttling": (dict, NULL),
    "gil": dict,
    "memory": dict,
    "samples": int,
    "overhead_share": NUMBER,
}
RUNQ = {"preempted": NUMBER, "woken_late": NUMBER}
THROTTLING = {"seconds": NUMBER, "count": int, "cgroup": str}
PROCESS_GIL = {
    "held_share": (*NUMBER, NULL),
    "held_share_is": str,
    "wanted_share": NUMBER,
    "interpreters": list,
    "after_io": dict,
}
MEMORY = {
    "rss_bytes": int,
    "growth_bytes_per_second": NUMBER,
    "begin_bytes": int,
    "readings": int,
    "grown": int,
}
THREAD = {
    "tgid": int,
    "tid": int,
    "name": str,
    "oncpu_seconds": NUMBER,
    "wait_seconds": dict,
    "runq_seconds": dict,
}
FUNCTION = {
    "tgid": int,
    "function": str,
    "file": str,
    "line": int,
    "method": str,
    "calls": int,
    "ended_unseen": int,
    "exceptions": int,
    "segments": int,
    "suspended_seconds": NUMBER,
    "wall_seconds": dict,
    "self_seconds": NUMBER,
    "probe_seconds": NUMBER,
    "breakdown_seconds": dict,
    "stack_seconds": dict,
    "page_faults": dict,
    "gil_holds": dict,
    "tail": (dict, NULL),
    "waits_per_call": (*NUMBER, NULL),
    "repeated_target": (dict, NULL),
    "probed_seconds": NUMBER,
}
TAIL = {
    "above_seconds": NUMBER,
    "above_seconds_max": NUMBER,
    "calls": int,
    "of_calls": int,
    "wall_seconds": NUMBER,
    "breakdown_seconds": dict,
    "causes": list,
}
CAUSE = {
    "class": str,
    "function": (str, NULL),
    "target": (str, NULL),
    "calls": int,
    "seconds": NUMBER,
}
REPEATED = {"target": str, "class": str, "count": int, "per_call": NUMBER, "many": bool}
WAIT = {
    "tgid": int,
    "class": str,
    "function": str,
    "target": (str, NULL),
    "waker": (str, NULL),
    "count": int,
    "seconds": dict,
}
STACK = {
    "tgid": int,
    "frames": list,
    "quality": str,
    "class": str,
    "count": int,
    "seconds": NUMBER,
    "native": (str, NULL),
    "waker_frames": (list, NULL),
}
FAULT = {"tgid": int, "frames": list, "quality": str, "count": int, "native": (str, NULL)}
FRAME = {"function": str, "file": str, "line": int}
GIL = {
    "tgid": int,
    "interpreter": int,
    "waiter": str,
    "holder": str,
    "longest_holder": str,
    "count": int,
    "certain": int,
    "seconds": dict,
}
GC = {
    "tgid": int,
    "generation": (int, NULL),
    "function": str,
    "file": str,
    "line": int,
    "method": str,
    "count": (int, NULL),
    "seconds": dict,
}
QUANTILES = ("min", "p50", "p90", "p95", "p99", "max")


def shape_problems(what, entry, shape):
    problems = [f"{what} has no {key}" for key in shape if key not in entry]
    problems += [
        f"{what}: {key} is {entry[key]!r}"
        for key, kind in shape.items()
        if key in entry
        and (not isinstance(entry[key], kind) or isinstance(entry[key], bool) and kind is not bool)
    ]
    return problems


FIRST_BUCKET = -184  # also takes what is shorter


def bucket_quantile_range(buckets, q):
    """The bounds of the bucket a quantile lies in."""
    need, seen = q * sum(buckets["counts"]), 0
    for i, n in enumerate(buckets["counts"]):
        seen += n
        if seen >= need:
            low = buckets["offset"] + i
            return 0 if low == FIRST_BUCKET else 2 ** (low / 8), 2 ** ((low + 1) / 8)
    return None


def histogram_problems(what, h, before=0):
    """
    What must hold between the numbers of one histogram.  Up to `before` of what is in its buckets
    began before the window: of those only what is of the window is in the sum.
    """
    keys = ("sum", "buckets", "censored", *QUANTILES)
    problems = [f"{what} has no {k}" for k in keys if k not in h]
    if problems:
        return problems
    buckets = h["buckets"]
    count = sum(buckets["counts"])
    if buckets["scale"] != 3:
        problems.append(f"{what}: scale {buckets['scale']}")
    if count == 0:
        return problems
    values = [h[k] for k in QUANTILES]
    if None in values:
        return problems + [f"{what}: {count} in buckets, and no quantile: {h}"]
    # quantiles are read from buckets, so the ends can differ by a bucket from min and max
    if any(a > b * 1.1 for a, b in zip(values, values[1:])):
        problems.append(f"{what}: quantiles do not rise: {values}")
    # what is left of the shortest calls without our probes is as much estimate as call
    whole = max(count - before, 0) if h["min"] > 2 ** (FIRST_BUCKET / 8) else 0
    least = h["min"] * whole
    if not least <= h["sum"] * 1.000001 or not h["sum"] <= h["max"] * count * 1.000001:
        problems.append(f"{what}: sum {h['sum']} of {count} between {h['min']} and {h['max']}")
    for key, q in (("p50", 0.5), ("p99", 0.99)):
        low, high = bucket_quantile_range(buckets, q)
        if not low * 0.9 <= h[key] <= high * 1.1:
            problems.append(f"{what}: {key} {h[key]} is not in its bucket {low:.3g} to {high:.3g}")
    first, last = buckets["counts"][0], buckets["counts"][-1]
    if first == 0 or last == 0:
        problems.append(f"{what}: empty buckets at the ends")
    return problems


def function_problems(f):
    what = f"{f['function']} ({f['tgid']})"
    problems = shape_problems(what, f, FUNCTION)
    if problems:
        return problems
    if f["method"] not in ("exact", "watch", "window", "none"):
        problems.append(f"{what}: method {f['method']}")
    if f["method"] == "none":
        if f["calls"] or f["segments"]:
            problems.append(f"{what}: method none and {f['calls']} calls")
        return problems
    problems += histogram_problems(what, f["wall_seconds"])
    if f["tail"] is not None:
        problems += shape_problems(f"{what}: tail", f["tail"], TAIL)
    if f["repeated_target"] is not None:
        problems += shape_problems(f"{what}: repeated_target", f["repeated_target"], REPEATED)
    timed = sum(f["wall_seconds"]["buckets"]["counts"])
    if f["exceptions"] > f["calls"] or f["ended_unseen"] > f["calls"] or timed > f["calls"]:
        problems.append(f"{what}: more of a kind than calls: {f}")
    if f["segments"] < f["calls"]:
        problems.append(f"{what}: {f['segments']} segments, {f['calls']} calls")
    if set(f["breakdown_seconds"]) != {"oncpu", *CLASSES}:
        problems.append(f"{what}: breakdown of {sorted(f['breakdown_seconds'])}")
    parts, wall = sum(f["breakdown_seconds"].values()), f["wall_seconds"]["sum"]
    if timed and not near(parts, wall, 0.02, 2e-6 * f["calls"]):
        problems.append(f"{what}: wall {wall}, its parts {parts}")
    if any(v < 0 for v in f["breakdown_seconds"].values()) or f["self_seconds"] < 0:
        problems.append(f"{what}: negative time: {f}")
    for cause in (f["tail"] or {}).get("causes", []):
        problems += shape_problems(f"{what}, slow calls because", cause, CAUSE)
    return problems


def stack_problems(entry, shape):
    what = f"{entry.get('class', 'page faults')} on a stack of {entry.get('tgid')}"
    problems = shape_problems(what, entry, shape)
    if problems:
        return problems
    for frame in entry["frames"] + (entry.get("waker_frames") or []):
        problems += shape_problems(what, frame, FRAME)
    if entry["quality"] not in ("complete", "truncated", "unreadable", "mixed", "none"):
        problems.append(f"{what}: quality {entry['quality']}")
    return problems


def process_problems(p):
    what = f"process {p.get('tgid')}"
    problems = shape_problems(what, p, PROCESS)
    if problems:
        return problems
    if p["calls_method"] not in ("usdt", "opcode", "frame-eval", "none"):
        problems.append(f"{what}: calls_method {p['calls_method']}")
    problems += shape_problems(f"{what}: runq_seconds", p["runq_seconds"], RUNQ)
    problems += shape_problems(f"{what}: gil", p["gil"], PROCESS_GIL)
    problems += shape_problems(f"{what}: memory", p["memory"], MEMORY)
    if p["throttling"] is not None:
        problems += shape_problems(f"{what}: throttling", p["throttling"], THROTTLING)
    return problems


def report_problems(report):
    problems = shape_problems("the report", report, TOP)
    if problems:
        return problems
    if report["schema"] != "pytrace-bpf/1":
        problems.append(f"schema {report['schema']!r}")
    if not re.fullmatch(RFC3339, report["started"]):
        problems.append(f"started {report['started']!r}")
    if any(not isinstance(n, int) or n < 0 for n in report["losses"].values()):
        problems.append(f"losses {report['losses']}")
    for p in report["processes"]:
        problems += process_problems(p)
    for t in report["threads"]:
        problems += shape_problems(f"thread {t.get('tid')}", t, THREAD)
        problems += shape_problems(f"thread {t.get('tid')}", t.get("runq_seconds", {}), RUNQ)
        if not set(t["wait_seconds"]) <= set(CLASSES):
            problems.append(f"thread {t['tid']}: classes {sorted(t['wait_seconds'])}")
    for f in report["functions"]:
        problems += function_problems(f)
    for w in report["waits"]:
        what = f"wait {w.get('class')} in {w.get('function')}"
        problems += shape_problems(what, w, WAIT) or histogram_problems(what, w["seconds"], 8)
        if w["class"] not in CLASSES:
            problems.append(f"{what}: no such class")
    for s in report["stacks"]:
        problems += stack_problems(s, STACK)
    for f in report["page_faults"]:
        problems += stack_problems(f, FAULT)
    for array, shape in (("gil", GIL), ("gc", GC)):
        for entry in report[array]:
            problems += shape_problems(f"{array}[]", entry, shape)
    keys = [(f["tgid"], f["file"], f["line"], f["function"]) for f in report["functions"]]
    problems += [f"functions[] has {k} twice" for k in set(keys) if keys.count(k) > 1]
    known = {p["tgid"] for p in report["processes"]}
    for array in ("threads", "functions", "waits", "stacks", "page_faults", "gil", "gc"):
        strangers = {e["tgid"] for e in report[array]} - known
        if strangers:
            problems.append(f"{array}[] has processes that are not in processes[]: {strangers}")
    return problems


@limit(60)
@over("debian-3.9", "debian-3.14", "pyenv-3.12")
def test_schema_and_invariants(lab, py):
    target = lab.target(py, "times.py", "classes")
    _, report = lab.run(target)
    check_none(report_problems(report)[:30])
    empty = [array for array in ("gil", "stacks", "page_faults") if not report[array]]
    empty += [k for k in ("tail", "repeated_target") if not any(f[k] for f in report["functions"])]
    check(not empty, f"nothing in {empty}")


@over("debian-3.9", "debian-3.13", "pyenv-3.8", "pyenv-3.10")
def test_schema_with_generators_and_exceptions(lab, py):
    target = lab.target(py, "counts.py", "calls")
    _, report = lab.run(target)
    check_none(report_problems(report)[:30])


@over("debian-3.13")
def test_schema_without_calls(lab, py):
    target = lab.target(py, "times.py", "sleep")
    _, report = lab.run(target, "--overhead", "0")
    check_none(report_problems(report)[:30])


def test_schema_of_intervals(lab):
    target = lab.target(interpreter("debian-3.13"), "times.py", "sleep")
    tracer = lab.trace(target, "-i", "0.5")
    target.release().result()
    for report in tracer.reports():
        problems = report_problems(report)
        # a call or a wait can end in another interval than it began in
        across = ("more of a kind", "segments", ": sum ")
        problems = [p for p in problems if not any(words in p for words in across)]
        check_none(problems[:30])


def resident(target):
    """Bytes, by the kernel's own word."""
    status = pathlib.Path(f"/proc/{target.tgid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.M)[1]) * 1024


def growing(lab, megabytes, *args):
    """What is resident before and after it takes so much, and a tracer that saw it to its end."""
    target = lab.target(interpreter("debian-3.13"), "resident.py", megabytes)
    before = resident(target)
    tracer = lab.tracer("-p", target.tgid, "-d", "1.5", *args).attached()
    target.release().result()
    tracer.finish()
    return target, before, resident(target), tracer.out.text()


def test_memory(lab):
    target, before, after, text = growing(lab, 150, "--format", "json")
    process = parse_report(text).process(target.tgid)
    memory, seconds = process["memory"], process["observed_seconds"]
    told = f"{memory}; {before} before, {after} after"
    check(after - before > 140e6, f"it did not take the memory: {told}")
    check(near(memory["begin_bytes"], before, 0.01), f"at the begin {told}")
    check(near(memory["rss_bytes"], after, 0.01), f"at the end {told}")
    # from one reading to another, which may be a bit less than was watched
    grown = memory["growth_bytes_per_second"] * seconds
    check(near(grown, after - before, 0.3), f"grown by {grown:.0f} in {seconds} s: {told}")


def test_memory_in_text(lab):
    _, before, after, text = growing(lab, 150, "--overhead", "0")
    lab.note(text)
    found = re.search(r"^  Memory (\d+) MB, \+(\S+) MB/s$", text, re.M)
    check(found, "no line on memory")
    check(near(int(found[1]) * 1e6, after, 0.01), f"{found[0]}, it has {after}")
    seconds = float(re.match(r"pytrace-bpf \S+ (\S+) s on", text)[1])
    rate = (after - before) / seconds
    told = float(found[2]) * 1e6
    # the first reading may come when the window has begun, the last before it ends
    check(0.7 * rate < told < 1.7 * rate, f"{found[0]}, it is {rate:.0f}")


# --- text


def test_text_report(lab):
    """Piped: plain, uncut, with the process, the function and its figures."""
    target = lab.target(interpreter("debian-3.13"), "times.py", "sleep")
    tracer = lab.tracer("-p", target.tgid).attached()
    target.release().result()
    text = tracer.finish().out.text()
    lab.note(text)
    check("\x1b" not in text, "escape sequences in piped output")
    rows = [line for line in text.splitlines() if re.search(r"\bnap\b", line)]
    check(rows, "nap() is not in the text")
    check(any(re.search(r"\b200\b", row) for row in rows), f"its 200 calls are not in {rows}")
    check(str(target.tgid) in text, "the process is not in the text")


def test_text_explained(lab):
    target = lab.target(interpreter("debian-3.13"), "times.py", "sleep")
    tracer = lab.tracer("-p", target.tgid, "-d", "0.5", "--overhead", "0", "--explain").attached()
    text = tracer.finish().out.text()
    lab.note(text)
    rules = dict(re.findall(r"^  (\w+) +\d\S* (?:%|k?B)  +\d\S* (?:%|MB)  (\w.*?)  ", text, re.M))
    check(rules.pop("pipe", "") == "yes: the verdict", "it waits for a pipe and does nothing else")
    check("memory" in rules and set(rules.values()) == {"no"}, f"other rules {rules}")
    meant = "\n  Next: look at the process at the other end.\n"
    check(meant in text and "\n  Evidence: pipe: 100 % of active time, 40 % is enough\n" in text, "why")


def test_text_fits_the_terminal(lab):
    problems = []
    for width in (60, 80, 132):
        target = lab.target(interpreter("debian-3.13"), "counts.py", "calls")
        text = on_terminal(lab, target, width)
        wide = [line for line in text.splitlines() if len(line) > width]
        if wide:
            problems.append(f"{width} columns: {len(wide)} lines are wider, such as {wide[0]!r}")
        if "down" not in text and "leaf" not in text:
            problems.append(f"{width} columns: no function of the target in it: {text[:300]!r}")
    check_none(problems)


def on_terminal(lab, target, width):
    """The text report as a terminal of that width gets it, without its escape sequences."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    got = []

    def read():
        try:
            while data := os.read(ours, 65536):
                got.append(data)
        except OSError:
            pass  # the other side is closed: that is how a terminal ends

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    env = dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8")
    tracer = lab.tracer("-p", target.tgid, stdout=theirs, env=env).attached()
    os.close(theirs)
    target.release().result()
    tracer.finish()
    reader.join(5)
    os.close(ours)
    text = b"".join(got).decode().replace("\r\n", "\n")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
