# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Beginnings and ends: forks, execs, exits, signals, and a tracer that is killed."""
import signal
import subprocess
import time

from harness import alone, check, check_none, interpreter, limit, over, timing, wait_until


def calls_problems(report, target, tgid, wanted):
    problems = []
    for name, calls in wanted.items():
        got = report.calls(target, name, tgid=tgid)
        if got != calls:
            problems.append(f"{tgid}: {got} calls of {name}(), {calls} were made")
    return problems


@alone
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "debian-3.15", "pyenv-3.9", "pyenv-3.12")
def test_forked_children_are_followed(lab, py):
    """Each with its own numbers, from inside the calls that both sides leave."""
    target = lab.target(py, "forks.py", 3)
    result, report = lab.run(target)
    check_none(fork_problems(result, report, target), f"losses {report['losses']}")


@over("debian-3.11", "debian-3.13")
def test_forked_children_beside_a_stranger(lab, py):
    """
    Where another process runs the same build, and must not be disturbed, a child's first calls
    can be missed. Then that is told; the parent's are exact all the same.
    """
    stranger = lab.target(py, "greedy.py", 1000)
    target = lab.target(py, "forks.py", 3)
    result, report = lab.run(target)
    problems = fork_problems(result, report, target)
    own = [p for p in problems if p.startswith(f"{target.tgid}:")]
    check_none(own, f"the parent's own calls differ; losses {report['losses']}")
    told = report.loss("fork_unprobed")
    check(not problems or told, f"fork_unprobed is {told}, and yet {problems}")
    check(report.calls(target, "small", tgid=stranger.tgid) == 0, "the stranger was traced")


@alone
@over("debian-3.13", "pyenv-3.12")
def test_strangers_that_begin_later(lab, py):
    """Their first calls may hit a link meant for the target: nothing of them is told all the same."""
    target = lab.target(py, "forks.py", 1)
    tracer = lab.trace(target)
    for _ in range(3):
        lab.target(py, "greedy.py", 1000).release().result()
    result = target.release().result()
    known = {target.tgid} | {int(c) for c in result["children"]}
    told = {p["tgid"] for p in tracer.report()["processes"]}
    check(len(told - known) == 1, f"processes {told}: of {known} and one grandchild")


def fork_problems(result, report, target):
    problems = calls_problems(report, target, target.tgid, result["parent"])
    problems += calls_problems(report, target, target.tgid, {"in_child": 0, "after": 0})
    for child, wanted in result["children"].items():
        problems += calls_problems(report, target, int(child), wanted)
        problems += calls_problems(report, target, int(child), {"before": 0, "in_parent": 0})
    known = {target.tgid} | {int(c) for c in result["children"]}
    grandchildren = [p["tgid"] for p in report["processes"] if p["tgid"] not in known]
    if len(grandchildren) != 1:
        problems.append(f"one grandchild expected in processes[], there are {grandchildren}")
    for tgid in grandchildren:
        problems += calls_problems(report, target, tgid, {"in_grandchild": 50})
    return problems


@alone
@limit(60)
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "pyenv-3.12")
def test_many_children_are_told_as_one(lab, py):
    """A server's children are not told one by one: their numbers are added up, and none is missing."""
    target = lab.target(py, "forks.py", 150)
    result, report = lab.run(target, timeout=60)
    check(len(report["processes"]) == 2, f"{len(report['processes'])} processes told, with {len(result['children'])} children")
    # one of them has a child itself
    children = next(p for p in report["processes"] if p["tgid"] != target.tgid)
    check(children["others"] == 150, f"{children['others']} others, of 150 children and one of theirs")
    check(children["threads"] == 151, f"they had {children['threads']} threads")
    problems = calls_problems(report, target, target.tgid, result["parent"])
    wanted = {"in_grandchild": 50}
    for calls in result["children"].values():
        for name, n in calls.items():
            wanted[name] = wanted.get(name, 0) + n
    problems += calls_problems(report, target, children["tgid"], wanted)
    check_none(problems, f"losses {report['losses']}")
    check(children["cpu_seconds"] <= children["observed_seconds"], f"more time on CPU than there was: {children}")


@over("debian-3.9", "debian-3.13")
def test_exec_of_itself(lab, py):
    """One process, two programs after each other: the numbers of both are kept."""
    target = lab.target(py, "execs.py", "-")
    wanted, report = lab.run(target)
    check_none(calls_problems(report, target, target.tgid, wanted), f"losses {report['losses']}")


@over("debian-3.9", "debian-3.13")
def test_exec_by_another_thread(lab, py):
    """Which takes the first one's id: all it was in is told as ended unseen, however deep."""
    target = lab.target(py, "execs.py", "-", 150)
    wanted, report = lab.run(target)
    wanted["down"] = 150
    check_none(calls_problems(report, target, target.tgid, wanted), f"losses {report['losses']}")
    told = report.loss("ended_unseen")
    check(told >= 150, f"{told} calls are told as ended unseen")


