# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What every target says and hears. Targets run on every CPython from 3.8 to 3.15."""
import json
import os
import sys
import threading


def ready(more=None):
    """Tell the test that we are up, and what else it must know; return when it releases us."""
    print("ready", os.getpid(), json.dumps(more), flush=True)
    if not sys.stdin.readline():
        os._exit(3)  # the test is gone


def done(result):
    """Tell what we know ourselves, and leave before any clean-up code runs."""
    print("result " + json.dumps(result), flush=True)
    os._exit(0)


def native_id():
    """What the kernel calls this thread."""
    return threading.get_native_id()
