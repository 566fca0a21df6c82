# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Every way a call ends or pauses: calls, segments, exceptions and unseen ends are the program's.

A test traces a process a section of tests/targets/endings.py, all by one tracer, each with the
truth of its own. Where cProfile is a fair judge of a section, that truth is first held against it.
"""
import os
import shutil

from harness import check, check_none, limit, over, short

ALL = ("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "debian-3.15", "pyenv-3.12")
FIGURES = ("calls", "segments", "exceptions", "ended_unseen")
# what tells of the run or of the program rather than of something we missed: where a frame was
# followed that is gone, or a name is in a page that a young process has not touched yet, there may
# be nothing to read
NO_HARM = {"began_before", "ended_unseen", "depth", "unreadable_memory"}
# where C code swallows exceptions: that nobody runs these frames any more shows at the next event
SWALLOWED = NO_HARM | {"stack_mismatch"}


def figures_of(report, target, tgid=None):
    """{function: [calls, segments, exceptions, ended_unseen]}, all of one name together."""
    found = {}
    for f in report.functions_of(target, tgid):
        old = found.get(short(f["function"]), [0, 0, 0, 0])
        found[short(f["function"])] = [a + (f[k] or 0) for a, k in zip(old, FIGURES)]
    return found


def problems_of(report, target, truth, label, tgid=None):
    found = figures_of(report, target, tgid)
    problems = []
    for name, wanted in sorted(truth.items()):
        got = found.get(name, [0, 0, 0, 0])
        if got != wanted:
            told = ", ".join(f"{k} {w} got {g}" for k, w, g in zip(FIGURES, wanted, got) if w != g)
            problems.append(f"{label}: {name}(): expected {told}")
    if not truth:
        problems.append(f"{label}: the program told of no calls")
    return problems


def time_problems(report, target, label):
    """Each call has an end or is told to have none, and its parts add up."""
    problems = []
    for f in report.functions_of(target):
        wall = f["wall_seconds"]
        timed = sum(wall["buckets"]["counts"]) + wall["censored"]
        if f["calls"] != timed + f["ended_unseen"]:
            problems.append(
                f"{label}: {f['function']}(): expected {f['calls']} calls to be timed, censored or "
                f"unseen, got {timed} + {f['ended_unseen']}"
            )
    return problems


def oracle_problems(lab, py, section):
    """Does cProfile agree with what the program says of its segments?"""
    truth, counts = lab.cprofiled(py, "endings.py", section, timeout=30)
    return [
        f"{section}: {name}(): the program says {wanted[1]}, cProfile {counts.get(name, 0)}"
        for name, wanted in sorted(truth.items())
        if counts.get(name, 0) != wanted[1]
    ]


def run_sections(lab, py, sections, fair=True, harmless=SWALLOWED):
    """Run them side by side under one tracer: the report and each one's (truth, target)."""
    if fair:
        check_none((p for s in sections for p in oracle_problems(lab, py, s)), "the test is wrong")
    targets = {s: lab.target(py, "endings.py", s) for s in sections}
    tgids = ",".join(str(t.tgid) for t in targets.values())
    tracer = lab.tracer("-p", tgids, "--format", "json").attached()
    for target in targets.values():
        target.release()
    truths = {s: t.result() for s, t in targets.items()}
    codes = {s: t.wait(10) for s, t in targets.items()}
    report = tracer.report()
    problems = []
    for section, target in targets.items():
        problems += problems_of(report, target, truths[section], section)
        problems += time_problems(report, target, section)
        if codes[section] != (1 if section == "uncaught" else 0):
            problems.append(f"{section}: exit status {codes[section]}: {target.err.text()[-500:]}")
    lost = {k: v for k, v in report["losses"].items() if v and k not in harmless}
    if lost:
        problems.append(f"expected no losses, got {lost}")
    check_none(problems, f"losses {report['losses']}")
    return report


@over(*ALL)
def test_exceptions(lab, py):
    sections = ("exceptions", "generators_in_generators", "signals")
    run_sections(lab, py, sections, harmless=NO_HARM)
    run_sections(lab, py, ["timer"], fair=False, harmless=NO_HARM)


@over(*ALL)
def test_generators_and_coroutines(lab, py):
    run_sections(lab, py, ("generators", "coroutines", "tasks"))


@over(*ALL)
def test_thrown_through(lab, py):
    """Exceptions that go into a generator from outside, and through those it delegates to."""
    run_sections(lab, py, ("thrown_through", "thrown_through_many"))


@over(*ALL)
def test_abandoned(lab, py):
    """Unfinished generators that are dropped, or collected in a cycle."""
    run_sections(lab, py, ("abandoned",), fair=py.minor < 13)


@over(*ALL)
def test_from_c_and_back(lab, py):
    run_sections(lab, py, ("callbacks", "through_ctypes"))


@over(*ALL)
def test_finalizers(lab, py):
    """__del__, weakref callbacks."""
    run_sections(lab, py, ("deaths",))


