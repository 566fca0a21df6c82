# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The command line: refusals with their exit status, and where output goes."""
import glob
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time

from harness import (
    PROGRAM,
    TREE,
    alone,
    check,
    check_none,
    host_python,
    interpreter,
    over,
    parse_report,
    short,
    target_environment,
    timing,
)

USAGE, REFUSED, UNWRITABLE = 2, 3, 5
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]


def waiting_target(lab):
    return lab.target(interpreter("debian-3.13"), "greedy.py", 2000)


def readable_program(lab):
    """A copy that every user may run, wherever the tree is."""
    copy = lab.dir / "pytrace-bpf"
    shutil.copy2(PROGRAM, copy)
    copy.chmod(0o755)
    return str(copy)


# --- refusals


def test_not_root(lab):
    target = waiting_target(lab)
    program = readable_program(lab)
    line = lab.refused(REFUSED, "-p", target.tgid, prefix=NOBODY, program=program)
    check("sudo" in line or "CAP_" in line, f"it does not say what to do: {line!r}")


def test_missing_capabilities(lab):
    target = waiting_target(lab)
    prefix = ["setpriv", "--bounding-set", "-all", "--"]
    line = lab.refused(REFUSED, "-p", target.tgid, prefix=prefix)
    check("CAP_" in line or "privilege" in line, f"it does not say what is missing: {line!r}")


def test_no_such_process(lab):
    gone = subprocess.Popen(["true"])
    gone.wait()
    line = lab.refused(USAGE, "-p", gone.pid)
    check(str(gone.pid) in line, f"it does not name the process: {line!r}")


def test_not_a_python(lab):
    other = lab.start(["sleep", "60"])
    line = lab.refused(USAGE, "-p", other.pid)
    check(str(other.pid) in line, f"it does not name the process: {line!r}")


def test_one_of_several_is_gone(lab):
    """Asked for one that is there and one that is not: it refuses, and names the missing one."""
    target = waiting_target(lab)
    gone = subprocess.Popen(["true"])
    gone.wait()
    line = lab.refused(USAGE, "-p", f"{target.tgid},{gone.pid}")
    check(str(gone.pid) in line, f"it does not name the process: {line!r}")


BAD_USAGE = [
    ["--no-such-option"],
    ["-p"],
    ["-p", "abc"],
    ["-p", "12x"],
    ["-p", "-5"],
    ["-p", "0"],
    ["-p", "1,,2"],
    ["-p", ""],
    ["-p", "99999999999999999999"],
    ["-p", "1", "--all-python"],
    ["-p", "1", "-c", "true"],
    ["-d", "abc", "--all-python"],
    ["-d", "-1", "--all-python"],
    ["-d", "0", "--all-python"],
    ["-d", "1x", "--all-python"],
    ["-d", "nan", "--all-python"],
    ["-i", "0", "--all-python"],
    ["-i", "-2", "--all-python"],
    ["-i", "x", "--all-python"],
    ["--top", "-3", "--all-python"],
    ["--top", "many", "--all-python"],
    ["--sort", "beauty", "--all-python"],
    ["--format", "xml", "--all-python"],
    ["--overhead", "-1", "--all-python"],
    ["--overhead", "abc", "--all-python"],
    ["--overhead", "0", "--tasks", "--all-python"],
    ["--overhead", "2", "--exact", "--all-python"],
    ["--ring-bytes", "x", "--all-python"],
    ["--attach", "magic", "--all-python"],
    ["--user", "no-such-user-here", "--all-python"],
    ["no-such-command"],
    ["list", "too", "many"],
    ["dump"],
    ["dump", "-c", "true"],
]


def test_bad_usage(lab):
    """Exit status 2 and words on standard error, none on standard output; at once."""
    problems = []
    for args in BAD_USAGE:
        tracer = lab.tracer(*args)
        try:
            code = tracer.wait(5)
        except AssertionError:
            code = "still running"
            tracer.kill()
        words = tracer.err.text()
        if code != USAGE or not words.strip() or tracer.out.text():
            problems.append(f"{' '.join(args)}: {code}: {words[:100]!r} {tracer.out.text()[:50]!r}")
        if len(words.splitlines()) > 3:
            problems.append(f"{' '.join(args)}: {len(words.splitlines())} lines of explanation")
    check_none(problems)


