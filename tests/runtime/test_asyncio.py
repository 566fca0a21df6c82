# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Tasks and callbacks of asyncio's event loop, against the account that they keep themselves."""
import json

from harness import check, check_none, limit, near, over, short, timing

SLACK = 0.001  # what a sleep or the loop around a callback may take more

MOST = ("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "debian-3.15")
MOST += ("pyenv-3.8", "pyenv-3.10", "pyenv-3.12")
CUT = 44  # bytes of a task's name that are kept


def told_name(name):
    """A task's name as the report has it: cut, where it has a byte a character as here."""
    return name if len(name) <= CUT or not name.isascii() else name[:CUT] + "\u2026"


def callbacks_of(report, target):
    """{(function, task): entry}; several of one function and task would be wrong."""
    found, problems = {}, []
    for c in report["asyncio"]["callbacks"]:
        if c["tgid"] != target.tgid:
            continue
        key = (short(c["function"]), c["task"])
        if key in found and c["file"] == found[key]["file"]:
            problems.append(f"twice: {c} and {found[key]}")
        if key not in found or c["file"] == target.script:
            found[key] = c
    check_none(problems)
    return found


def blocked_problems(found, result):
    """What took 10 ms and more took what it says itself."""
    tasks = {"blocks": "the blocker"}
    for name, stamps in result["blocked"].items():
        entry = found.get((name, tasks.get(name)))
        want = [ns / 1e9 for ns in stamps]
        if not entry:
            yield f"{name}: not told, it blocked the loop {len(want)} times"
            continue
        count, seconds = entry["count"], entry["seconds"]
        if count < len(want):
            yield f"{name}: {count} times, it was {len(want)}"
        if name.startswith("<built-in"):  # it has no clock: that is what it was asked for
            if seconds["sum"] < sum(want):
                yield f"{name}: {seconds['sum']:.6f} s, it is {sum(want):.6f} and more"
            continue
        if not near(seconds["sum"], sum(want), 0.02, SLACK * count):
            yield f"{name}: {seconds['sum']:.6f} s, its own clock says {sum(want):.6f}"
        if not near(seconds["max"], max(want), 0.02, SLACK):
            yield f"{name}: {seconds['max']:.6f} s at most, its own clock says {max(want):.6f}"


@timing
@limit(60)
@over(*MOST)
def test_what_blocks_the_loop(lab, py):
    """Every callback of 10 ms and more is told, with what was called and for how long."""
    target = lab.target(py, "loops.py", "tasks")
    result, report = lab.run(target)
    lab.note(json.dumps(report["asyncio"], indent=1))
    check(report["asyncio"]["least_seconds"] == 0.01, f"{report['asyncio']['least_seconds']}")
    found = callbacks_of(report, target)
    problems = list(blocked_problems(found, result))
    for (name, task), c in found.items():
        if c["seconds"]["max"] < 0.01:
            problems.append(f"{name} of {task}: told, though it took no 10 ms: {c}")
    quick = [key for key in found if key[0] == "quick"]
    check(len(quick) == 0, f"what does nothing took 10 ms: {found}")
    check_none(problems)
    check(not report.loss("callbacks_full"), f"losses {report['losses']}")


@limit(60)
@over(*MOST)
def test_steps_of_tasks(lab, py):
    """--tasks counts every step of every task under its name, and every other callback."""
    target = lab.target(py, "loops.py", "tasks")
    result, report = lab.run(target, "--tasks")
    lab.note(json.dumps(report["asyncio"], indent=1))
    check(report["asyncio"]["least_seconds"] == 0, f"{report['asyncio']['least_seconds']}")
    found = callbacks_of(report, target)
    problems = []
    for function, tasks in result["steps"].items():
        for task, count in tasks.items():
            entry = found.pop((function, told_name(task)), None)
            got = entry["count"] if entry else 0
            if got != count:
                problems.append(f"{function} of {task!r}: {got} steps, there were {count}")
            elif entry["file"] != target.script or not entry["line"]:
                problems.append(f"{function}: in {entry['file']}:{entry['line']}")
    for function, count in result["called"].items():
        entry = found.pop((function, None), None)
        got = entry["count"] if entry else 0
        if got != count:
            problems.append(f"{function}: called {got} times, it was {count}")
    for (function, task), c in found.items():
        if c["file"] == target.script and function != "work":  # which is main's own
            problems.append(f"{function} of {task}: none of ours, {c}")
    check_none(problems)
    run = [
        f
        for f in report["functions"]
        if f["file"].endswith("asyncio/events.py") and short(f["function"]) == "_run"
    ]
    told = sum(c["count"] for c in report["asyncio"]["callbacks"])
    check(len(run) == 1 and run[0]["calls"] == told, f"{told} callbacks, {run[0]['calls']} calls")


@limit(60)
@over("debian-3.11", "debian-3.14")
def test_intervals_add_up(lab, py):
    """With -i every step is in one report and in no other."""
    target = lab.target(py, "loops.py", "tasks")
    tracer = lab.tracer("-p", target.tgid, "--format", "json", "--tasks", "-i", "0.1").attached()
    result = target.release().result()
    reports = tracer.reports()
    check(len(reports) > 3, f"{len(reports)} reports")
    counts = {}
    for report in reports:
        for key, c in callbacks_of(report, target).items():
            counts[key] = counts.get(key, 0) + c["count"]
    problems = []
    for function, tasks in result["steps"].items():
        for task, count in tasks.items():
            got = counts.get((function, told_name(task)), 0)
            if got != count:
                problems.append(f"{function} of {task!r}: {got} steps, there were {count}")
    check_none(problems)


@limit(60)
@over("debian-3.13")
def test_text_report(lab, py):
    """For people: a table where there is something to tell, names made harmless."""
    target = lab.target(py, "loops.py", "tasks")
    tracer = lab.tracer("-p", target.tgid).attached()
    target.release().result()
    text = tracer.finish().out.text()
    check("event loop held up by" in text, text)
    check("blocks (task the blocker)" in text, text)
    target = lab.target(py, "loops.py", "tasks")
    tracer = lab.tracer("-p", target.tgid, "--tasks", "--top", "100").attached()
    target.release().result()
    text = tracer.finish().out.text()
    check("called by the event loop" in text, text)
    check("yields (task \\x1b[31mred\\x0a\\u202e{})" in text, text)
    check("\x1b" not in text and "\u202e" not in text, "a name got out as it is")
    target = lab.target(py, "times.py", "sleep")
    tracer = lab.tracer("-p", target.tgid, "-d", "0.2").attached()
    target.release()
    text = tracer.finish().out.text()
    check("event loop" not in text, text)


@limit(60)
@over("debian-3.13")
def test_a_full_table_is_told(lab, py):
    """More names than there is room for: what is not in the report is a loss."""
    target = lab.target(py, "loops.py", "many")
    result, report = lab.run(target, "--tasks")
    told = sum(c["count"] for c in report["asyncio"]["callbacks"])
    lost = report.loss("callbacks_full")
    calls = sum(f["calls"] for f in report["functions"] if short(f["function"]) == "_run")
    check(lost > 0, f"{told} told, nothing lost of {result['names']} names")
    check(told + lost == calls, f"{told} told and {lost} lost of {calls}")
