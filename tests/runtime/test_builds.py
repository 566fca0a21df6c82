# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""However CPython was built and whatever program it is in: calls are exact, or refused with the reason."""
from harness import check, check_none, limit, over
from test_counts import call_problems, run_and_compare

DEBUG = ("debug-3.9", "debug-3.11", "debug-3.13", "debug-3.14")

SECTIONS = ("calls", "throw", "abandon", "limits")


def check_counts(lab, py, sections=SECTIONS):
    """Every function's segments are cProfile's ncalls; the last report."""
    for section in sections:
        target, report = run_and_compare(lab, py, section)
        if section == "calls":
            check_none(call_problems(report, target), f"losses {report['losses']}")
    return report


@limit(120)
@over(*DEBUG)
def test_debug_builds(lab, py):
    """Py_DEBUG, -Og: structs, frames and handlers of their own shapes."""
    report = check_counts(lab, py)
    reasons = [p["reason"] for p in report["processes"]]
    check(reasons == [None], f"something is missing: {reasons}")
