# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""
Sections of endings.py that switch the interpreter's own tracing on and off in the middle of calls:
it then runs other, instrumented instructions, and in part runs them again.
"""
import bdb
import cProfile
import io
import itertools
import os
import pdb
import subprocess
import sys
import threading
import time

from endings_calls import ROUNDS, attempt, expect, key_raises, leaf, plain_generator

seen = {}


def saw(name):
    seen[name] = seen.get(name, 0) + 1


# --- something with every kind of event in it


def worker_generator(switch, n):
    for i in range(n):
        if i == 1:
            switch(i)
        yield leaf(i)


def worker_raises(switch):
    switch(0)
    raise ValueError


def worker_inner(switch):
    attempt(worker_raises, switch)
    for i in worker_generator(switch, 3):
        leaf(i)
    switch(1)
    return leaf(0)


def worker(switch):
    kept = plain_generator(2)
    next(kept)
    switch(0)
    value = worker_inner(switch)
    attempt(key_raises, 5)
    next(kept)
    for _ in kept:
        leaf(0)
    return value


def expect_work(n):
    expect("worker", n)
    expect("worker_inner", n)
    expect("worker_raises", n, exceptions=n)
    expect("worker_generator", n, 4 * n)
    expect("plain_generator", n, 3 * n)
    expect("key_raises", n, exceptions=n)
    expect("attempt", 2 * n)
    expect("leaf", (3 + 3 + 1) * n)


def never(x):
    return None


class Switch:
    """worker() calls flip() four times a round: on and off come at other ones in every round."""

    def __init__(self, on, off):
        self.on, self.off = on, off
        self.step = 0

    def flip(self, x):
        saw("flip")
        turn, step = divmod(self.step, 4)
        self.step += 1
        if step == turn % 4:
            self.on()
        elif step == turn // 4 % 4:
            self.off()

    def run(self, rounds=ROUNDS):
        for _ in range(rounds):
            worker(self.flip)
        self.off()
        worker(never)
        expect_work(rounds + 1)
        expect("flip", seen["flip"])
        expect("never", 4)


# --- sys.settrace(), sys.setprofile(), bdb, cProfile


def trace_function(frame, event, argument):
    saw("trace_function")
    return trace_function


def trace_opcodes(frame, event, argument):
    saw("trace_opcodes")
    frame.f_trace_opcodes = True
    return trace_opcodes


def trace_raises(frame, event, argument):
    saw("trace_raises")
    if event == "line" and frame.f_code.co_name == "worker_raises":
        raise ValueError("out of the trace function")  # it is then off
    return trace_raises


def profile_function(frame, event, argument):
    saw("profile_function")


def expect_seen(*names):
    for name in names:
        expect(name, seen[name])


def settrace():
    Switch(lambda: sys.settrace(trace_function), lambda: sys.settrace(None)).run()
    expect_seen("trace_function")


def settrace_opcodes():
    Switch(lambda: sys.settrace(trace_opcodes), lambda: sys.settrace(None)).run()
    expect_seen("trace_opcodes")


def settrace_raises():
    """An exception out of the trace function ends the call it looks at."""
    for _ in range(ROUNDS):
        sys.settrace(trace_raises)
        attempt(worker_raises, never)
        sys.settrace(None)
        leaf(1)
    n = ROUNDS
    expect("trace_raises", seen["trace_raises"], exceptions=n)
    expect("worker_raises", n, exceptions=n)
    expect("attempt", n)
    expect("never", 0)
    expect("leaf", n)


def setprofile():
    Switch(lambda: sys.setprofile(profile_function), lambda: sys.setprofile(None)).run()
    expect_seen("profile_function")


def profiler():
    profile = cProfile.Profile()

    def on():
        profile.disable()  # it may be on already
        profile.enable()

    Switch(on, profile.disable).run()


class Debugger(bdb.Bdb):
    """Like pdb: stops, steps and goes on."""

    def user_line(self, frame):
        saw("user_line")
        if seen["user_line"] % 3:
            self.set_step()
        else:
            self.set_continue()

    def user_return(self, frame, value):
        saw("user_return")
        self.set_return(frame)


def debugger():
    """pdb's machinery: breakpoints and steps, begun and left in the middle of calls."""
    bugs = Debugger()
    bugs.set_break(__file__, worker_inner.__code__.co_firstlineno + 1)
    Switch(bugs.set_trace, lambda: sys.settrace(None)).run(16)
    bugs.clear_all_breaks()
    expect_seen("user_line", "user_return")