def test_help_and_version(lab):
    for option in ("--help", "--version"):
        tracer = lab.tracer(option).finish()
        check(tracer.out.text().strip(), f"{option} prints nothing on standard output")
        check(not tracer.err.text(), f"{option} prints on standard error: {tracer.err.text()}")
    help_text = lab.tracer("--help").finish().out.text()
    words = """
        --all-python --user --cgroup --exclude -p -c -d -i --overhead --exact --samples --tasks
        --explain --function --sort --top --format -o --watchpoints list dump doctor
    """
    missing = [w for w in words.split() if w not in help_text]
    check(not missing, f"--help does not mention {missing}")
    manual = (TREE / "docs/pytrace-bpf.8").read_text().replace("\\", "")
    options = re.findall(r"^ {6}(--[a-z-]+)", help_text, re.M)  # those without a letter
    missing = [o for o in options if o not in manual and o != "--usage"]
    check(options and not missing, f"the manual page does not mention {missing} of {options}")


def test_doctor(lab):
    """It can trace here, says so, and a user without rights is told what is missing."""
    text = lab.tracer("doctor").finish().out.text()
    check(text.strip(), "doctor prints nothing")
    tracer = lab.tracer("doctor", prefix=NOBODY, program=readable_program(lab))
    tracer.wait(10)
    check(tracer.code == REFUSED, f"as nobody, doctor's exit status is {tracer.code}, not 3")
    words = tracer.out.text() + tracer.err.text()
    check("sudo" in words or "root" in words, "doctor does not say that root is missing")


def test_what_samples_count(lab):
    """The CPU's cycle counter, where the kernel has a driver for one: doctor and the report."""
    counters = glob.glob("/sys/bus/event_source/devices/cpu*")
    event = "cpu-cycles" if counters else "cpu-clock"
    text = lab.tracer("doctor").finish().out.text()
    lines = [line for line in text.splitlines() if " samples: " in line]
    check(len(lines) == 1 and f"({event})" in lines[0], f"of {event} doctor says {lines}")
    target = waiting_target(lab)
    report = lab.trace(target, "-d", "0.2", "--samples", "37").report()
    told = report["samples_hz"], report["samples_event"]
    check(told == (37, event), f"samples_hz and samples_event are {told}, of {event}")


# --- output that cannot be written


def test_unwritable_output_is_refused_at_once(lab):
    target = waiting_target(lab)
    for path in (lab.dir / "no/such/folder/report", lab.dir):
        lab.refused(UNWRITABLE, "-p", target.tgid, "--format", "json", "-o", path)
    check(target.code is None, "the target ended")


def test_output_to_a_full_device(lab):
    for args in (["-o", "/dev/full"], ["--format", "json", "-o", "/dev/full"]):
        target = waiting_target(lab)
        tracer = lab.tracer("-p", target.tgid, *args).attached()
        target.release().result()
        tracer.finish(code=UNWRITABLE)


def test_standard_output_is_full(lab):
    for args in ([], ["--format", "json"]):
        target = waiting_target(lab)
        with open("/dev/full", "w") as full:
            tracer = lab.tracer("-p", target.tgid, *args, stdout=full).attached()
        target.release().result()
        tracer.finish(code=UNWRITABLE)


def test_list_to_a_full_device(lab):
    waiting_target(lab)
    for command in ("list", "doctor", "--help", "--version"):
        with open("/dev/full", "w") as full:
            lab.tracer(command, stdout=full).finish(code=UNWRITABLE)


def test_disk_is_full(lab):
    """A report that does not fit: exit status 5, and no half of it stays behind."""
    small = lab.dir / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", small], check=True)
    lab.undo.append(lambda: subprocess.run(["umount", "-l", small], check=False))
    target = lab.target(interpreter("debian-3.13"), "many.py", 500)
    tracer = lab.trace(target, "-o", small / "report.json")
    target.release().result()
    tracer.finish(code=UNWRITABLE)
    left = list(small.iterdir())
    check(not left, f"a part of the report stayed behind: {left}")


def test_reader_goes_away(lab):
    """Standard output is a pipe nobody reads: it ends, and not by an accident."""
    target = waiting_target(lab)
    reader, writer = os.pipe()
    tracer = lab.tracer("-p", target.tgid, "--format", "json", stdout=writer).attached()
    os.close(writer)
    os.close(reader)
    target.release().result()
    code = tracer.wait(10)
    check(code in (UNWRITABLE, -signal.SIGPIPE), f"exit status {code}")


# --- output


def test_output_file(lab):
    """-o FILE has the whole report, and standard output stays empty."""
    target = waiting_target(lab)
    path = lab.dir / "report.json"
    tracer = lab.trace(target, "-o", path)
    calls = target.release().result()["calls"]
    tracer.finish()
    report = parse_report(path.read_text())
    check(report.calls(target, "small") == calls, "calls differ")
    check(not tracer.out.text(), f"standard output: {tracer.out.text()[:200]!r}")
    mode = stat.S_IMODE(path.stat().st_mode)
    check(mode & 0o111 == 0 and mode & 0o600 == 0o600, f"mode {mode:o}")


