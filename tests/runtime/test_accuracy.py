# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A few of the real programs that tests/accuracy compares with cProfile, function by function."""
import accuracy
from harness import check_none, limit, over

LIMIT = 240  # what is not in the cache yet is downloaded


def run_and_judge(lab, py, name):
    runs = accuracy.Runs(lab, py, name)
    differences, _ = accuracy.judge(runs, accuracy.explanations())
    told = f"{len(differences)} of {len(runs.truth)} functions differ; losses {runs.losses}"
    check_none(accuracy.rows(differences[:40]), told)


@limit(LIMIT)
@over("debian-3.9", "debian-3.13")
def test_jinja2(lab, py):
    run_and_judge(lab, py, "jinja2")


@limit(LIMIT)
@over("debian-3.11", "debian-3.14")
def test_mistune(lab, py):
    run_and_judge(lab, py, "mistune")


@limit(LIMIT)
@over("debian-3.15")
def test_markdown(lab, py):
    run_and_judge(lab, py, "markdown")


@limit(LIMIT)
@over("debian-3.11", "debian-3.14")
def test_pyflakes(lab, py):
    run_and_judge(lab, py, "pyflakes")


@limit(LIMIT)
@over("debian-3.13", "debian-3.15")
def test_pyyaml(lab, py):
    run_and_judge(lab, py, "pyyaml")
