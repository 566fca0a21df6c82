# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Starting targets and tracers for the runtime tests, and taking them away again.

A test is a function `test_*` that takes a Lab, and a Python if it is declared with @over(). It
fails by raising; tests/run shows the message and what the Lab knows of every process in it.
Whatever a Lab starts dies with it (and with the runner), by process id; every wait has a limit.
"""
import functools
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from outcome import Failed, Skipped, check, check_none
from report import Report, brief, near, parse_report, quantile, short

TREE = pathlib.Path(__file__).resolve().parents[2]
TARGETS = TREE / "tests/targets"
PROGRAM = os.path.abspath(os.environ.get("PYTRACE_BPF") or TREE / "pytrace-bpf")

ATTACHED = "pytrace-bpf: attached"
# what tests import from here
__all__ = """
    DEBIAN END_TIMEOUT NO_GIL PROGRAM PYENV Failed Lab Process Python Report Skipped Target Tracer alone brief
    check check_none children_of host_python interpreter interpreter_entries limit near over
    parse_report quantile short target_environment thread_runq_ns thread_runtime_ns timing wait_until
""".split()

START_TIMEOUT = 20  # for an interpreter to come up, or the tracer to attach, on a busy machine
END_TIMEOUT = 30

DEBIAN = ("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "debian-3.15")
NO_GIL = ("built-3.13t", "built-3.14t")
PYENV = ("pyenv-3.8", "pyenv-3.9", "pyenv-3.10", "pyenv-3.11", "pyenv-3.12", "pyenv-3.13")


def over(*names):
    """Run the test once for each interpreter, given by name ("debian-3.13", "pyenv-3.12")."""

    def declare(test):
        test.interpreters = names
        return test

    return declare


def alone(test):
    """Nothing else may run beside the test."""
    test.alone = True
    return test


def timing(test):
    """What the test measures can be disturbed: it runs alone, and may be tried again."""
    test.retries = 2
    return alone(test)


def watching(test):
    """In virtual machines a watchpoint's trap may come without its reason, so the test again."""
    test.retries = 2
    return test


def limit(seconds):
    """The test may take that long (default: see tests/run)."""

    def declare(test):
        test.limit = seconds
        return test

    return declare


# --- interpreters


class Python:
    """One real CPython, maybe in a chroot."""

    def __init__(self, entry):
        self.name = entry["name"]
        self.version = entry["version"]
        self.minor = int(entry["major_minor"].split(".")[1])
        self.root = entry["root"]
        self.built = entry.get("kind") == "built"  # and runs where it was
        self.exe = entry["exe"]
        self.argv = entry["argv"]

    def host_path(self, inside):
        """Where a path of its own file system is in ours."""
        return pathlib.Path((self.root or "") + str(inside))

    def argv_of(self, exe):
        """How to start another binary in the same file system."""
        return [*self.argv[:-1], str(exe)]


@functools.lru_cache(maxsize=None)
def interpreter_entries():
    out = subprocess.run(
        [TREE / "tests/interpreters", "list"], stdout=subprocess.PIPE, check=True, timeout=120
    )
    return json.loads(out.stdout)


def interpreter(name):
    """The interpreter of that name; "pyenv-3.12" is whichever 3.12 pyenv has."""
    reason, optional = "not on this machine", name.startswith("pyenv")
    for entry in interpreter_entries():
        if name in (entry["name"], f"{entry['kind']}-{entry['major_minor']}"):
            if "argv" in entry:
                return Python(entry)
            reason, optional = entry["unusable"], optional or entry.get("optional")
    if optional:
        raise Skipped(f"{name}: {reason}")
    raise Failed(f"{name}: {reason} (tests/interpreters fetch)")


def host_python():
    """Debian's own python3, the one the tests run on."""
    version = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    exe = f"/usr/bin/python{version}"
    return Python(
        {
            "name": f"host-{version}",
            "version": version,
            "major_minor": version,
            "root": None,
            "exe": exe,
            "argv": [exe],
        }
    )


# --- processes


