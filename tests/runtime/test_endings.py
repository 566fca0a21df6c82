# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Every way a call ends or pauses: calls, segments, exceptions and unseen ends are the program's.

A test traces a process a section of tests/targets/endings.py, all by one tracer, each with the
truth of its own. Where cProfile is a fair judge of a section, that truth is first held against it.

Most of a test's time goes into starting interpreters, so no section runs on all ten. Each half of
them has one of 3.8 - 3.10 that is probed where frames begin and leave, an early and a late one that
are probed at their opcodes, and one whose code is of a shape of its own (no GIL; Py_DEBUG), so that
what goes wrong with a way of probing shows in either. test_stress.py mixes all of it on all ten.
"""
import packages
from harness import check, check_none, limit, over, short

ONE_HALF = ("debian-3.9", "pyenv-3.10", "debian-3.11", "debian-3.14", "built-3.13t")
OTHER_HALF = ("pyenv-3.8", "pyenv-3.12", "debian-3.13", "debian-3.15", "debug-3.13")
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


def run_sections(lab, py, sections, fair=True, harmless=SWALLOWED, env=None):
    """Run them side by side under one tracer: the report. `fair`: all of them, none, or which."""
    prefix = ["env", *(f"{k}={v}" for k, v in env.items())] if env else []
    fair = sections if fair is True else fair or ()
    check_none((p for s in fair for p in oracle_problems(lab, py, s)), "the test is wrong")
    targets = {s: lab.target(py, "endings.py", s, prefix=prefix) for s in sections}
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



@limit(60)
@over(*ONE_HALF)
def test_exceptions(lab, py):
    fair = ("exceptions", "generators_in_generators", "signals", "deep_raise", "deep_catch")
    run_sections(lab, py, [*fair, "timer"], fair=fair, harmless=NO_HARM)


@limit(60)
@over(*OTHER_HALF)
def test_generators_and_coroutines(lab, py):
    """Finished, closed, thrown into from outside, dropped, collected in a cycle."""
    fair = ["generators", "coroutines", "tasks", "thrown_through", "thrown_through_many", "thrown_first"]
    fair += ["abandoned"] * (py.minor < 13)
    more = ["abandoned"] * (py.minor >= 13)
    run_sections(lab, py, fair + more, fair=fair)


@limit(60)
@over(*ONE_HALF)
def test_from_c_and_back(lab, py):
    """Callbacks of C code, __del__, weakref callbacks; exceptions that C code swallows."""
    run_sections(lab, py, ("callbacks", "through_ctypes", "deaths", "late_ends"))


@over(*OTHER_HALF)
def test_made_at_run_time(lab, py):
    sections = ("comprehensions", "makes_code", "swapped_code")
    run_sections(lab, py, sections, harmless=NO_HARM)


@over(*OTHER_HALF)
def test_deeper_than_tracked(lab, py):
    report = run_sections(lab, py, ("deep",), harmless=NO_HARM)
    told = report.loss("depth")
    deep = sum(f["ended_unseen"] for f in report["functions"] if short(f["function"]) == "descend")
    # the innermost call is a leaf()
    check(told == deep + 2, f"expected {deep + 2} calls told as too deep, got {told}")


@limit(60)
@over(*OTHER_HALF)
def test_process_or_thread_ends(lab, py):
    """With calls open, by exit, exec or a shutdown."""
    sections = ("os_exit", "sys_exit", "uncaught", "replaced", "daemons", "threads")
    run_sections(lab, py, sections, fair=False)


@limit(60)
@over(*ONE_HALF)
def test_forks_in_the_middle_of_calls(lab, py):
    """Both sides come back through what was open."""
    exe, env = lab.own_copy(py)
    prefix = ["env", *(f"{k}={v}" for k, v in env.items())]
    target = lab.target(py, "endings.py", "forks", exe=exe, prefix=prefix)
    told, report = lab.run(target)
    problems = problems_of(report, target, told["parent"], "parent")
    for tgid, truth in told["children"].items():
        problems += problems_of(report, target, truth, f"child {tgid}", tgid=int(tgid))
    lost = {k: v for k, v in report["losses"].items() if v and k not in NO_HARM}
    if lost:
        problems.append(f"expected no losses, got {lost}")
    check_none(problems, f"losses {report['losses']}")


@limit(60)
@over(*ONE_HALF)
def test_traced_and_profiled(lab, py):
    """The interpreter's own tracing goes on and off in the middle of calls, by another thread too."""
    sections = ["settrace", "settrace_opcodes", "settrace_raises", "setprofile", "profiler"]
    sections += ["debugger", "profile_toggled"] + ["monitoring_toggled"] * (py.minor >= 12)
    run_sections(lab, py, sections, fair=False, harmless=NO_HARM)


@limit(150)  # the package may have to be downloaded
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14")
def test_covered_and_debugged(lab, py):
    """coverage and pdb as they are, on and off in the middle of calls."""
    sections = ["pdb_session", "coverage_ctrace", "coverage_pytrace"]
    sections += ["coverage_sysmon"] * (py.minor >= 12) + ["pdb_monitoring"] * (py.minor >= 14)
    env = packages.environment(py, ["coverage"])
    run_sections(lab, py, sections, fair=False, harmless=NO_HARM, env=env)


@limit(60)
@over("pyenv-3.12", "debian-3.13", "debian-3.15", "debug-3.13")
def test_monitored(lab, py):
    """What 3.12 and later instrument: other handlers, each with probes of its own."""
    sections = ("monitoring_all", "monitoring_few", "monitoring_disabled", "monitoring_local")
    run_sections(lab, py, sections, fair=False, harmless=NO_HARM)


@over("pyenv-3.12", "debian-3.14")
def test_monitored_on_a_busy_cpu(lab, py):
    # its hog is a forked child, which other users of the build may leave unprobed for a while
    harmless = NO_HARM | {"fork_unprobed"}
    run_sections(lab, py, ("monitoring_on_a_busy_cpu",), fair=False, harmless=harmless)


@over(*ONE_HALF)
def test_swallowed_exceptions_come_first(lab, py):
    """A tracer learns what a build is like from its first hits: from such ones, too."""
    run_sections(lab, py, ("swallowed_first",))


@over(*OTHER_HALF)
def test_swallowed_exceptions_come_later(lab, py):
    run_sections(lab, py, ("swallowed_later",))


@over("debian-3.11", "debian-3.13", "debian-3.15", "built-3.13t")
def test_constructors_come_first(lab, py):
    """From 3.13 on they have a frame of their own below."""
    run_sections(lab, py, ("constructors_first",), harmless=NO_HARM)


@over(*ONE_HALF)
def test_time_until_swallowed(lab, py):
    """The time between the first raise and the last is the call's, too."""
    target = lab.target(py, "endings.py", "swallowed_slowly")
    truth, report = lab.run(target)
    check_none(problems_of(report, target, truth, "swallowed_slowly"))
    f = report.function(target, "__getattr__")
    wall, slept = f["wall_seconds"]["sum"], 0.005 * f["calls"]
    check(wall >= slept, f"__getattr__(): expected at least {slept} s of wall time, got {wall}")


@over(*OTHER_HALF)
def test_interpreters_in_the_interpreter(lab, py):
    sections = ("within_main_thread", "within_threads", "inside_first")
    run_sections(lab, py, sections, fair=False)