@timing
def test_standard_error_is_one_line(lab):
    """In a run without trouble: that it is attached, and nothing else."""
    target = waiting_target(lab)
    tracer = lab.trace(target)
    target.release().result()
    lines = tracer.finish().err.text().splitlines()
    check(len(lines) == 1, f"standard error has {len(lines)} lines: {lines}")
    check(tracer.attach_seconds < 2, f"attached after {tracer.attach_seconds:.2f} s")


@timing
def test_duration(lab):
    """-d ends it with a report, the target goes on."""
    target = waiting_target(lab)
    begin = time.monotonic()
    report = lab.trace(target, "-d", "1").report()
    took = time.monotonic() - begin
    check(abs(report["duration_seconds"] - 1) < 0.1, f"duration {report['duration_seconds']}")
    check(took < 4, f"it took {took:.1f} s")
    check(target.code is None, "the target ended")


@timing
def test_intervals(lab):
    """-i: one JSON object a line, of that length each, with its own figures."""
    target = lab.target(interpreter("debian-3.13"), "times.py", "sleep")
    tracer = lab.trace(target, "-i", "0.5")
    result = target.release().result()
    reports = tracer.reports()
    naps = len(result["stamps"]["nap"])
    calls = [r.calls(target, "nap") for r in reports]
    check(sum(calls) == naps, f"{calls} add up to {sum(calls)} calls, {naps} were made")
    lengths = [r["duration_seconds"] for r in reports]
    check(all(abs(s - 0.5) < 0.1 for s in lengths[:-1]), f"intervals of {lengths}")
    check(max(calls) < naps, f"all calls are in one interval: {calls}")
    waits = sum(r.wait_sum(target.tgid, "nap", "sleep")[0] for r in reports)
    check(waits == naps, f"{waits} waits in all, {naps} were made")
    slept = sum(r.wait_sum(target.tgid, "nap", "sleep")[1] for r in reports)
    want = sum(result["stamps"]["nap"]) / 1e9
    check(abs(slept - want) < 0.1 * want, f"{slept:.3f} s of sleep in all, it is {want:.3f}")


@timing
def test_intervals_come_when_they_are_over(lab):
    target = lab.target(interpreter("debian-3.13"), "exits.py", "forever")
    tracer = lab.trace(target, "-i", "0.5")
    target.release().result()
    time.sleep(1.8)
    with tracer.out.changed:
        lines = len(tracer.out.lines)
    check(lines >= 2, f"{lines} reports after 1.8 s of 0.5 s intervals")
    tracer.stop().reports()


# --- the command of -c


def check_command(lab, py):
    argv, path = lab.command(py, "briefly.py", 500)
    command = " ".join(argv)
    out = lab.dir / "report.json"
    lab.tracer("-c", command, "--format", "json", "-o", out).finish()
    report = parse_report(out.read_text())
    lab.note(report.excerpt())
    functions = [f for f in report["functions"] if f["file"] == path]
    calls = {f["function"]: f["calls"] for f in functions}
    check(calls.get("short") == 500, f"{calls}: 500 calls of short() were made")
    check(calls.get("<module>") == 1, f"{calls}: the first call was missed")
    check(not report["losses"]["fork_unprobed"], f"losses {report['losses']}")


def test_command_is_traced_from_its_start(lab):
    check_command(lab, host_python())


FORKING = """
import os
def in_child(x):
    return x
for _ in range(4):
    if not os.fork():
        for i in range(100):
            in_child(i)
        os._exit(0)
    os.wait()
"""


@alone
@over("debian-3.9", "debian-3.13", "pyenv-3.12")
def test_command_forks(lab, py):
    """Its children are traced from their first instruction: nobody else runs this build."""
    inside, ours = lab.folder_in(py)
    (ours / "forking.py").write_text(FORKING)
    command = " ".join([*py.argv, str(inside / "forking.py")])
    report = lab.tracer("-c", command, "--format", "json").attached().report()
    lab.note(report.excerpt())
    calls = {f["tgid"]: f["calls"] for f in report["functions"] if f["function"] == "in_child"}
    check(list(calls.values()) == [100] * 4, f"calls in four children: {calls}")
    check(not report.loss("fork_unprobed"), f"losses {report['losses']}")


@over("pyenv-3.8", "pyenv-3.12")
def test_command_with_libpython_is_traced_from_its_start(lab, py):
    check_command(lab, py)