class Lines:
    """The lines of a pipe, read as they come by a thread of its own."""

    def __init__(self, stream):
        self.lines = []
        self.changed = threading.Condition()
        self.over = False
        self.thread = threading.Thread(target=self.read, args=(stream,), daemon=True)
        self.thread.start()

    def read(self, stream):
        with stream:
            for line in stream:
                with self.changed:
                    self.lines.append(line.decode(errors="replace").rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def find(self, prefix, timeout):
        """The first line that starts with prefix, or None once it cannot come any more."""
        seen = 0
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                for line in self.lines[seen:]:
                    if line.startswith(prefix):
                        return line
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if self.over or left <= 0:
                    return None
                self.changed.wait(left)

    def text(self):
        self.thread.join(5)
        with self.changed:
            return "\n".join(self.lines)


class Process:
    """A process with its three pipes. Ends when the runner does."""

    def __init__(self, argv, **kw):
        self.argv = [str(a) for a in argv]
        self.started = time.monotonic()
        self.popen = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *self.argv],
            stdin=subprocess.PIPE,
            stdout=kw.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            start_new_session=True,
            **kw,
        )
        self.pid = self.popen.pid
        self.out = Lines(self.popen.stdout) if self.popen.stdout else None
        self.err = Lines(self.popen.stderr)

    @property
    def code(self):
        """
        Its exit status, None while it runs. It stays a zombie until kill(): so its number, which is
        its group's too, cannot become somebody else's before that.
        """
        if self.popen.returncode is not None:
            return self.popen.returncode
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if not ended:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def signal(self, number):
        os.kill(self.pid, number)

    def ends_within(self, seconds):
        deadline = time.monotonic() + seconds
        while self.code is None and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.code is not None

    def write(self, text):
        try:
            self.popen.stdin.write(text.encode())
            self.popen.stdin.flush()
        except BrokenPipeError:
            pass  # it ended; whoever waits for it says so

    def wait(self, timeout=END_TIMEOUT):
        check(self.ends_within(timeout), f"still running after {timeout} s: {' '.join(self.argv)}")
        return self.code

    def kill(self):
        """End it and what it started in its session; nobody else is in there."""
        if self.popen.returncode is not None:
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait(10)
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if pipe:
                try:
                    pipe.close()
                except OSError:
                    pass

    def describe(self):
        state = "running" if self.code is None else f"exit status {self.code}"
        lines = [f"$ {' '.join(self.argv)}   [pid {self.pid}, {state}]"]
        for name, stream in (("stderr", self.err), ("stdout", self.out)):
            with stream.changed if stream else threading.Lock():
                last = [line[:400] for line in stream.lines[-15:]] if stream else []
            lines += [f"    {name}: {line}" for line in last]
        if self.code is None:
            lines += [f"    {line}" for line in where_it_is(self.pid)]
        return "\n".join(lines)


class Target(Process):
    """A script of tests/targets: it says "ready", waits to be released, works, prints its truth."""

    def __init__(self, argv, script, **kw):
        super().__init__(argv, **kw)
        self.script = script  # its path as the target itself knows it: co_filename
        self.tgid = self.pid  # as seen from here

    def ready(self):
        line = self.out.find("ready", START_TIMEOUT)
        check(line, "the target did not come up")
        _, own_pid, more = line.split(" ", 2)
        self.own_pid = int(own_pid)
        self.told = json.loads(more)
        return self

    def release(self):
        self.write("go\n")
        return self

    def result(self, timeout=END_TIMEOUT):
        """What the target itself found out, once it is done."""
        line = self.out.find("result ", timeout)
        check(line, "the target ended without its result")
        return json.loads(line[len("result ") :])


