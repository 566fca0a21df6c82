# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""How a test tells what came of it."""


class Failed(AssertionError):
    """The test failed; the message says why, with the figures."""


class Skipped(Exception):
    """The test cannot run here; the message says why."""


def check(condition, message):
    if not condition:
        raise Failed(message)


def check_none(problems, headline="problems"):
    """Fail with all of them at once: one run should tell everything it found."""
    problems = list(problems)
    if problems:
        raise Failed(f"{headline}:\n" + "\n".join(f"  {p}" for p in problems))
