# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Every CPython is found, whatever its binary is called and wherever it lives."""
import os
import pathlib
import shutil
import subprocess

from harness import (
    DEBIAN,
    PYENV,
    Failed,
    Skipped,
    Target,
    alone,
    check,
    check_none,
    children_of,
    host_python,
    interpreter,
    limit,
    over,
    target_environment,
    timing,
    wait_until,
)

CALLS = 50000  # of greedy.py: few enough to be quick, and it adds its warm-up to them

METHODS = {
    "debian-3.9": "usdt",
    "debian-3.11": "opcode",
    "debian-3.13": "opcode",
    "debian-3.14": "opcode",
    "debian-3.15": "opcode",
    "pyenv-3.8": "frame-eval",
    "pyenv-3.9": "frame-eval",
    "pyenv-3.10": "frame-eval",
}


def check_traced(lab, target, tracer=None):
    """The target's calls arrive, to the call; the report."""
    tracer = tracer or lab.trace(target)
    result = target.release().result()
    report = tracer.report()
    lab.note(report.excerpt())
    got = report.calls(target, "small")
    check(got == result["calls"], f"{got} calls of small(), {result['calls']} were made")
    return report


def copied_binary(lab, py, name):
    """The interpreter's executable as a file of its own: (path inside, path here)."""
    inside, ours = lab.folder_in(py)
    shutil.copy2(py.host_path(py.exe), ours / name)
    return inside / name, ours / name


@over(*DEBIAN, *PYENV)
def test_list_and_process_entry(lab, py):
    """`list` and processes[] know the version, the build and the method."""
    target = lab.target(py, "greedy.py", 1000)
    line = lab.listed().get(target.tgid)
    check(line, f"{target.tgid} is not in the list")
    check(py.version in line, f"{py.version} is not in {line!r}")
    entry = lab.listed_json().get(target.tgid, {})
    report = check_traced(lab, target)
    process = report.process(target.tgid)
    check(process["python"] == py.version, f"python is {process['python']!r}, not {py.version}")
    method = METHODS.get(f"{py.name.split('-')[0]}-3.{py.minor}", "opcode")
    check(process["calls_method"] == method, f"{process['calls_method']}, not {method}")
    check(method in line, f"{method} is not in {line!r}")
    build = process["build"]
    for key in ("comm", "command", "python", "build", "calls_method"):
        check(entry.get(key) == process[key], f"`list` says {entry.get(key)!r} of {key}")
    check(entry["threads"] == 1 and "reason" not in entry, f"`list` says {entry}")
    if py.root:
        check(build.endswith(py.exe), f"build is {build!r}, not {py.exe}")
    else:
        check("libpython" in build, f"build is {build!r}, not a libpython")


def test_list_is_quiet_about_others(lab):
    """What is no Python is not in the list."""
    other = lab.start(["sleep", "60"])
    check(other.pid not in lab.listed(), "sleep is in the list of Pythons")


@over("debian-3.9", "debian-3.11", "debian-3.13")
def test_renamed_binary(lab, py):
    inside, _ = copied_binary(lab, py, "foo")
    check_traced(lab, lab.target(py, "greedy.py", CALLS, exe=inside))


@over("debian-3.11", "debian-3.14")
def test_deleted_binary(lab, py):
    inside, ours = copied_binary(lab, py, "gone")
    target = lab.target(py, "greedy.py", CALLS, exe=inside)
    ours.unlink()
    check(target.tgid in lab.listed(), "not in the list")
    check_traced(lab, target)


@over("debian-3.11")
def test_replaced_binary(lab, py):
    """Another file at the path of the running binary is not mistaken for it."""
    inside, ours = copied_binary(lab, py, "updated")
    target = lab.target(py, "greedy.py", CALLS, exe=inside)
    ours.unlink()
    shutil.copy2(interpreter("debian-3.13").host_path("/usr/bin/python3.13"), ours)
    check_traced(lab, target)


EMBEDDING = r"""
#include <Python.h>
int main(int argc, char **argv)
{
	return Py_BytesMain(argc, argv);
}
"""