@over(*ALL)
def test_made_at_run_time(lab, py):
    sections = ("comprehensions", "makes_code", "swapped_code")
    run_sections(lab, py, sections, harmless=NO_HARM)


@over(*ALL)
def test_deeper_than_tracked(lab, py):
    report = run_sections(lab, py, ("deep",), harmless=NO_HARM)
    told = report.loss("depth")
    deep = sum(f["ended_unseen"] for f in report["functions"] if short(f["function"]) == "descend")
    # the innermost call is a leaf()
    check(told == deep + 2, f"expected {deep + 2} calls told as too deep, got {told}")


@over(*ALL)
def test_process_ends_with_calls_open(lab, py):
    run_sections(lab, py, ("os_exit", "sys_exit", "uncaught"), fair=False)


@over(*ALL)
def test_becomes_another_program(lab, py):
    run_sections(lab, py, ("replaced",), fair=False)


@over(*ALL)
def test_threads_end(lab, py):
    run_sections(lab, py, ("daemons", "threads"), fair=False, harmless=NO_HARM)


@over(*ALL)
def test_traced_and_profiled(lab, py):
    """The interpreter's own tracing goes on and off in the middle of calls."""
    sections = ["settrace", "settrace_opcodes", "settrace_raises", "setprofile", "profiler"]
    run_sections(lab, py, sections, fair=False, harmless=NO_HARM)


@over(*ALL)
def test_debugged(lab, py):
    run_sections(lab, py, ("debugger",), fair=False, harmless=NO_HARM)


@over(*ALL)
def test_instrumented_by_another_thread(lab, py):
    sections = ["profile_toggled"] + ["monitoring_toggled"] * (py.minor >= 12)
    run_sections(lab, py, sections, fair=False, harmless=NO_HARM)


@over(*ALL)
@limit(60)
def test_forks_in_the_middle_of_calls(lab, py):
    """
    Both sides come back through what was open. A binary of its own: where a stranger runs the same
    one, a child's first calls may be missed.
    """
    inside, ours = lab.folder_in(py)
    shutil.copy2(py.host_path(py.exe), ours / "own")
    home = ["env", f"PYTHONHOME={os.path.dirname(os.path.dirname(py.exe))}"]
    target = lab.target(py, "endings.py", "forks", exe=inside / "own", prefix=home)
    told, report = lab.run(target)
    problems = problems_of(report, target, told["parent"], "parent")
    for tgid, truth in told["children"].items():
        problems += problems_of(report, target, truth, f"child {tgid}", tgid=int(tgid))
    lost = {k: v for k, v in report["losses"].items() if v and k not in NO_HARM}
    if lost:
        problems.append(f"expected no losses, got {lost}")
    check_none(problems, f"losses {report['losses']}")


@over("debian-3.13", "debian-3.14", "debian-3.15", "pyenv-3.12")
def test_monitored(lab, py):
    sections = ("monitoring_all", "monitoring_few", "monitoring_disabled", "monitoring_local")
    run_sections(lab, py, sections, fair=False, harmless=NO_HARM)


@over("debian-3.13", "debian-3.14", "debian-3.15", "pyenv-3.12")
def test_monitored_on_a_busy_cpu(lab, py):
    # its hog is a forked child, which other users of the build may leave unprobed for a while
    harmless = NO_HARM | {"fork_unprobed"}
    run_sections(lab, py, ("monitoring_on_a_busy_cpu",), fair=False, harmless=harmless)


@over(*ALL)
def test_exceptions_deeper_than_tracked(lab, py):
    """What happens below all that is tracked is nothing to the calls above."""
    run_sections(lab, py, ("deep_raise", "deep_catch"), harmless=NO_HARM)


@over(*ALL)
def test_exception_goes_on_after_a_pause(lab, py):
    run_sections(lab, py, ("late_ends",))


@over(*ALL)
def test_swallowed_exceptions_come_first(lab, py):
    """A tracer learns what a build is like from its first hits: from such ones, too."""
    run_sections(lab, py, ("swallowed_first",))


@over(*ALL)
def test_swallowed_exceptions_come_later(lab, py):
    run_sections(lab, py, ("swallowed_later",))


@over(*ALL)
def test_constructors_come_first(lab, py):
    run_sections(lab, py, ("constructors_first",), harmless=NO_HARM)


@over(*ALL)
def test_time_until_swallowed(lab, py):
    """The time between the first raise and the last is the call's, too."""
    target = lab.target(py, "endings.py", "swallowed_slowly")
    truth, report = lab.run(target)
    check_none(problems_of(report, target, truth, "swallowed_slowly"))
    f = report.function(target, "__getattr__")
    wall, slept = f["wall_seconds"]["sum"], 0.005 * f["calls"]
    check(wall >= slept, f"__getattr__(): expected at least {slept} s of wall time, got {wall}")


@over(*ALL)
def test_interpreters_in_the_interpreter(lab, py):
    sections = ("within_main_thread", "within_threads", "inside_first")
    run_sections(lab, py, sections, fair=False)
