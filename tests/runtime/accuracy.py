# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Real programs twice: under cProfile and traced, every function's count compared.

An explanation in tests/accuracy.explained is the only way to pass with a difference.
"""
import collections
import fnmatch
import os
import pathlib
import re
import shutil
import sys

import packages
from harness import TARGETS, TREE, Failed, Target, check, target_environment

sys.path.insert(0, str(TARGETS))

from accuracy_programs import PROGRAMS  # noqa: E402

EXPLAINED = TREE / "tests/accuracy.explained"

# Names and paths are cut there; see bounds.h
NAME_BYTES, FILE_BYTES = 192, 320

# --- runs


class Runs:
    """One program, or script, on one interpreter: twice or more under cProfile, once traced."""

    def __init__(self, lab, py, name, timeout=120):
        self.lab, self.py, self.name, self.timeout = lab, py, name, timeout
        self.plain = set()
        script = name not in PROGRAMS
        self.path = packages.install(py, () if script else PROGRAMS[name].needs)
        if script:
            inside, ours = lab.folder_in(py)
            shutil.copy(name, ours / "script.py")
            self.name = inside / "script.py"
        oracles = [self.start("--cprofile"), self.start("--cprofile")]
        target = self.start("--watched").ready()
        self.truths = [self.oracle(process) for process in oracles]
        self.truth = self.truths[0]
        tracer = lab.trace(target, "--functions", 65536)
        self.seconds = -os.times().elapsed
        target.release()
        result = target.result(timeout)
        self.seconds += os.times().elapsed
        check(result == "done", f"{name} failed when traced")
        report = tracer.report()
        process = report.process(target.tgid)
        check(process["calls_method"] != "none", f"calls_method is none: {process['reason']}")
        self.losses = {k: v for k, v in report["losses"].items() if v}
        self.traced = collections.Counter()
        self.unseen_ends = 0  # of plain functions, whose calls end while their caller goes on
        for f in report["functions"]:
            if f["tgid"] == target.tgid and f["segments"]:
                key = label(f["file"], f["function"], f["line"])
                self.traced[key] += f["segments"]
                self.unseen_ends += f["ended_unseen"] if key in self.plain else 0
        if self.differences():  # ours, or does the program vary with its addresses?
            for _ in range(3):
                more = [self.start("--displace"), self.start("--displace")]
                self.truths += [self.oracle(process) for process in more]

    def start(self, *args):
        inside, ours = self.lab.folder_in(self.py)
        # each run has a folder of its own, with a name of the same length
        scratch = f"scratch{sum(isinstance(p, Target) for p in self.lab.processes):02}"
        (ours / scratch).mkdir()
        args = [*args, inside / scratch, self.name]
        argv, path = self.lab.command(self.py, "accuracy_run.py", *args)
        env = dict(target_environment(), PYTHONPATH=self.path, PYTHONHASHSEED="0", TERM="dumb",
                   HOME="/tmp", COLUMNS="80")  # fmt: skip
        # the same addresses in each run, for they decide the order in sets of what hashes by them
        target = Target(["setarch", "-R", *argv], path, env=env)
        self.lab.processes.append(target)
        return target

    def oracle(self, target):
        result = target.result(self.timeout)
        check(result != "failed", f"{self.name} failed under cProfile")
        rows, self.closes = result
        counts = collections.Counter()
        for file, name, line, n, plain in rows:
            counts[label(file, name, line)] += n
            if plain:
                self.plain.add(label(file, name, line))
        return counts

    @property
    def calls(self):
        return sum(self.truth.values())

    def varying(self):
        """Functions whose count is not the same in all runs under cProfile."""
        labels = set().union(*self.truths)
        return {k for k in labels if any(truth[k] != self.truth[k] for truth in self.truths)}

    def differences(self):
        """[(label, cProfile, traced)] of the functions that do not vary."""
        labels = (self.truth.keys() | self.traced.keys()) - self.varying()
        return [
            (k, self.truth[k], self.traced[k])
            for k in sorted(labels)
            if self.truth[k] != self.traced[k]
        ]


def label(file, name, line):
    """What a function is known by in both runs."""
    file = re.sub(r"/scratch\d\d/", "/scratch/", file)
    return cut(file, FILE_BYTES), cut(name, NAME_BYTES), line


def cut(text, size):
    return text.encode("utf-8", "surrogateescape")[: size - 1].decode("utf-8", "replace")


# --- explanations


class Explanation:
    def __init__(self, line):
        parts = [part.strip() for part in line.split("|")]
        check(len(parts) == 4 and all(parts), f"{EXPLAINED.name}: not four parts: {line}")
        self.program, self.version, self.function, self.why = parts
        self.used = False

    def explains(self, program, version, label):
        file, name, _ = label
        self_says = (
            fnmatch.fnmatchcase(program, self.program)
            and fnmatch.fnmatchcase(version, self.version)
            and fnmatch.fnmatchcase(f"{os.path.basename(file)}:{name}", self.function)
        )
        self.used |= self_says
        return self_says


def explanations():
    lines = EXPLAINED.read_text().splitlines()
    return [Explanation(line) for line in lines if line.strip() and not line.startswith("#")]


def judge(runs, known):
    """(differences nobody explained, number of explained ones)"""
    open_ones, explained = [], 0
    for difference in runs.differences():
        # each is asked, so that it is known which are of no use any more
        if any([e.explains(runs.name, runs.py.name, difference[0]) for e in known]):
            explained += 1
        else:
            open_ones.append(difference)
    return open_ones, explained


def rows(differences):
    return [
        f"{name:44} {os.path.basename(file)}:{line}  cProfile {want}  traced {got}"
        for (file, name, line), want, got in differences
    ]
