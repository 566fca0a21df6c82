# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Every way a call ends or pauses, mixed at random in many threads, and counted exactly.

    stress.py SEED SECONDS THREADS [hard | ACTION...]

What is done depends on the seed and, as threads take turns, how often on the machine; the result
is what was in fact done: {function: [calls, segments, exceptions]}. With `hard` there are also
exceptions far below the depth that is tracked, exceptions swallowed by C after a pause, and
sys.monitoring switched on and off for all threads. With the names of actions only these are done.
"""
import contextlib
import functools
import gc
import random
import re
import signal
import sys
import threading
import time

import target

REST = 0.02  # between the rounds of a thread: the rate must stay low enough to be traced
NAMES = """
    leaf nest thrower catches rethrows rethrows_other catches_rethrown suppresses
    counted_generator guarded generators closes throws drops delegating delegates
    pausing failing_later awaits async_numbers async_for async_ends __await__ __aenter__ __aexit__
    sort_key bad_key reducer replacer mapped cached callbacks __del__ dies makes_code made
    traced trace_function profiled thread_body new_thread descend deep on_tick
    comprehends work deep_raise deep_thrower swallowed ends_late monitored
""".split()


def tally():
    """What one thread has done: [calls, further segments, exceptions] of each function."""
    return {name: [0, 0, 0] for name in NAMES}


tallies = []


def leaf(t):
    t["leaf"][0] += 1
    return 1


# --- exceptions


def thrower(t, n):
    t["thrower"][0] += 1
    if n:
        return thrower(t, n - 1)
    raise ValueError


def catches(t, r, depth):
    t["catches"][0] += 1
    n = r.randrange(40)
    try:
        thrower(t, n)
    except ValueError:
        t["thrower"][2] += n + 1
        leaf(t)


def rethrows(t, n):
    t["rethrows"][0] += 1
    try:
        thrower(t, n)
    except ValueError:
        t["thrower"][2] += n + 1
        t["rethrows"][2] += 1
        leaf(t)
        raise


def rethrows_other(t, n):
    t["rethrows_other"][0] += 1
    try:
        rethrows(t, n)
    except ValueError as e:
        t["rethrows_other"][2] += 1
        raise KeyError from e


def catches_rethrown(t, r, depth):
    t["catches_rethrown"][0] += 1
    with contextlib.suppress(KeyError):
        rethrows_other(t, r.randrange(5))
    leaf(t)


def suppresses(t, r, depth):
    """Swallowed by C: nobody's frame catches it."""
    t["suppresses"][0] += 1
    hasattr(Fails(t), "nothing")
    t["thrower"][2] += 3


class Fails:
    def __init__(self, t):
        self.t = t

    def __getattr__(self, name):
        try:
            thrower(self.t, 2)
        finally:
            raise AttributeError(name)


# --- generators


def counted_generator(t, n):
    t["counted_generator"][0] += 1
    for _ in range(n):
        yield leaf(t)
        t["counted_generator"][1] += 1


def guarded(t, n):
    """Counts however it is left, and goes on after the first ValueError."""
    own = t["guarded"]
    own[0] += 1
    for i in range(n):
        try:
            yield leaf(t)
            own[1] += 1
        except GeneratorExit:
            own[1] += 1
            own[2] += 1
            raise
        except ValueError:
            own[1] += 1
            if i:
                own[2] += 1
                raise


def delegating(t, n):
    own = t["delegating"]
    own[0] += 1
    try:
        yield from guarded(t, n)
    except GeneratorExit:
        own[1] += 1
        own[2] += 1
        raise


def generators(t, r, depth):
    t["generators"][0] += 1
    for _ in counted_generator(t, r.randrange(6)):
        if depth < 4 and r.random() < 0.2:
            nest(t, r, depth + 1)
    sum(counted_generator(t, r.randrange(6)))


def closes(t, r, depth):
    t["closes"][0] += 1
    g = guarded(t, 5)
    for _ in range(r.randrange(1, 4)):
        next(g)
    g.close()


def throws(t, r, depth):
    t["throws"][0] += 1
    g = guarded(t, 3)
    for _ in range(r.randrange(1, 3)):
        next(g)
    for _ in range(3):
        try:
            g.throw(ValueError())
        except (ValueError, StopIteration):
            break


def drops(t, r, depth):
    """Let go of, at once or by the collector."""
    t["drops"][0] += 1
    g = guarded(t, 5)
    next(g)
    if r.random() < 0.05:
        cycle = [g]
        cycle.append(cycle)
        del cycle
    del g
    if r.random() < 0.02:
        gc.collect()


def delegates(t, r, depth):
    t["delegates"][0] += 1
    g = delegating(t, 4)
    nexts = r.randrange(1, 6)
    for i in range(nexts):
        if i:
            t["delegating"][1] += 1
        if next(g, None) is None:
            return
    g.close()


