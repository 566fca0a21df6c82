# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Part of stress.py: the interpreter's own tracing, debugging and monitoring, on and off."""
import bdb
import itertools
import sys
import time

import stress_mix
from stress_mix import action, names, nest, new_tally

names("traced trace_function profiled switcher debugged user_line user_return monitored")

TOOL = 3
takes_anything = "".format  # C code: no call of ours
events_seen = itertools.count()  # one for all threads: next() of it cannot be interrupted


@action
def traced(t, r, depth):
    """Goes on and off anywhere: what runs meanwhile is instrumented."""
    t["traced"][0] += 1

    def trace_function(frame, event, argument):
        t["trace_function"][0] += 1

    if r.random() < 0.5:
        sys.settrace(trace_function)
        nest(t, r, depth + 1)
    sys.settrace(None)


@action
def profiled(t, r, depth):
    t["profiled"][0] += 1
    if r.random() < 0.5:
        sys.setprofile(takes_anything)
        nest(t, r, depth + 1)
    sys.setprofile(None)


# --- by one thread


class Debugger(bdb.Bdb):
    """What pdb is made of. Steps, goes on, or runs to the end of a function."""

    def __init__(self, t, r):
        super().__init__()
        self.t, self.r = t, r

    def user_line(self, frame):
        self.t["user_line"][0] += 1
        self.next_move(frame)

    def user_return(self, frame, value):
        self.t["user_return"][0] += 1
        self.next_move(frame)

    def next_move(self, frame):
        how = self.r.randrange(100)
        if how < 90:
            self.set_step()
        elif how < 98:
            self.set_return(frame)
        else:
            self.set_continue()


def debugged(t, r):
    """Into the debugger somewhere, and out of it somewhere else."""
    t["debugged"][0] += 1
    bugs = Debugger(t, r)
    bugs.set_trace()
    nest(t, r, 3)
    sys.settrace(None)


def on_event(*_):
    next(events_seen)


def monitored(t, r):
    """For all threads, until it is switched off or something else is watched."""
    t["monitored"][0] += 1
    if not hasattr(sys, "monitoring"):
        return
    e = sys.monitoring.events
    some = e.PY_START | e.PY_RETURN | e.PY_YIELD | e.PY_RESUME
    sys.monitoring.set_events(TOOL, r.choice((0, e.PY_START, some, e.PY_THROW | e.PY_UNWIND, e.LINE)))


def switcher(r, end, rest):
    """A thread that does the usual, and in whose middle the tools go on and off."""
    t = new_tally()
    t["switcher"][0] += 1
    while time.monotonic() < end[0]:
        which = r.randrange(3)
        if which == 0:
            debugged(t, r)
        elif which == 1:
            monitored(t, r)
            nest(t, r, 2)
        else:
            traced(t, r, 2)
            profiled(t, r, 2)
        time.sleep(rest)
    stress_mix.gate.leave()


def begin():
    if hasattr(sys, "monitoring"):
        monitoring, e = sys.monitoring, sys.monitoring.events
        monitoring.use_tool_id(TOOL, "stress")
        for event in (e.PY_RETURN, e.PY_YIELD, e.LINE, e.PY_UNWIND):
            monitoring.register_callback(TOOL, event, takes_anything)
        for event in (e.PY_START, e.PY_RESUME, e.PY_THROW):
            monitoring.register_callback(TOOL, event, on_event)


def events():
    """How many there have been."""
    return int(repr(events_seen)[len("count(") : -1])


def forget():
    global events_seen
    events_seen = itertools.count()


def end():
    if hasattr(sys, "monitoring"):
        sys.monitoring.set_events(TOOL, 0)