class Tracer(Process):
    def __init__(self, args, program=PROGRAM, prefix=(), **kw):
        super().__init__([*prefix, program, *args], **kw)

    def attached(self, timeout=START_TIMEOUT):
        line = self.err.find(ATTACHED, timeout)
        if not line and self.err.over:
            raise Failed(f"the tracer ended before it was attached, exit status {self.wait(5)}")
        check(line, f"the tracer did not say within {timeout} s that it is attached")
        self.attach_seconds = time.monotonic() - self.started
        return self

    def finish(self, code=0, timeout=END_TIMEOUT):
        """Wait for its end, which must have that exit status."""
        got = self.wait(timeout)
        check(got == code, f"the tracer's exit status is {got}, not {code}")
        return self

    def wait(self, timeout=END_TIMEOUT):
        if not self.ends_within(timeout):
            raise Failed(f"the tracer still runs after {timeout} s; {self.last_words()}")
        return self.code

    def last_words(self):
        """Interrupt a tracer that does not end: what it then says it was waiting for."""
        self.signal(signal.SIGINT)
        if not self.ends_within(3):
            return "and does not end at SIGINT either"
        try:
            report = json.loads(self.out.text())
            tgids = [(p["tgid"], p["comm"]) for p in report["processes"]]
            return f"interrupted, it reports on {tgids}, losses {report['losses']}"
        except (ValueError, KeyError, AttributeError) as e:
            return f"interrupted, it ends ({type(e).__name__} in its report)"

    def stop(self, number=signal.SIGINT, **kw):
        self.signal(number)
        return self.finish(**kw)

    def report(self, **kw):
        """Wait for its end and read the one report it wrote."""
        self.finish(**kw)
        return parse_report(self.out.text())

    def reports(self, **kw):
        """The same with -i: one report a line."""
        self.finish(**kw)
        lines = self.out.text().splitlines()
        check(lines, "no report on standard output")
        return [parse_report(line) for line in lines]


# --- the lab


class Lab:
    """Everything one test has going. Leaving it ends and removes all of it."""

    numbers = itertools.count(1)

    def __init__(self):
        self.processes = []
        self.folders = []
        self.undo = []  # further things to take back, last first
        self.notes = []
        self.name = f"pytrace-test-{os.getpid()}-{next(self.numbers)}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=self.name + "-", dir="/tmp"))
        self.dir.chmod(0o755)
        self.folders.append(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in reversed(self.processes):
            process.kill()
        for undo in reversed(self.undo):
            undo()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def note(self, text):
        """Something to show if the test fails."""
        self.notes.append(str(text))

    def describe(self):
        return "\n".join([p.describe() for p in self.processes] + self.notes)

    def start(self, argv, **kw):
        process = Process(argv, **kw)
        self.processes.append(process)
        return process

    def folder_in(self, py):
        """A folder for this test in the interpreter's file system: (its path inside, ours)."""
        inside = pathlib.Path("/tmp") / self.name
        ours = py.host_path(inside)
        if not ours.exists():
            shutil.copytree(TARGETS, ours, ignore=shutil.ignore_patterns("__pycache__"))
            ours.chmod(0o755)
            self.folders.append(ours)
        return inside, ours

    def own_copy(self, py):
        """
        (path inside, environment) of a binary and library that nobody else runs: where a stranger
        runs the same one, a forked child's first calls may be missed.
        """
        inside, ours = self.folder_in(py)
        exe = py.host_path(py.exe)
        if not (ours / "own").exists():
            shutil.copy2(exe, ours / "own")
        if py.built:  # it knows what is its own by what lies beside it
            for name in ("Lib", "build", "pybuilddir.txt"):
                if not (ours / name).exists():
                    (ours / name).symlink_to(exe.parent / name)
            return inside / "own", {}
        env = {"PYTHONHOME": os.path.dirname(os.path.dirname(py.exe))}
        for library in (exe.parent.parent / "lib").glob(f"libpython3.{py.minor}.so.1.0"):
            if not py.root:
                shutil.copy2(library, ours / library.name)
                env["LD_LIBRARY_PATH"] = str(inside)
        return inside / "own", env

    def command(self, py, script, *args, exe=None):
        """(argv, path of the script inside) to run a target under an interpreter."""
        inside, _ = self.folder_in(py)
        argv = py.argv_of(exe) if exe else py.argv
        return [*argv, str(inside / script), *map(str, args)], str(inside / script)

    def cprofiled(self, py, script, section, timeout):
        """What a section of a target's work comes to under cProfile, in a run of its own."""
        argv, _ = self.command(py, script, "--cprofile", section)
        out = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=timeout,
            env=target_environment(),
        )
        line = out.stdout.splitlines()[-1] if out.stdout else ""
        check(line.startswith("result "), f"{section} under cProfile failed: {out.stderr[-1000:]}")
        return json.loads(line[len("result ") :])

    def target(self, py, script, *args, exe=None, prefix=(), **kw):
        """Start a target and wait until it says that it is ready."""
        argv, path = self.command(py, script, *args, exe=exe)
        target = Target([*prefix, *argv], path, env=target_environment(), **kw)
        self.processes.append(target)
        return target.ready()

    def tracer(self, *args, exact=True, **kw):
        """Start the tracer, without waiting for it. Every call is probed, unless said otherwise."""
        traces = {"-p", "-c", "--all-python"} & set(args) and "dump" not in args
        if exact and traces and not {"--overhead", "--exact"} & set(args):
            args = (*args, "--exact")
        check(os.access(kw.get("program", PROGRAM), os.X_OK), f"{PROGRAM} is not there: run make")
        tracer = Tracer([str(a) for a in args], **kw)
        self.processes.append(tracer)
        return tracer

    def trace(self, target, *args, **kw):
        """A tracer attached to a target that is not released yet."""
        return self.tracer("-p", target.tgid, "--format", "json", *args, **kw).attached()

    def run(self, target, *args, timeout=END_TIMEOUT, **kw):
        """Trace a target from before its work to its end: (its own result, the report)."""
        tracer = self.trace(target, *args, **kw)
        target.release()
        result = target.result(timeout)
        report = tracer.report()
        self.note(report.excerpt())
        return result, report

    def refused(self, code, *args, timeout=10, **kw):
        """The tracer must refuse, with that exit status and one line that says why. The line."""
        tracer = self.tracer(*args, **kw).finish(code=code, timeout=timeout)
        lines = [line for line in tracer.err.text().splitlines() if line.strip()]
        check(len(lines) == 1, f"one line of explanation expected, got {len(lines)}: {lines}")
        check(lines[0].startswith("pytrace-bpf: "), f"not prefixed by the program: {lines[0]!r}")
        return lines[0]

    def listed(self):
        """{tgid: line} of `pytrace-bpf list`."""
        tracer = self.tracer("list").finish()
        found = {}
        for line in tracer.out.text().splitlines():
            first = re.match(r"\s*(\d+)\s", line)
            if first:
                found[int(first[1])] = line
        return found

    def listed_json(self):
        """{tgid: entry} of `pytrace-bpf list --format json`."""
        tracer = self.tracer("list", "--format", "json").finish()
        return {p["tgid"]: p for p in json.loads(tracer.out.text())["processes"]}


