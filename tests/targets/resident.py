# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Takes memory once, touches all of it, and stays.

    resident.py MEGABYTES
"""
import sys

import target

target.ready()
kept = b"x" * (int(sys.argv[1]) * 1000000)
print("result", len(kept), flush=True)
sys.stdin.readline()
