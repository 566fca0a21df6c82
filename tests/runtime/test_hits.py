# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What calls cost in probe hits: two, and nothing for what a program does not do. The kernel counts."""
import json
import pathlib
import shutil
import subprocess

from harness import Skipped, alone, check, check_none, over

STATS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
PROGRAM = "call_site"
FEW, MANY = 2000, 12000  # the difference is free of what is done whatever the number

# Hits of one more of each kind: what is exact, and at most. (What tells of an exception hits once in
# each frame it leaves and in the one that catches it, and where a specialised opcode gives up.)
EXACT = {"calls": 2, "segments": 2}
AT_MOST = {"exceptions": 6, "throws": 6}


def count_runs(lab):
    """Have the kernel count the runs of programs, until the test is over."""
    before = STATS.read_text()
    lab.undo.append(lambda: STATS.write_text(before))
    STATS.write_text("1")


def run_counts(tracer):
    """{prog_id: runs} of what the tracer has open."""
    found = {}
    for path in pathlib.Path(f"/proc/{tracer.pid}/fdinfo").iterdir():
        try:
            text = path.read_text()
        except OSError:
            continue  # closed meanwhile
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "run_cnt" in fields:
            found[int(fields["prog_id"])] = int(fields["run_cnt"])
    return found


def program_id(tracer):
    for number in run_counts(tracer):
        argv = ["bpftool", "--json", "prog", "show", "id", str(number)]
        out = subprocess.run(argv, stdout=subprocess.PIPE, check=True, timeout=10)
        if json.loads(out.stdout)["name"] == PROGRAM:
            return number
    check(False, f"the tracer has no program {PROGRAM}")


def do(target, kind, n):
    said = len(target.out.lines)
    target.write(f"{kind} {n}\n")
    with target.out.changed:
        target.out.changed.wait_for(lambda: len(target.out.lines) > said, 10)
    check(target.out.lines[said:] == ["did"], f"{kind} {n}: {target.out.lines[said:]}")


def runs_of(tracer, number, target, kind, n):
    """Of three times the fewest: now and then the kernel runs it for something else as well."""
    runs = []
    for _ in range(3):
        before = run_counts(tracer)[number]
        do(target, kind, n)
        runs.append(run_counts(tracer)[number] - before)
    return min(runs)


@alone
@over("debian-3.9", "pyenv-3.10", "debian-3.11", "debian-3.14")
def test_hits_of_each_kind(lab, py):
    if not shutil.which("bpftool"):
        raise Skipped("bpftool, which knows programs' names, is not installed")
    count_runs(lab)
    target = lab.target(py, "hits.py")
    tracer = lab.trace(target)
    number = program_id(tracer)
    target.release()
    problems = []
    got = {}
    for kind in (*EXACT, *AT_MOST):
        do(target, kind, FEW)  # the interpreter specialises what runs often
        few, many = (runs_of(tracer, number, target, kind, n) for n in (FEW, MANY))
        got[kind] = (many - few) / (MANY - FEW)
    target.write("over\n")
    report = tracer.report()
    for kind, hits in EXACT.items():
        if got[kind] != hits:
            problems.append(f"{kind}: {got[kind]} hits each, expected {hits}")
    for kind, hits in AT_MOST.items():
        if not 2 <= got[kind] <= hits:
            problems.append(f"{kind}: {got[kind]} hits each, expected 2 to {hits}")
    made = report.calls(target, "leaf")
    if made != FEW + 3 * (FEW + MANY):
        problems.append(f"leaf(): {made} calls, {FEW + 3 * (FEW + MANY)} were made")
    check_none(problems, f"by {report.process(target.tgid)['calls_method']}")