def target_environment():
    """The machine's own Python settings must not reach the targets."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return dict(env, PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8")


def where_it_is(pid):
    """What each thread of a process that goes on is doing: for one that should have ended."""
    lines = []
    for task in sorted(pathlib.Path(f"/proc/{pid}/task").glob("*")):
        try:
            state = (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
            call, where = (task / "syscall").read_text(), (task / "wchan").read_text()
            lines.append(f"thread {task.name}: {state} in {where}, syscall {call.strip()[:60]}")
        except OSError as e:
            lines.append(f"thread {task.name}: {e.strerror}")
    for child in children_of(pid):
        lines.append(f"child {child}:")
        lines += [f"    {line}" for line in where_it_is(child)]
    return lines


def children_of(pid):
    """The processes whose parent is pid."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == pid:
            found.append(int(folder.name))
    return found


def thread_runtime_ns(tgid, tid):
    """How long the kernel says that thread has run."""
    return int(pathlib.Path(f"/proc/{tgid}/task/{tid}/schedstat").read_text().split()[0])


def thread_runq_ns(tgid, tid):
    """How long the kernel says that thread was ready to run and did not."""
    return int(pathlib.Path(f"/proc/{tgid}/task/{tid}/schedstat").read_text().split()[1])


def wait_until(condition, timeout, what):
    deadline = time.monotonic() + timeout
    while not condition():
        check(time.monotonic() < deadline, f"{what}: not within {timeout} s")
        time.sleep(0.02)
