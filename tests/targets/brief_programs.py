# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Children that become Python programs which are over at once.

    brief_programs.py

Tells which (one that nobody has waited for yet, one that is gone) and how often each called
in_new_program(), and waits for another line.
"""
import json
import os
import sys

import target

CALLS = 20


def in_new_program():
    pass


def start():
    child = os.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-S", __file__, "new"])
    return child


def main():
    if sys.argv[1:]:
        for _ in range(CALLS):
            in_new_program()
        os._exit(0)
    target.ready()
    zombie, gone = start(), start()
    os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
    os.waitpid(gone, 0)
    print("result " + json.dumps({"zombie": zombie, "gone": gone, "calls": CALLS}), flush=True)
    sys.stdin.readline()
    os._exit(0)


if __name__ == "__main__":
    main()
