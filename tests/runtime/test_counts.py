# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Every function's `segments` is cProfile's `ncalls`, in a second run of the same program."""
import os

from harness import (
    DEBIAN,
    PYENV,
    Failed,
    brief,
    check,
    check_none,
    limit,
    over,
    parse_report,
    short,
)


def oracle(lab, py, section):
    """{(file, function, line): ncalls} of the target's own files, as cProfile counts them."""
    counts = lab.cprofiled(py, "counts.py", section, timeout=60)
    return {(file, name, at): n for file, name, at, n in counts}


def observed(report, target):
    """The same from a report. Functions that only waited are no calls."""
    counts = {}
    for f in report.functions_of(target):
        file = os.path.basename(f["file"])
        if f["segments"] and file.startswith("counts"):
            key = (file, f["function"], f["line"])
            check(key not in counts, f"functions[] has {key} twice")
            counts[key] = f["segments"]
    return counts


def compare(truth, counts, report):
    """Fail with a table of what differs, in either direction."""
    rows = []
    for key in sorted(truth.keys() | counts.keys()):
        want, got = truth.get(key, 0), counts.get(key, 0)
        if want != got:
            where = f"{key[1]:40} {key[0]}:{key[2]}"
            rows.append(f"  {where:62} cProfile {want:7}  traced {got:7}")
    if rows:
        head = f"{len(rows)} of {len(truth)} functions differ; losses {report['losses']}\n"
        more = [f"  and {len(rows) - 40} more"] if len(rows) > 40 else []
        raise Failed(head + "\n".join(rows[:40] + more))


def run_and_compare(lab, py, section, *args):
    truth = oracle(lab, py, section)
    target = lab.target(py, "counts.py", section)
    _, report = lab.run(target, *args, timeout=60)
    check_is_probed(report, target)
    compare(truth, observed(report, target), report)
    return target, report


def check_is_probed(report, target):
    process = report.process(target.tgid)
    check(process["calls_method"] != "none", f"calls_method is none: {process['reason']}")


CALLS_AND_EXCEPTIONS = {
    # function: (calls, of which left by an exception)
    "catch_own": (50, 0),
    "with_finally": (50, 50),
    "reraise": (50, 50),
    "chain": (50, 50),
    "error_in_c": (50, 50),
    "suppressing": (50, 0),
    "gives_up": (10, 10),
    "class_body_fails": (20, 20),
    "fails_after_wait": (20, 20),
    "down": (3213, 0),
    "deep_raise": (966, 966),
    "delegate": (40, 0),
    "wait_once": (140, 0),
}


def call_problems(report, target):
    """`calls` counts a generator once however often it ran; each call has an end, or is told."""
    problems = []
    for name, (calls, exceptions) in CALLS_AND_EXCEPTIONS.items():
        f = report.function(target, name)
        if (f["calls"], f["exceptions"]) != (calls, exceptions):
            got = f"{f['calls']} calls, {f['exceptions']} exceptions"
            problems.append(f"{name}: {got}; it is {calls} and {exceptions}")
        if f["ended_unseen"]:
            problems.append(f"{name}: {f['ended_unseen']} calls ended unseen")
    for f in report.functions_of(target):
        wall = f["wall_seconds"]
        timed = sum(wall["buckets"]["counts"]) + wall["censored"]
        if f["calls"] != f["ended_unseen"] + timed:
            problems.append(f"{f['function']}: {f['calls']} calls, {timed} timed: {brief(f)}")
    always = report.function(target, "raise_value")
    if always["exceptions"] != always["calls"]:
        problems.append(f"raise_value: only ever raises: {brief(always)}")
    return problems


@limit(90)
@over(*DEBIAN, *PYENV)
def test_segments_equal_ncalls(lab, py):
    target, report = run_and_compare(lab, py, "calls")
    check_none(call_problems(report, target), f"losses {report['losses']}")


@limit(90)
@over(*DEBIAN, *PYENV)
def test_throw_and_close(lab, py):
    run_and_compare(lab, py, "throw")


@limit(90)
@over(*DEBIAN, *PYENV)
def test_abandoned_generators_and_recursion_limit(lab, py):
    sections = ("abandon", "limits")
    truths = [oracle(lab, py, section) for section in sections]
    targets = [lab.target(py, "counts.py", section) for section in sections]
    tgids = ",".join(str(t.tgid) for t in targets)
    tracer = lab.tracer("-p", tgids, "--format", "json").attached()
    for target in targets:
        target.release().result()
    report = tracer.report()
    for target, truth in zip(targets, truths):
        check_is_probed(report, target)
        compare(truth, observed(report, target), report)


@limit(90)
@over("debian-3.9", "debian-3.13", "pyenv-3.9")
def test_attached_by_perf_events(lab, py):
    """Once in some fifty runs here a task's perf events are not on for a while: so again."""
    run_and_compare(lab, py, "calls", "--attach", "perf")


test_attached_by_perf_events.retries = 1


@limit(90)
@over("debian-3.13", "pyenv-3.10")
def test_attached_by_uprobe_multi(lab, py):
    run_and_compare(lab, py, "calls", "--attach", "multi")