# --- pdb


class Keyboard:
    """Somebody types this, over and over."""

    lines = """
        step, step, next, where, up, down, args, return, p 1, step, tbreak worker_inner, continue,
        step, until, return, list, longlist, continue
    """.split(",")

    def __init__(self):
        self.typed = itertools.cycle(map(str.strip, self.lines))

    def readline(self):
        saw("readline")
        return next(self.typed) + "\n"


def pdb_session(**options):
    """set_trace(), some steps, and on, in the middle of calls."""
    screen = io.StringIO()
    bugs = pdb.Pdb(stdin=Keyboard(), stdout=screen, nosigint=True, readrc=False, **options)

    def leave():
        saw("leave")
        bugs.set_continue()
        sys.settrace(None)
        if hasattr(bugs, "stop_trace"):
            bugs.stop_trace()

    Switch(bugs.set_trace, leave).run(16)
    bugs.clear_all_breaks()
    if "worker_inner()" not in screen.getvalue():
        raise AssertionError(f"pdb said {screen.getvalue()!r}")
    expect_seen("readline", "leave")


def pdb_monitoring():
    """From 3.14 on pdb can use sys.monitoring."""
    pdb_session(backend="monitoring")


# --- coverage, a package


def covered(core, tracer):
    """Measured, paused and measured again, in the middle of calls."""
    os.environ["COVERAGE_CORE"] = core
    import coverage

    measured = coverage.Coverage(data_file=None, config_file=False)
    going_on = []

    def on():
        saw("on")
        if not going_on:
            going_on.append(1)
            measured.start()

    def off():
        saw("off")
        if going_on:
            going_on.clear()
            measured.stop()

    Switch(on, off).run()
    used, lines = dict(measured.sys_info())["core"], measured.get_data().lines(__file__)
    if used != tracer or not lines:
        raise AssertionError(f"coverage used {used} and saw lines {lines}")
    expect_seen("on", "off")


def coverage_ctrace():
    covered("ctrace", "CTracer")


def coverage_pytrace():
    covered("pytrace", "PyTracer")


def coverage_sysmon():
    covered("sysmon", "SysMonitor")


# --- sys.monitoring

TOOL = 3


def on_event(*args):
    saw("on_event")


def on_event_disable(*args):
    saw("on_event_disable")
    return sys.monitoring.DISABLE


def every_event():
    e = sys.monitoring.events
    events = 0
    for name in ("PY_START PY_RESUME PY_RETURN PY_YIELD CALL LINE INSTRUCTION JUMP BRANCH "
                 "STOP_ITERATION RAISE EXCEPTION_HANDLED PY_UNWIND PY_THROW RERAISE").split():
        events |= getattr(e, name, 0)
    return events


def few_events():
    e = sys.monitoring.events
    return e.PY_START | e.PY_RETURN | e.PY_YIELD | e.PY_RESUME


def register(callback, events):
    monitoring = sys.monitoring
    monitoring.use_tool_id(TOOL, "endings")
    for bit in range(events.bit_length()):
        if events >> bit & 1:
            monitoring.register_callback(TOOL, 1 << bit, callback)


def monitored(callback, events):
    register(callback, events)
    Switch(
        lambda: sys.monitoring.set_events(TOOL, events), lambda: sys.monitoring.set_events(TOOL, 0)
    ).run()
    sys.monitoring.free_tool_id(TOOL)
    expect_seen(callback.__name__)