@over("debian-3.11", "debian-3.14")
def test_exec_of_an_unknown_build(lab, py):
    inside, ours = lab.folder_in(py)
    copy = ours / "another"
    copy.write_bytes(py.host_path(py.exe).read_bytes())
    copy.chmod(0o755)
    target = lab.target(py, "execs.py", inside / "another")
    wanted, report = lab.run(target)
    check_none(calls_problems(report, target, target.tgid, wanted), f"losses {report['losses']}")


def a_command(lab, py, seconds=0.2):
    """Its path inside; it sleeps."""
    inside, ours = lab.folder_in(py)
    source = f"#include <unistd.h>\nint main(void) {{ return usleep({seconds} * 1000000); }}\n"
    argv = ["cc", "-static", "-x", "c", "-", "-o", ours / "command"]
    subprocess.run(argv, input=source, text=True, check=True)
    return inside / "command"


@over("debian-3.9", "debian-3.13", "pyenv-3.12")
def test_commands_are_no_python(lab, py):
    """What a child does after it became another program is not told; most such children are not, either."""
    target = lab.target(py, "commands.py", 6, a_command(lab, py))
    _, report = lab.run(target)
    lab.note(report.excerpt())
    others = [p for p in report["processes"] if p["tgid"] != target.tgid]
    check(report["replaced_processes"] == 5, f"{report['replaced_processes']} replaced of 5")
    check(len(others) == 1, f"{len(others)} children listed, one called Python before its exec")
    child = others[0]
    check(report.calls(target, "before_exec", tgid=child["tgid"]) == 1, "before_exec() was called once")
    check(child["exited"] and child["observed_seconds"] < 0.15, f"observed too long: {child}")
    for t in report["threads"]:
        if t["tgid"] == child["tgid"]:
            total = t["oncpu_seconds"] + sum(t["wait_seconds"].values())
            # (it was ready before it first ran, which nobody tells)
            check(0 < total < child["observed_seconds"] + 0.0005, f"{t} of {child}")


@over("debian-3.9", "debian-3.13")
def test_command_that_goes_on(lab, py):
    """Who waits for one may have begun to when it still was what forked it."""
    target = lab.target(py, "commands.py", 2, a_command(lab, py, 2))
    tracer = lab.tracer("-p", target.tgid, "-d", "1", "--format", "json", "--overhead", "0").attached()
    target.release()
    report = tracer.finish().report()
    waits = {w["target"]: w["seconds"]["sum"] for w in report.waits_of(target.tgid, None, "child")}
    check(waits.get("child command", 0) > 0.7, f"waits for children: {waits}")


@over("debian-3.13")
def test_commands_in_text(lab, py):
    target = lab.target(py, "commands.py", 3, a_command(lab, py))
    tracer = lab.tracer("-p", target.tgid, "--overhead", "0").attached()
    target.release().result()
    text = tracer.finish().out.text()
    check("3 forked children became other programs." in text, text)
    check("1 Python process," in text, text)


@over("debian-3.9", "debian-3.11", "debian-3.14", "pyenv-3.8")
def test_exits_in_the_middle(lab, py):
    """However a process ends, what it had done is in the report; after the last the tracer ends."""
    ways = ("_exit", "system_exit", "uncaught", "abort", "thread")
    targets = {how: lab.target(py, "exits.py", how) for how in ways}
    tgids = ",".join(str(t.tgid) for t in targets.values())
    tracer = lab.tracer("-p", tgids, "--format", "json").attached()
    for target in targets.values():
        target.release()
        target.wait()
    report = tracer.report()
    lab.note(report.excerpt())
    problems = []
    for how, target in targets.items():
        wanted = {"done_before": 100, "in_the_middle": 1}
        problems += [f"{how}: {p}" for p in calls_problems(report, target, target.tgid, wanted)]
        middle = report.function(target, "in_the_middle")
        if how in ("system_exit", "uncaught"):
            if middle["exceptions"] != 1:
                problems.append(f"{how}: in_the_middle() left by an exception, and is {middle}")
        elif middle["ended_unseen"] + middle["wall_seconds"]["censored"] != 1:
            problems.append(f"{how}: in_the_middle() has no seen end, and is {middle}")
    check_none(problems)


@over("debian-3.11", "debian-3.13")
def test_target_is_killed(lab, py):
    target = lab.target(py, "exits.py", "forever")
    tracer = lab.trace(target)
    target.release().result()
    time.sleep(0.3)
    target.signal(signal.SIGKILL)
    report = tracer.report(timeout=10)
    check_none(calls_problems(report, target, target.tgid, {"done_before": 100}))
    _, slept = report.wait_sum(target.tgid, "in_the_middle", "sleep")
    check(0.2 < slept < 2, f"{slept:.3f} s of sleep before it was killed")