def without_tracepoints(lab, py):
    """A copy of the interpreter in which nobody finds its tracepoints: its path inside."""
    inside, ours = lab.folder_in(py)
    binary = py.host_path(py.exe).read_bytes()
    check(binary.count(b".note.stapsdt\0") == 1, f"{py.name} has no tracepoints to begin with")
    (ours / "quiet").write_bytes(binary.replace(b".note.stapsdt\0", b".note.nothing\0"))
    (ours / "quiet").chmod(0o755)
    return inside / "quiet"


@limit(90)
@over("debian-3.9")
def test_without_its_tracepoints(lab, py):
    """A static build, optimised with a profile: two ways out, and no register with the frame."""
    exe = without_tracepoints(lab, py)
    for section in ("calls", "throw", "abandon", "limits"):
        truth = oracle(lab, py, section)
        target = lab.target(py, "counts.py", section, exe=exe)
        _, report = lab.run(target, timeout=60)
        process = report.process(target.tgid)
        method = process["calls_method"]
        check(method == "frame-eval", f"calls_method is {method}: {process['reason']}")
        compare(truth, observed(report, target), report)
        if section == "calls":
            check_none(call_problems(report, target), f"losses {report['losses']}")


@limit(60)
@over("debian-3.9", "debian-3.13", "pyenv-3.8", "pyenv-3.12")
def test_intervals_add_up(lab, py):
    """With -i, one report a line; what they count adds up to the truth."""
    truth = oracle(lab, py, "calls")
    target = lab.target(py, "counts.py", "calls")
    tracer = lab.trace(target, "-i", "0.01")
    target.release().result()
    reports = tracer.reports()
    check(len(reports) > 1, f"{len(reports)} reports for several intervals")
    counts = {}
    for report in reports:
        for key, n in observed(report, target).items():
            counts[key] = counts.get(key, 0) + n
    compare(truth, counts, reports[-1])


@limit(60)
@over("debian-3.9", "debian-3.11", "debian-3.14", "pyenv-3.8", "pyenv-3.10", "pyenv-3.12")
def test_threads_that_end(lab, py):
    target = lab.target(py, "threads.py", 100)
    truth, report = lab.run(target)
    for name, calls in truth.items():
        got = report.calls(target, name)
        check(got == calls, f"{name}: {got} calls, {calls} were made; losses {report['losses']}")


@limit(60)
@over("debian-3.9", "debian-3.13")
def test_five_thousand_functions(lab, py):
    target = lab.target(py, "many.py", 5000)
    truth, report = lab.run(target)
    made = [f for f in report["functions"] if f["file"] == truth["file"] and f["calls"]]
    names = {f["function"] for f in made}
    missing = [i for i in range(truth["functions"]) if f"function_{i}" not in names]
    check(not missing, f"{len(missing)} functions are missing: {missing[:5]}; {report['losses']}")
    wrong = [(f["function"], f["calls"]) for f in made if f["calls"] != 3]
    check(not wrong, f"{len(wrong)} functions were called 3 times, not: {wrong[:5]}")


@limit(60)
@over("debian-3.13")
def test_more_functions_than_fit(lab, py):
    """What does not fit is counted as lost, to the call."""
    target = lab.target(py, "many.py", 40000)
    truth, report = lab.run(target, timeout=60)
    recorded = sum(f["calls"] or 0 for f in report["functions"] if f["file"] == truth["file"])
    lost = report.loss("functions_full")
    check(recorded and lost, f"{recorded} recorded, {lost} lost: nothing overflowed")
    short_of = truth["calls"] - recorded - lost
    # calls of the target's own few functions can be among the lost ones
    check(-20 <= short_of <= 0, f"{recorded} recorded + {lost} lost of {truth['calls']}")


@limit(60)
@over("debian-3.9", "debian-3.13", "built-3.13t")
def test_who_is_not_called_makes_room(lab, py):
    """Three times as many functions as there is room for, one after the other, lose nothing."""
    target = lab.target(py, "many.py", 12000, 1200)
    truth, report = lab.run(target, "--functions", 4096, timeout=40)
    calls = {f["function"]: f["calls"] for f in report["functions"] if f["file"] == truth["file"]}
    wrong = [
        (i, calls.get(f"function_{i}"))
        for i in range(truth["functions"])
        if calls.get(f"function_{i}") != 2
    ]
    check(not wrong, f"{len(wrong)} were called twice, not: {wrong[:5]}; {report['losses']}")
    retired = report["own"]["functions_retired"]
    check(retired > truth["functions"], f"{retired} made room: was there room for all?")
    lost = [f["function"] for f in report["functions"] if "name lost" in f["function"]]
    check(not lost, f"names were lost: {lost[:5]}")
    naps = [w for w in report["waits"] if w["function"] == "nap" and w["class"] == "sleep"]
    count = sum(w["count"] for w in naps)
    check(count == truth["naps"], f"{count} naps were told, {truth['naps']} were taken")