# --- coroutines


class Pause:
    def __init__(self, t):
        self.t = t

    def __await__(self):
        self.t["__await__"][0] += 1
        yield
        self.t["__await__"][1] += 1


class Guard:
    def __init__(self, t):
        self.t = t

    async def __aenter__(self):
        self.t["__aenter__"][0] += 1
        await Pause(self.t)
        self.t["__aenter__"][1] += 1

    async def __aexit__(self, *error):
        self.t["__aexit__"][0] += 1
        await Pause(self.t)
        self.t["__aexit__"][1] += 1


async def pausing(t, n):
    t["pausing"][0] += 1
    async with Guard(t):
        t["pausing"][1] += 1
        for _ in range(n):
            await Pause(t)
            t["pausing"][1] += 1
    t["pausing"][1] += 1


async def failing_later(t, n):
    own = t["failing_later"]
    own[0] += 1
    if n:
        try:
            await failing_later(t, n - 1)
        finally:
            own[1] += 1
            own[2] += 1
    await Pause(t)
    own[1] += 1
    own[2] += 1
    raise ValueError


async def async_numbers(t, n):
    own = t["async_numbers"]
    own[0] += 1
    for i in range(n):
        await Pause(t)
        own[1] += 1
        try:
            yield i
            own[1] += 1
        except (GeneratorExit, ValueError):
            own[1] += 1
            own[2] += 1
            raise


async def async_for(t, n):
    t["async_for"][0] += 1
    async for _ in async_numbers(t, n):
        t["async_for"][1] += 1
    # each value was one pause; the end none


def drive(coroutine):
    """Run it to its end; any ValueError is what was meant to be."""
    try:
        while True:
            coroutine.send(None)
    except (StopIteration, StopAsyncIteration, ValueError):
        pass


def awaits(t, r, depth):
    t["awaits"][0] += 1
    drive(pausing(t, r.randrange(4)))
    drive(failing_later(t, r.randrange(4)))
    drive(async_for(t, r.randrange(4)))


def async_ends(t, r, depth):
    """Async generators closed and thrown into."""
    t["async_ends"][0] += 1
    g = async_numbers(t, 4)
    drive(g.__anext__())
    if r.random() < 0.5:
        drive(g.aclose())
    else:
        drive(g.athrow(ValueError()))


# --- called by C


def callbacks(t, r, depth):
    t["callbacks"][0] += 1

    def sort_key(x):
        t["sort_key"][0] += 1
        return -x

    def bad_key(x):
        t["bad_key"][0] += 1
        if x == 3:
            t["bad_key"][2] += 1
            raise ValueError
        return x

    def reducer(a, b):
        t["reducer"][0] += 1
        return a + b

    def replacer(match):
        t["replacer"][0] += 1
        return leaf(t) * "x"

    def mapped(x):
        t["mapped"][0] += 1
        return x

    @functools.lru_cache(maxsize=2)
    def cached(x):
        t["cached"][0] += 1
        return leaf(t)

    which = r.randrange(6)
    if which == 0:
        sorted(range(5), key=sort_key)
    elif which == 1:
        for how in (sorted, max):
            try:
                how(range(5), key=bad_key)
            except ValueError:
                leaf(t)
    elif which == 2:
        functools.reduce(reducer, range(5))
    elif which == 3:
        re.sub("[ab]", replacer, "abcabc")
    elif which == 4:
        list(map(mapped, range(5)))
    else:
        for x in (1, 2, 1, 3, 1):
            cached(x)


class Mortal:
    def __init__(self, t):
        self.t = t

    def __del__(self):
        self.t["__del__"][0] += 1
        leaf(self.t)


def dies(t, r, depth):
    t["dies"][0] += 1
    things = [Mortal(t) for _ in range(r.randrange(3))]
    try:
        thrower(t, 1)
    except ValueError:
        t["thrower"][2] += 2
        things.clear()


def comprehends(t, r, depth):
    t["comprehends"][0] += 1
    [leaf(t) for _ in range(3)]
    {i: leaf(t) for i in range(3)}
    with contextlib.suppress(ValueError):
        [thrower(t, i) for i in range(2)]
    t["thrower"][2] += 1


MADE = compile("def made(t):\n    t['made'][0] += 1\n", __file__, "exec")


def makes_code(t, r, depth):
    t["makes_code"][0] += 1
    names = {}
    exec(MADE, names)
    names["made"](t)
    if r.random() < 0.1:
        source = "def made(t):\n    t['made'][0] += 1\n    return None\n"
        exec(compile(source, __file__, "exec"), names)
        names["made"](t)


# --- the interpreter's own tracing