def check_beside_a_stranger(lab, py):
    stranger = lab.start([*py.argv, "-c", "print('up', flush=True); import time; time.sleep(30)"])
    check(stranger.out.find("up", 10), "the stranger did not come up")
    for _ in range(3):
        check_command(lab, py)
    check(stranger.code is None, f"the stranger ended with {stranger.code}")
    stranger.kill()


def test_command_is_traced_beside_a_stranger(lab):
    """Another process runs the same build: the command has links of its own, from its exec on."""
    check_beside_a_stranger(lab, host_python())


@over("pyenv-3.12")
def test_command_with_libpython_is_traced_beside_a_stranger(lab, py):
    check_beside_a_stranger(lab, py)


def test_command_s_exit_status_and_output(lab):
    out = lab.dir / "report.json"
    code = 'import sys; print("hello"); print("oops", file=sys.stderr); sys.exit(%d)'
    program = f"/usr/bin/python3 -c '{code}'"
    for code in (0, 7, 2):
        tracer = lab.tracer("-c", program % code, "--format", "json", "-o", out)
        tracer.finish(code=code)
        check(tracer.out.text() == "hello", f"standard output {tracer.out.text()!r}")
        check("oops" in tracer.err.text(), f"standard error {tracer.err.text()!r}")
        check(json.loads(out.read_text())["processes"], "the report has no process")
    tracer = lab.tracer("-c", "kill -TERM $$", "--format", "json", "-o", out)
    tracer.wait(10)
    check(tracer.code == 128 + signal.SIGTERM, f"killed command: exit status {tracer.code}")


def test_command_runs_as_the_user_of_sudo(lab):
    env = dict(target_environment(), SUDO_UID="65534", SUDO_GID="65534", SUDO_USER="nobody")
    program = "/usr/bin/python3 -c 'import os; print(os.getuid(), os.getgid(), os.getgroups())'"
    tracer = lab.tracer("-c", program, "-o", lab.dir / "report", env=env).finish()
    check(
        tracer.out.text() in ("65534 65534 [65534]", "65534 65534 []"),
        f"uid, gid, groups: {tracer.out.text()!r}",
    )
    check((lab.dir / "report").exists(), "no report")


def test_command_that_cannot_run(lab):
    tracer = lab.tracer("-c", "/no/such/program", "-o", lab.dir / "report")
    tracer.wait(10)
    check(tracer.code in (126, 127, USAGE), f"exit status {tracer.code}")
    check(tracer.err.text().strip(), "not a word about it")


def test_interrupt_reaches_the_command(lab):
    """Ctrl-C ends both, and the report is written."""
    argv, _ = lab.command(host_python(), "briefly.py", 10, 60)
    out = lab.dir / "report.json"
    tracer = lab.tracer("-c", " ".join(argv), "--format", "json", "-o", out).attached()
    time.sleep(0.7)
    os.killpg(tracer.pid, signal.SIGINT)
    tracer.wait(10)
    check(out.exists() and parse_report(out.read_text())["processes"], "no report")


# --- what is shown


@over("debian-3.13")
def test_function_glob(lab, py):
    """--function shows what matches; qualified names, last components, and places alike."""
    globs = {
        "nested_*": {"nested_outer", "nested_middle", "nested_inner"},
        "Derived.method": {"method"},
        "counts_calls.py:down": {"down"},
        "nothing_like_this": set(),
    }
    problems = []
    for glob, wanted in globs.items():
        target = lab.target(py, "counts.py", "calls")
        _, report = lab.run(target, "--function", glob)
        got = {short(f["function"]) for f in report["functions"]}
        if got != wanted:
            problems.append(f"--function {glob!r}: {sorted(got)}, not {sorted(wanted)}")
    check_none(problems)


def test_top_and_sort(lab):
    py = interpreter("debian-3.13")
    keys = {
        "calls": lambda f: f["calls"],
        "self": lambda f: f["self_seconds"],
        "time": lambda f: f["wall_seconds"]["sum"],
        "max": lambda f: f["wall_seconds"]["max"],
        "sleep": lambda f: f["breakdown_seconds"]["sleep"],
    }
    problems = []
    for word, key in keys.items():
        target = lab.target(py, "threads.py", 5)
        _, report = lab.run(target, "--sort", word, "--top", "5")
        values = [key(f) or 0 for f in report["functions"]]
        if len(values) > 5:
            problems.append(f"--top 5: {len(values)} functions")
        if values != sorted(values, reverse=True):
            problems.append(f"--sort {word}: {values}")
    check_none(problems)
