# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Every way a call ends, mixed at random in 20 threads, against the program's own counts.

Four seconds with one seed; tests/bench/stress does it for longer and with more seeds.
"""
from harness import check_none, limit, over
from stress_check import stress

SECONDS = 4
THREADS = 20
SEED = 1


@limit(60)
@over("debian-3.9", "debian-3.14", "pyenv-3.12")
def test_uninstrumented_at_random(lab, py):
    """All but what switches on the interpreter's own tracing."""
    actions = """
        catches catches_rethrown suppresses generators closes throws drops delegates awaits
        async_ends callbacks dies comprehends makes_code new_thread deep
    """.split()
    calls, problems = stress(lab, py, SEED, SECONDS, THREADS, *actions)
    check_none(problems, f"{len(problems)} figures differ after {calls} calls")


@limit(60)
@over("debian-3.11", "debian-3.13", "debian-3.14")
def test_all_endings_at_random(lab, py):
    calls, problems = stress(lab, py, SEED, SECONDS, THREADS)
    check_none(problems, f"{len(problems)} figures differ after {calls} calls")


@limit(60)
@over("debian-3.14")
def test_hard_endings_at_random(lab, py):
    calls, problems = stress(lab, py, SEED, SECONDS, THREADS, "hard")
    check_none(problems, f"{len(problems)} figures differ after {calls} calls")