def traced(t, r, depth):
    """Goes on and off anywhere: what runs meanwhile is instrumented."""
    t["traced"][0] += 1

    def trace_function(frame, event, argument):
        t["trace_function"][0] += 1

    if r.random() < 0.5:
        sys.settrace(trace_function)
        nest(t, r, depth + 1)
    sys.settrace(None)


def profiled(t, r, depth):
    t["profiled"][0] += 1
    if r.random() < 0.5:
        sys.setprofile("".format)  # C code that takes anything
        nest(t, r, depth + 1)
    sys.setprofile(None)


# --- threads, depth, signals


def thread_body(seed, depth):
    t = tally()
    tallies.append(t)
    t["thread_body"][0] += 1
    nest(t, random.Random(seed), depth + 1)


def new_thread(t, r, depth):
    t["new_thread"][0] += 1
    if r.random() < 0.1:
        thread = threading.Thread(target=thread_body, args=(r.random(), depth))
        thread.start()
        thread.join()


def descend(t, n):
    t["descend"][0] += 1
    if n:
        descend(t, n - 1)


def deep(t, r, depth):
    t["deep"][0] += 1
    descend(t, 1500 if r.random() < 0.02 else r.randrange(100))


def ticks(t):
    def on_tick(number, frame):
        t["on_tick"][0] += 1

    return on_tick


# --- hard ones


def deep_thrower(t, n):
    t["deep_thrower"][0] += 1
    if n:
        deep_thrower(t, n - 1)
    else:
        raise ValueError


def deep_raise(t, r, depth):
    t["deep_raise"][0] += 1
    if r.random() < 0.05:
        with contextlib.suppress(ValueError):
            deep_thrower(t, 1500)
        # those beyond what is tracked have no end that is seen: see the test


class Nothing:
    def __init__(self, t):
        self.t = t

    def __await__(self):
        self.t["__await__"][0] += 1
        return iter((None,))


async def ends_late(t):
    """Its exception goes on after a pause, and C swallows it."""
    own = t["ends_late"]
    own[0] += 1
    try:
        yield 1
    finally:
        own[1] += 1
        await Nothing(t)
        own[1] += 1
        own[2] += 1


def swallowed(t, r, depth):
    t["swallowed"][0] += 1
    for _ in range(2):
        g = ends_late(t)
        for _ in g.__anext__():
            pass
        for _ in g.aclose():
            pass


def monitored(t, r, depth):
    t["monitored"][0] += 1
    if hasattr(sys, "monitoring"):
        e = sys.monitoring.events
        sys.monitoring.set_events(3, r.choice((0, e.PY_START, e.PY_START | e.PY_RETURN, e.LINE)))


# --- the mix

ACTIONS = [
    catches,
    catches_rethrown,
    suppresses,
    generators,
    closes,
    throws,
    drops,
    delegates,
    awaits,
    async_ends,
    callbacks,
    dies,
    comprehends,
    makes_code,
    traced,
    profiled,
    new_thread,
    deep,
]
HARD = [deep_raise, swallowed, monitored]


def nest(t, r, depth):
    """A few actions, which may come back here."""
    t["nest"][0] += 1
    for _ in range(r.randrange(1, 4)):
        action = r.choice(ACTIONS)
        if depth < 6 or action not in (traced, profiled, new_thread, generators):
            action(t, r, depth)
    if depth < 6 and r.random() < 0.5:
        nest(t, r, depth + 1)


def work(seed, end):
    t = tally()
    tallies.append(t)
    t["work"][0] += 1
    r = random.Random(seed)
    while time.monotonic() < end:
        nest(t, r, 0)
        time.sleep(REST)


def main():
    seed, seconds, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    wanted = sys.argv[4:]
    if wanted:
        only = [f for f in ACTIONS + HARD if f.__name__ in wanted]
        ACTIONS[:] = only or ACTIONS + HARD
    if hasattr(sys, "monitoring"):
        sys.monitoring.use_tool_id(3, "stress")
    sys.setrecursionlimit(5000)
    gc.disable()  # or it could run where the calls it makes are deeper than is tracked
    own = tally()
    tallies.append(own)
    signal.signal(signal.SIGALRM, ticks(own))
    target.ready()
    end = time.monotonic() + seconds
    threads = [
        threading.Thread(target=work, args=(f"{seed}/{i}", end)) for i in range(count - 1)
    ]
    for thread in threads:
        thread.start()
    # handlers of signals run in the main thread, so it works too
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    work(f"{seed}/main", end)
    signal.setitimer(signal.ITIMER_REAL, 0)
    for thread in threads:
        thread.join()
    gc.collect()  # what was dropped in cycles
    total = {}
    for name in NAMES:
        calls, more, exceptions = (sum(t[name][i] for t in tallies) for i in range(3))
        total[name] = [calls, calls + more, exceptions]
    target.done(total)


if __name__ == "__main__":
    main()