def check_reused(truth, got):
    wrong = [
        f"{name}: {got.get(name, 0)} calls, {calls} were made"
        for name, calls in truth["calls"].items()
        if got.get(name, 0) != calls
    ]
    check(
        not wrong,
        f"{len(wrong)} of {len(truth['calls'])} functions at {truth['addresses']} addresses "
        f"differ:\n" + "\n".join(wrong[:10]),
    )


@limit(60)
@over("debian-3.9", "debian-3.11", "debian-3.14", "pyenv-3.8")
def test_reused_addresses(lab, py):
    """A code object at the address of a dead one is another function."""
    truth, report = lab.run(lab.target(py, "many.py", "reused"))
    made = [f for f in report["functions"] if f["file"] == truth["file"]]
    check_reused(truth, {short(f["function"]): f["calls"] for f in made})


@limit(60)
@over("debian-3.9", "debian-3.11", "debian-3.13", "pyenv-3.8", "pyenv-3.10")
def test_reused_addresses_of_modules(lab, py):
    """Of which only the file's name tells one from another."""
    truth, report = lab.run(lab.target(py, "many.py", "modules"))
    made = [f for f in report["functions"] if f["file"].startswith("/made/example_")]
    check_reused(truth, {f["file"]: f["calls"] for f in made})


@over("debian-3.9", "debian-3.11", "debian-3.13", "pyenv-3.8", "pyenv-3.10")
def test_reused_addresses_of_sleepers(lab, py):
    """Who sleeps at the address of one known for long is told apart from it within two milliseconds."""
    truth, report = lab.run(lab.target(py, "many.py", "naps"), "--overhead", "0")
    check(truth["addresses"] < len(truth["naps"]), "no address was used again")
    tgid = report["processes"][0]["tgid"]
    for name, naps in truth["naps"].items():
        waits, _ = report.wait_sum(tgid, name, "sleep")
        check(abs(waits - naps) <= 2, f"{name}: {waits} waits, {naps} naps")


@over("debian-3.9", "debian-3.11", "debian-3.14", "pyenv-3.8")
def test_hard_names(lab, py):
    """Names reach the report unharmed, whatever characters are in them; cut ones are counted."""
    target = lab.target(py, "many.py", "names")
    truth, report = lab.run(target)
    got = {(short(f["function"]), f["file"]) for f in report["functions"] if f["calls"]}
    missing, cut = [], 0
    for name, file in truth["functions"]:
        if (name, file) in got:
            continue
        starts = [g for g in got if len(g[0]) > 150 or len(g[1]) > 250]
        if any(name.startswith(g[0][:150]) and file.startswith(g[1][:250]) for g in starts):
            cut += 1
            continue
        missing.append(f"{name!r} in {file!r}")
    check_none(missing, f"names that did not arrive; there are {sorted(got)}")
    lost = report.loss("string_truncated")
    check(not cut or lost, f"{cut} names were cut and {lost} said to be")


@over("debian-3.13")
def test_text_escapes_names(lab, py):
    """A target cannot send control characters to the terminal."""
    target = lab.target(py, "many.py", "names")
    tracer = lab.tracer("-p", target.tgid, "--top", "1000").attached()
    target.release()
    target.result()
    text = tracer.finish().out.text()
    bad = sorted({c for c in text if ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160})
    check(not bad, f"control characters in the text report: {bad}")


@over("debian-3.13")
def test_json_is_ascii_safe_with_any_locale(lab, py):
    """The JSON does not depend on the locale of whoever runs it."""
    target = lab.target(py, "many.py", "names")
    tracer = lab.trace(target, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
    target.release()
    truth = target.result()
    report = parse_report(tracer.finish().out.text())
    names = {short(f["function"]) for f in report["functions"]}
    check(truth["functions"][0][0] in names, f"{truth['functions'][0][0]} is not in {names}")


@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "debian-3.15", "pyenv-3.12")
def test_calls_open_at_attach(lab, py):
    """They are told as begun before, are in no quantile, and what they call is counted."""
    for args in ((40,), (900,), (40, "raises"), (900, "raises")):
        target = lab.target(py, "open_calls.py", *args)
        result, report = lab.run(target)
        lab.note(report.excerpt())
        leaf = report.function(target, "leaf")
        check(
            leaf["calls"] == result["leaves"],
            f"{leaf['calls']} calls of leaf(), {result['leaves']} were made",
        )
        downs = [f for f in report.functions_of(target) if f["function"] == "down"]
        calls = sum(f["calls"] for f in downs)
        check(calls == 0, f"{calls} calls of down(), all of which were open before")
        check(not any(f["wall_seconds"]["p50"] for f in downs), "quantiles of calls not seen whole")
        before, ended = report.loss("began_before"), sum(f["began_before"] for f in downs)
        check(
            before >= result["opened"],
            f"{before} calls told as begun before, {result['opened']} were",
        )
        check(ended == result["opened"], f"{ended} of down() that were, not {result['opened']}")
        # (the call that leaves by os._exit() ends unseen)
        for cause in ("unmatched_exit", "stack_mismatch", "entry_mismatch"):
            check(report.loss(cause) == 0, f"{report.loss(cause)} times {cause}")