@limit(60)
@over("pyenv-3.8", "pyenv-3.9", "pyenv-3.10", "pyenv-3.11", "pyenv-3.12", "pyenv-3.13")
def test_embedded_in_a_c_program(lab, py):
    prefix = pathlib.Path(py.exe).parent.parent
    version = f"3.{py.minor}"
    headers = prefix / "include" / f"python{version}"
    if not list((prefix / "lib").glob(f"libpython{version}.so*")) or not headers.is_dir():
        raise Skipped(f"{py.name} has no shared libpython with headers")
    source, program = lab.dir / "host.c", lab.dir / "server"
    source.write_text(EMBEDDING)
    build = subprocess.run(
        ["cc", "-o", program, source, f"-I{headers}", f"-L{prefix}/lib", f"-lpython{version}"]
        + [f"-Wl,-rpath,{prefix}/lib"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    check(build.returncode == 0, f"the host program does not compile: {build.stdout}")
    argv, path = lab.command(py, "greedy.py", CALLS, exe=program)
    target = Target(argv, path, env=dict(target_environment(), PYTHONHOME=str(prefix)))
    lab.processes.append(target)
    target.ready()
    process = check_traced(lab, target).process(target.tgid)
    method = METHODS.get(f"pyenv-3.{py.minor}", "opcode")
    check(process["calls_method"] == method, f"{process['calls_method']}, not {method}")
    check("libpython" in process["build"], "the build is not libpython")


@over("debian-3.11", "debian-3.13", "pyenv-3.12")
def test_other_namespaces(lab, py):
    """A pid and a mount namespace of its own, as in a container."""
    # propagation: a root that is no mount, as in a chroot, has none to change
    prefix = ["unshare", "--pid", "--mount", "--propagation", "unchanged"]
    prefix += ["--fork", "--kill-child", "--mount-proc"]
    target = lab.target(py, "greedy.py", CALLS, prefix=prefix)
    check(target.own_pid == 1, f"it is process {target.own_pid} in its namespace, not 1")
    (target.tgid,) = children_of(target.pid)
    check(target.tgid in lab.listed(), "not in the list")
    check_traced(lab, target)


@over("debian-3.11", "debian-3.14")
def test_overlayfs(lab, py):
    """The binary is on an overlay, whose inode is not the one that is mapped."""
    for name in ("upper", "work", "merged"):
        (lab.dir / name).mkdir()
    options = f"lowerdir={py.root},upperdir={lab.dir}/upper,workdir={lab.dir}/work"
    merged = lab.dir / "merged"
    mount = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", options, merged],
        stderr=subprocess.PIPE,
        text=True,
    )
    if mount.returncode:
        raise Skipped(f"no overlayfs here: {mount.stderr.strip()}")
    lab.undo.append(lambda: subprocess.run(["umount", "-l", merged], check=False))
    inside, _ = lab.folder_in(py)
    argv = ["chroot", str(merged), py.exe, f"{inside}/greedy.py", str(CALLS)]
    target = Target(argv, f"{inside}/greedy.py", env=target_environment())
    lab.processes.append(target)
    check_traced(lab, target.ready())


@over("debian-3.13")
def test_one_analysis_serves_all(lab, py):
    """Many processes of one build: all are traced, in one report."""
    targets = [lab.target(py, "greedy.py", 2000) for _ in range(8)]
    tgids = ",".join(str(t.tgid) for t in targets)
    tracer = lab.tracer("-p", tgids, "--format", "json").attached()
    wanted = [t.release().result()["calls"] for t in targets]
    report = tracer.report()
    got = [report.calls(t, "small") for t in targets]
    check(got == wanted, f"calls {got}, made {wanted}")
    builds = {p["build"] for p in report["processes"]}
    check(len(builds) == 1, f"one build has several names: {builds}")


def test_only_what_is_asked_for(lab):
    """-p traces that process, and no other on the same binary."""
    py = interpreter("debian-3.13")
    target, other = lab.target(py, "greedy.py", 2000), lab.target(py, "greedy.py", 2000)
    tracer = lab.trace(target)
    other.release().result()
    result = target.release().result()
    report = tracer.report()
    check(report.calls(target, "small") == result["calls"], "calls of the target differ")
    strangers = [p["tgid"] for p in report["processes"] if p["tgid"] != target.tgid]
    check(not strangers, f"processes[] has others: {strangers}")
    strangers = {f["tgid"] for f in report["functions"]} - {target.tgid}
    check(not strangers, f"functions[] has others: {strangers}")


# --- --all-python, kept to what a test started by its cgroup


class Group:
    """A cgroup of the test's own."""

    top = next(
        (p for p in map(pathlib.Path, ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"))
         if (p / "cgroup.procs").exists()),
        None,
    )  # fmt: skip

    def __init__(self, lab, suffix=""):
        if not self.top:
            raise Failed("there is no cgroup v2 hierarchy")
        self.name = lab.name + suffix
        self.path = self.top / self.name
        self.path.mkdir()
        lab.undo.append(self.remove)
        # a shell that moves itself in, and then becomes the command
        self.prefix = ["sh", "-c", f'echo $$ > {self.path}/cgroup.procs; exec "$@"', "sh"]

    def remove(self):
        wait_until(lambda: self.try_remove(), 10, f"removing {self.path}")

    def try_remove(self):
        try:
            self.path.rmdir()
            return True
        except OSError:
            return False


def trace_group(lab, group, *args):
    return lab.tracer(
        "--all-python", "--cgroup", f"*{group.name}*", "--format", "json", *args
    ).attached()


def calls_of_short(report, tgid):
    """Calls of briefly.py's function in that process."""
    functions = [f for f in report["functions"] if f["tgid"] == tgid]
    return sum(f["calls"] for f in functions if f["function"] == "short")


@alone
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "pyenv-3.12")
def test_started_while_tracing_known_build(lab, py):
    """Processes of a build that is probed already are exact from their first call."""
    first = lab.target(py, "greedy.py", 1000)
    tracer = lab.tracer("--all-python", "--format", "json").attached()
    started = []
    for calls in (1000, 2000, 3000):
        argv, _ = lab.command(py, "briefly.py", calls)
        process = lab.start(argv, env=target_environment())
        check(process.wait() == 0, "briefly.py failed")
        started.append((process.pid, calls))
    first.release().result()
    report = tracer.stop().report()
    lab.note(report.excerpt())
    problems = []
    for tgid, calls in started:
        got = calls_of_short(report, tgid)
        if got != calls:
            problems.append(f"{tgid}: {got} calls of short(), {calls} were made")
    check_none(problems, f"losses {report['losses']}")
    check(report.process(first.tgid), "the first process is missing")


@over("debian-3.9", "debian-3.13")
def test_started_while_tracing_a_cgroup(lab, py):
    """With a filter a new process has to be looked at first; before it has run much, it is."""
    group = Group(lab)
    first = lab.target(py, "greedy.py", 1000, prefix=group.prefix)
    tracer = trace_group(lab, group)
    argv, _ = lab.command(py, "briefly.py", 1000, 0.5)
    inside = lab.start([*group.prefix, *argv], env=target_environment())
    outside = lab.start(argv, env=target_environment())
    check(inside.wait() == 0 and outside.wait() == 0, "briefly.py failed")
    first.release().result()
    report = tracer.stop().report()
    lab.note(report.excerpt())
    got = calls_of_short(report, inside.pid)
    check(got == 1000, f"{got} calls of short(), 1000 were made")
    check(calls_of_short(report, outside.pid) == 0, "a process outside the cgroup was traced")


@over("debian-3.11", "debian-3.13", "debian-3.14")
def test_started_while_tracing_unknown_build(lab, py):
    """A build nobody has seen yet: found, analysed and probed while its process starts."""
    group = Group(lab)
    keeper = lab.target(interpreter("debian-3.9"), "greedy.py", 1000, prefix=group.prefix)
    inside, _ = copied_binary(lab, py, "fresh")
    tracer = trace_group(lab, group)
    argv, _ = lab.command(py, "briefly.py", 1000, 1.0, exe=inside)
    process = lab.start([*group.prefix, *argv], env=target_environment())
    check(process.wait() == 0, "briefly.py failed")
    keeper.release().result()
    report = tracer.stop().report()
    lab.note(report.excerpt())
    got = calls_of_short(report, process.pid)
    check(got == 1000, f"{got} calls of short(), 1000 were made")


@over("debian-3.11", "debian-3.14")
def test_exec_into_python_while_tracing(lab, py):
    """A shell that becomes Python after the tracer is attached."""
    group = Group(lab)
    keeper = lab.target(interpreter("debian-3.9"), "greedy.py", 1000, prefix=group.prefix)
    argv, _ = lab.command(py, "briefly.py", 1000, 1.0)
    shell = lab.start(
        [*group.prefix, "sh", "-c", 'read line; exec "$@"', "sh", *argv], env=target_environment()
    )
    tracer = trace_group(lab, group)
    shell.write("go\n")
    check(shell.wait() == 0, "briefly.py failed")
    keeper.release().result()
    report = tracer.stop().report()
    lab.note(report.excerpt())
    got = calls_of_short(report, shell.pid)
    check(got == 1000, f"{got} calls of short(), 1000 were made")


@alone
def test_short_lived_processes_leave_their_numbers(lab):
    py = interpreter("debian-3.13")
    keeper = lab.target(py, "greedy.py", 1000)
    tracer = lab.tracer("--all-python", "--format", "json").attached()
    argv, _ = lab.command(py, "briefly.py", 100)
    started = []
    for _ in range(20):
        process = lab.start(argv, env=target_environment())
        started.append(process.pid)
        process.wait()
    keeper.release().result()
    report = tracer.stop().report()
    known = {p["tgid"] for p in report["processes"]}
    missing = [tgid for tgid in started if tgid not in known]
    check(not missing, f"{len(missing)} of {len(started)} are not in processes[]: {missing}")
    calls = {tgid: calls_of_short(report, tgid) for tgid in started}
    wrong = [f"{tgid}: {n}" for tgid, n in calls.items() if n != 100]
    check_none(wrong, "calls of short() in processes that have ended; 100 were made")


def test_cgroup_and_exclude(lab):
    """--cgroup takes one group of two, --exclude leaves one of two out."""
    py = interpreter("debian-3.13")
    groups = [Group(lab, "-one"), Group(lab, "-two")]
    targets = [lab.target(py, "greedy.py", 2000, prefix=g.prefix) for g in groups]
    tracer = trace_group(lab, groups[0])
    calls = [t.release().result()["calls"] for t in targets]
    report = tracer.stop().report()
    got = [report.calls(t, "small") for t in targets]
    check(got == [calls[0], 0], f"--cgroup *-one: calls {got}, made {calls}")
    tgids = [p["tgid"] for p in report["processes"]]
    check(tgids == [targets[0].tgid], f"--cgroup *-one: processes {tgids}")

    inside, _ = copied_binary(lab, py, "unwanted")
    both = Group(lab, "-both")
    wanted = lab.target(py, "greedy.py", 2000, prefix=both.prefix)
    unwanted = lab.target(py, "greedy.py", 2000, prefix=both.prefix, exe=inside)
    tracer = trace_group(lab, both, "--exclude", "*unwanted*")
    calls = wanted.release().result()["calls"]
    unwanted.release().result()
    report = tracer.stop().report()
    lab.note(report.excerpt())
    check(report.calls(wanted, "small") == calls, "calls of the wanted one differ")
    tgids = [p["tgid"] for p in report["processes"]]
    check(tgids == [wanted.tgid], f"--exclude: processes {tgids}, wanted {wanted.tgid}")


def test_user(lab):
    """--user takes the processes of one user."""
    py = interpreter("debian-3.13")
    group = Group(lab)
    as_nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]
    mine = lab.target(py, "greedy.py", 2000, prefix=group.prefix)
    host = host_python()
    theirs = lab.target(host, "greedy.py", 2000, prefix=[*group.prefix, *as_nobody])
    tracer = trace_group(lab, group, "--user", "nobody")
    calls = [t.release().result()["calls"] for t in (mine, theirs)]
    report = tracer.stop().report()
    lab.note(report.excerpt())
    got = [report.calls(t, "small") for t in (mine, theirs)]
    check(got == [0, calls[1]], f"calls {got}, made {calls}")


@timing
def test_all_python_attaches_within_two_seconds(lab):
    """With several builds here, and the tests' own interpreter among them."""
    targets = [lab.target(interpreter(name), "greedy.py", 1000) for name in DEBIAN]
    tracer = lab.tracer("--all-python", "--format", "json").attached()
    check(tracer.attach_seconds < 2.5, f"attached after {tracer.attach_seconds:.1f} s")
    calls = [t.release().result()["calls"] for t in targets]
    report = tracer.stop().report()
    got = [report.calls(t, "small") for t in targets]
    check(got == calls, f"calls {got}, made {calls}")
    own = [p["tgid"] for p in report["processes"]]
    check(os.getpid() in own, "the tests' own interpreter is not in processes[]")