def monitoring_all():
    monitored(on_event, every_event())


def monitoring_few():
    monitored(on_event, few_events())


def monitoring_disabled():
    """A callback that says DISABLE has the instruction put back, under the call that runs it."""
    e = sys.monitoring.events
    monitored(on_event_disable, few_events() | e.LINE | e.CALL | e.INSTRUCTION)


def monitoring_local():
    """Only some functions, while they run."""
    events = few_events() | sys.monitoring.events.LINE
    register(on_event, events)
    codes = [f.__code__ for f in (worker, worker_inner, worker_generator, leaf)]
    step = []

    def on():
        sys.monitoring.set_local_events(TOOL, codes[len(step) % 4], events)
        step.append(1)

    def off():
        for code in codes:
            sys.monitoring.set_local_events(TOOL, code, 0)

    Switch(on, off).run()
    sys.monitoring.free_tool_id(TOOL)
    expect_seen("on_event")


def spin(stop, count):
    while not stop:
        for _ in range(5):
            spun(1)
        list(plain_generator(3))
        attempt(key_raises, 5)
        count[0] += 1


def spun(x):
    return leaf(x)


def toggled(on, off):
    """Another thread throws the switch, in the middle of whatever runs."""
    stop, count = [], [0]
    thread = threading.Thread(target=spin, args=(stop, count))
    thread.start()
    for _ in range(40):
        on()
        os.sched_yield()
        before = count[0]
        while count[0] < before + 3:
            time.sleep(0.0005)
        off()
        before = count[0]
        while count[0] < before + 3:
            time.sleep(0.0005)
    stop.append(1)
    thread.join()
    n = count[0]
    expect("spin", 1)
    expect("spun", 5 * n)
    expect("leaf", 5 * n)
    expect("plain_generator", n, 4 * n)
    expect("attempt", n)
    expect("key_raises", n, exceptions=n)


def calls_leaf(x):
    return leaf(x)


def monitoring_on_a_busy_cpu():
    """
    Every second call begins by being instrumented, which has its first instruction run again; here
    another process often gets the CPU in between.
    """
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"], stdin=subprocess.DEVNULL)
    try:
        register(c_callback, few_events())
        for i in range(4000):
            sys.monitoring.set_events(TOOL, few_events() if i % 2 else 0)
            calls_leaf(i)
        sys.monitoring.free_tool_id(TOOL)
    finally:
        hog.kill()
        hog.wait()
    expect("calls_leaf", 4000)
    expect("leaf", 4000)


def monitoring_toggled():
    """Switched on and off for all threads by one of them."""
    events = few_events() | sys.monitoring.events.LINE
    register(c_callback, events)
    toggled(
        lambda: sys.monitoring.set_events(TOOL, events), lambda: sys.monitoring.set_events(TOOL, 0)
    )
    sys.monitoring.free_tool_id(TOOL)


def profile_toggled():
    """The same by sys.setprofile() of one thread, which instruments all code from 3.12 on."""
    toggled(lambda: sys.setprofile(c_callback), lambda: sys.setprofile(None))


c_callback = "".format  # takes anything, and is no call of ours


SECTIONS = {
    f.__name__: f
    for f in (
        settrace,
        settrace_opcodes,
        settrace_raises,
        setprofile,
        profiler,
        debugger,
        pdb_session,
        coverage_ctrace,
        coverage_pytrace,
        profile_toggled,
    )
}
if sys.version_info >= (3, 12):
    SECTIONS.update(
        {
            f.__name__: f
            for f in (
                monitoring_all,
                monitoring_few,
                monitoring_disabled,
                monitoring_local,
                monitoring_on_a_busy_cpu,
                monitoring_toggled,
                coverage_sysmon,
            )
        }
    )
if sys.version_info >= (3, 14):
    SECTIONS["pdb_monitoring"] = pdb_monitoring
