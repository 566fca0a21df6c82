# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Runs a command that is no Python, again and again.

    commands.py COUNT COMMAND

The last one is run by fork() and exec(), with Python between the two.
"""
import subprocess
import sys

import target


def run(command):
    subprocess.run([command], check=True)


def before_exec():
    return None


def run_forked(command):
    subprocess.run([command], check=True, preexec_fn=before_exec)


def main():
    target.ready()
    for _ in range(int(sys.argv[1]) - 1):
        run(sys.argv[2])
    run_forked(sys.argv[2])
    target.done(None)


if __name__ == "__main__":
    main()
