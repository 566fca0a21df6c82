# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Greenlets: calls are right, and last as long as they do, though stacks are switched under them."""
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

from harness import Skipped, brief, check_none, limit, near, over, short

CACHE = pathlib.Path(os.environ.get("PYTRACE_TEST_CACHE") or "/var/cache/pytrace-bpf-tests")
VERSION = "3.2.4"
FIGURES = ("calls", "segments", "exceptions", "ended_unseen")


def pip():
    """Some pip of this machine; which Python it belongs to does not matter."""
    pyenv = sorted(pathlib.Path("/root/.pyenv/versions").glob("3.*/bin/python"))
    for python in (sys.executable, "/usr/bin/python3", *pyenv):
        argv = [str(python), "-m", "pip"]
        try:
            out = subprocess.run([*argv, "--version"], capture_output=True)
        except OSError:
            continue
        if out.returncode == 0:
            return argv
    raise Skipped("no pip on this machine to get greenlet with")


def greenlet_for(py):
    """A folder with the greenlet package for that version, from PyPI, kept in the cache."""
    folder = CACHE / "wheels" / f"greenlet-{VERSION}-3.{py.minor}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder
        new = folder.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        argv = [*pip(), "download", "-q", "--no-cache-dir", "--no-deps", "--only-binary=:all:"]
        argv += ["--python-version", f"3.{py.minor}", "--dest", str(new), f"greenlet=={VERSION}"]
        out = subprocess.run(argv, capture_output=True, text=True, timeout=40)
        wheels = list(new.glob("*.whl"))
        if out.returncode or not wheels:
            raise Skipped(f"greenlet {VERSION} for 3.{py.minor}: {out.stderr.strip()[-200:]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(new)
        wheels[0].unlink()
        new.rename(folder)
    return folder


def libraries_for(py, ours, inside):
    """The C++ libraries greenlet needs, ours if its file system has none: what env must be told."""
    if not py.root or list(pathlib.Path(py.root).glob("usr/lib/*/libstdc++.so.6")):
        return []
    (ours / "lib").mkdir()
    for name in ("libstdc++.so.6", "libgcc_s.so.1"):
        found = [p for p in pathlib.Path("/").glob(f"usr/lib/x86_64-linux-gnu/{name}")]
        if not found:
            raise Skipped(f"{name} is neither in {py.root} nor on this machine")
        shutil.copyfile(found[0], ours / "lib" / name)
    return ["env", f"LD_LIBRARY_PATH={inside / 'lib'}"]


@limit(90)
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "pyenv-3.12", "pyenv-3.13")
def test_switches_in_the_middle_of_calls(lab, py):
    package = greenlet_for(py)
    inside, ours = lab.folder_in(py)
    shutil.copytree(package / "greenlet", ours / "greenlet")
    target = lab.target(py, "greenlets.py", prefix=libraries_for(py, ours, inside))
    told, report = lab.run(target)
    functions = {short(f["function"]): f for f in report.functions_of(target)}
    problems = []
    for name, wanted in sorted(told["truth"].items()):
        f = functions.get(name, {})
        got = [f.get(k, 0) for k in FIGURES]
        if got != wanted:
            told_apart = zip(FIGURES, wanted, got)
            what = ", ".join(f"{k} {w} got {g}" for k, w, g in told_apart if w != g)
            problems.append(f"{name}(): expected {what}")
    for name, seconds in told["seconds"].items():
        f = functions.get(name)
        # its own stamps have our probes in them, and what is around them: some microseconds a call
        told_seconds = f["wall_seconds"]["sum"] + f["probe_seconds"] if f else 0
        if not f or not near(told_seconds, seconds, 0.1, 2e-5 * f["calls"]):
            shown = brief(f) if f else "nothing"
            problems.append(f"{name}(): expected {seconds:.6f} s in all, got {shown}")
    # GreenletExit is swallowed by C; who is preempted in the middle of a switch has half a stack
    harmless = ("began_before", "ended_unseen", "stack_mismatch")
    harmless += ("unreadable_memory", "string_truncated")
    lost = {k: v for k, v in report["losses"].items() if v and k not in harmless}
    if lost:
        problems.append(f"expected no losses, got {lost}")
    check_none(problems, f"losses {report['losses']}")