@over("debian-3.13")
def test_signals_end_with_a_report(lab, py):
    """SIGINT and SIGTERM: the report, exit status 0, and the target goes on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        target = lab.target(py, "exits.py", "forever")
        tracer = lab.trace(target)
        target.release().result()
        time.sleep(0.3)
        report = tracer.stop(number, timeout=5).report()
        check_none(calls_problems(report, target, target.tgid, {"done_before": 100}))
        middle = report.function(target, "in_the_middle")
        check(middle["wall_seconds"]["censored"] == 1, f"in_the_middle() still runs: {middle}")
        check(target.code is None, "the target ended with the tracer")


def rates(target, seconds):
    """What the target says each call took, for so long, the quickest first."""
    before = len(target.out.lines)
    time.sleep(seconds)
    lines = target.out.lines[before + 1 :]  # the first can be half of the time before
    check(lines, f"the target said nothing in {seconds} s")
    return sorted(float(line.split()[1]) for line in lines if line.startswith("rate"))


@timing
@limit(60)
@over("debian-3.9", "debian-3.13")
def test_killed_tracer_leaves_no_probe_behind(lab, py):
    """After kill -9 the target runs on, and as fast as before."""
    target = lab.target(py, "greedy.py", "rate").release()
    wait_until(lambda: len(target.out.lines) > 3, 10, "the target's first rates")
    before = rates(target, 1.5)[0]
    tracer = lab.trace(target)
    during = rates(target, 2)[0]
    tracer.signal(signal.SIGKILL)
    tracer.wait(10)
    time.sleep(0.7)  # the kernel takes the breakpoints out
    after = rates(target, 1.5)[0]
    figures = f"ns per call: {before:.0f} before, {during:.0f} traced, {after:.0f} after"
    check(target.code is None, "the target ended")
    check(during > 3 * before, f"{figures}: it was not traced")
    check(after < 1.25 * before, f"{figures}: something stayed behind")


@timing
@limit(60)
@over("debian-3.11")
def test_detaches_at_its_end(lab, py):
    target = lab.target(py, "greedy.py", "rate").release()
    wait_until(lambda: len(target.out.lines) > 3, 10, "the target's first rates")
    before = rates(target, 1.5)[0]
    lab.trace(target, "-d", "1").report()
    after = rates(target, 1.5)[0]
    check(after < 1.25 * before, f"ns per call: {before:.0f} before, {after:.0f} after")


@over("debian-3.13")
def test_tracer_is_stopped_for_a_while(lab, py):
    """A tracer that gets no CPU loses at most what it counts as lost."""
    target = lab.target(py, "threads.py", 50)
    tracer = lab.trace(target)
    tracer.signal(signal.SIGSTOP)
    wanted = target.release().result()
    time.sleep(0.5)
    tracer.signal(signal.SIGCONT)
    report = tracer.report()
    check_none(calls_problems(report, target, target.tgid, wanted), f"losses {report['losses']}")


@over("debian-3.9", "debian-3.14", "pyenv-3.12")
def test_programs_that_are_over_at_once(lab, py):
    """What a child became is Python by what it called, where nobody can look at it any more."""
    target = lab.target(py, "brief_programs.py")
    tracer = lab.trace(target)
    tracer.signal(signal.SIGSTOP)
    told = target.release().result()
    tracer.signal(signal.SIGCONT)
    time.sleep(0.5)  # for the tracer to look at what nobody has waited for
    target.release()
    report = tracer.report()
    problems = []
    for which in ("zombie", "gone"):
        wanted = {"in_new_program": told["calls"]}
        problems += calls_problems(report, target, told[which], wanted)
    check_none(problems, f"losses {report['losses']}")


def test_two_tracers_at_once(lab):
    """Neither disturbs the other's numbers."""
    py = interpreter("debian-3.13")
    target = lab.target(py, "greedy.py", 20000)
    tracers = [lab.trace(target), lab.trace(target)]
    calls = target.release().result()["calls"]
    got = [t.report().calls(target, "small") for t in tracers]
    check(got == [calls, calls], f"calls {got}, made {calls}")


@over("debian-3.11", "debian-3.14", "pyenv-3.8", "pyenv-3.10")
def test_attached_in_the_middle(lab, py):
    """Calls that began before are not invented, and those after are exact in number."""
    target = lab.target(py, "greedy.py", "rate").release()
    wait_until(lambda: len(target.out.lines) > 3, 10, "the target's first rates")
    report = lab.trace(target, "-d", "1.5").report()
    lab.note(report.excerpt())
    small, many = report.function(target, "small"), report.function(target, "many_small")
    check(small["calls"] > 1000, f"{small['calls']} calls of small()")
    open_now = small["calls"] - sum(small["wall_seconds"]["buckets"]["counts"])
    check(open_now <= 1, f"{open_now} calls of small() without a seen end")
    check(report.calls(target, "rate") == 0, "rate() was called before the tracer came")
    check(many["calls"] < 500, f"{many['calls']} calls of many_small() in 1.5 s")
