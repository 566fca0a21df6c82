# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""
Two interpreters within the interpreter, each with a GIL of its own (3.12 and later), and in each
two threads that compute: one of the main interpreter's, and one made inside.

    own_gils.py SECONDS

The result is for how long both threads of each pair computed.
"""
import os
import sys
import tempfile
import threading
import time

import target
from own_gils_inside import PAIRS, TIMES, place, shared

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

KNOWN = 0.3  # seconds in which it becomes known which interpreter a thread is in
FOLDER = os.path.dirname(os.path.abspath(__file__))
SCRIPT = "import sys; sys.path.insert(0, {!r}); import own_gils_inside; own_gils_inside.run({!r}, {}, {})"


def goes_inside(path, pair):
    """
    Into an interpreter of its own making: in 3.12 whoever goes into another's has that one's thread
    state.  A failure inside is an exception here in 3.12, and a result from 3.13 on.
    """
    which = interpreters.create()
    failed = interpreters.run_string(which, SCRIPT.format(FOLDER, path, pair, KNOWN))
    if failed:
        sys.exit(str(failed))


def main():
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(1 << 16)
        page = shared(file.name)
        threads = [
            threading.Thread(target=goes_inside, args=(file.name, pair)) for pair in range(len(PAIRS))
        ]
        target.ready()
        for thread in threads:
            thread.start()
        time.sleep(KNOWN + float(sys.argv[1]))
        page[0] = 1
        for thread in threads:
            thread.join()
        times = [TIMES.unpack_from(page, place(pair)) for pair in range(len(PAIRS))]
        target.done({"seconds": [end - begin for begin, end in times]})


main()
