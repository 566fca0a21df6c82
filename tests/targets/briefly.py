# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A program that lives for a moment: it says nothing and waits for nobody.

    briefly.py COUNT [SECONDS]     sleep that long first, then call short() COUNT times
"""
import sys
import time


def short(x):
    return x


def main():
    if len(sys.argv) > 2:
        time.sleep(float(sys.argv[2]))
    for i in range(int(sys.argv[1])):
        short(i)


main()
