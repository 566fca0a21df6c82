# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Every way a call ends or pauses, mixed at random in many threads, and counted exactly.

    stress.py SEED SECONDS THREADS [hard] [late] [ACTION...]

What is done depends on the seed and, as threads take turns, how often on the machine; the result
is what was in fact done: {"truth": {function: [calls, segments, exceptions, ended_unseen]},
"children": {tgid: the same}}. With the names of actions only these are done, with a minus before
them all but these. With `hard` there are
also exceptions far below the depth that is tracked, and exceptions swallowed by C after a pause.
With `late` it has worked for a while when it says that it is ready, and waits in the middle of
everything: what is begun from then on counts.

All of it is in one process, and one after the other nowhere, with two exceptions: no interpreter in
the interpreter is there while a process forks (see stress_life.py), and what ends the process itself
ends a forked child here, or no other thread would be left to see what that does to it.
"""
import gc
import random
import signal
import sys
import threading
import time
import warnings

import stress_calls  # noqa: F401: its actions
import stress_life
import stress_mix
import stress_tools
import target
from stress_mix import ACTIONS, HARD, gate, names, nest, new_tally, total

REST = 0.02  # between the rounds of a thread: the rate must stay low enough to be traced
WARM_UP = 1.5

names("work on_tick")


def ticks(t):
    def on_tick(number, frame):
        t["on_tick"][0] += 1

    return on_tick


def work(seed, end):
    t = new_tally()
    t["work"][0] += 1
    r = random.Random(seed)
    while time.monotonic() < end[0]:
        nest(t, r, 0)
        time.sleep(REST)
    gate.leave()


def switch(seed, end):
    stress_tools.switcher(random.Random(seed), end, REST)


def tick(seconds):
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)


def hold(seconds, end):
    """All others wait; from here on everything counts."""
    tick(0)
    time.sleep(0.02)
    stress_tools.end()  # or they would be told of what comes before the tracer
    sys.settrace(None)
    stress_mix.forget()
    stress_tools.forget()
    target.ready()
    end[0] = time.monotonic() + seconds
    tick(0.01)


def choose(wanted):
    """Whether a thread of its own switches the interpreter's tools."""
    if "hard" in wanted:
        ACTIONS.extend(HARD)
    some = [f for f in ACTIONS + HARD if f.__name__ in wanted]
    ACTIONS[:] = [f for f in some or ACTIONS if "-" + f.__name__ not in wanted]
    return "switcher" in wanted or not some and "-switcher" not in wanted


def main():
    seed, seconds, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    wanted = sys.argv[4:]
    tools = choose([w for w in wanted if w != "late"])
    stress_tools.begin()
    sys.setrecursionlimit(5000)
    sys.unraisablehook = stress_tools.takes_anything
    warnings.simplefilter("ignore")  # 3.12 warns of forks beside threads
    gc.disable()  # or it could run where the calls it makes are deeper than is tracked
    signal.signal(signal.SIGALRM, ticks(new_tally()))
    end = [0]
    gate.working = count
    if "late" in wanted:
        end[0] = time.monotonic() + 1e6
        gate.close_later(WARM_UP, lambda: hold(seconds, end))
    else:
        target.ready()
        end[0] = time.monotonic() + seconds
    bodies = [switch if tools and i == 0 else work for i in range(count - 1)]
    threads = [
        threading.Thread(target=body, args=(f"{seed}/{i}", end)) for i, body in enumerate(bodies)
    ]
    for thread in threads:
        thread.start()
    # handlers of signals run in the main thread, so it works too
    tick(0.01)
    work(f"{seed}/main", end)
    tick(0)
    for thread in threads:
        thread.join()
    stress_tools.end()
    gc.collect()  # what was dropped in cycles
    time.sleep(0.1)  # what was started without threading goes on for a moment
    truth = total()
    truth["on_event"] = [stress_tools.events()] * 2 + [0, 0]
    target.done({"truth": truth, "children": stress_mix.children})


if __name__ == "__main__":
    main()
