# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Every way a call ends, mixed at random in 20 threads, against the program's own counts.

Four seconds with one seed; tests/bench/stress does it for longer and with more seeds.
"""
from harness import check_none, limit, over
from stress_check import stress

SECONDS = 4
THREADS = 20
SEED = 1
LEFT_OUT = {  # what CPython itself does not survive in this mix
    "built-3.13t": ["-forks"],  # children wait for ever for what other threads had locked
    "debug-3.13": ["-greenlets"],  # which trip its assertions where something is instrumented
}
LIMIT = 150  # greenlet may have to be downloaded


def run(lab, py, *more):
    more = [*more, *LEFT_OUT.get(py.name, ())]
    calls, processes, problems = stress(lab, py, SEED, SECONDS, THREADS, *more)
    told = f"{len(problems)} figures differ after {calls} calls in {processes} processes"
    check_none(problems, told)


@limit(LIMIT)
@over("debian-3.9", "debian-3.13", "debian-3.15", "pyenv-3.12", "pyenv-3.8", "built-3.13t")
def test_all_endings_at_random(lab, py):
    run(lab, py)


@limit(LIMIT)
@over("debian-3.11", "pyenv-3.10")
def test_attached_in_the_middle(lab, py):
    run(lab, py, "late")


@limit(LIMIT)
@over("debian-3.14", "debug-3.13")
def test_hard_endings_at_random(lab, py):
    run(lab, py, "hard")
