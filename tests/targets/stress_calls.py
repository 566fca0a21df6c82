# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Part of stress.py: ways a call ends or pauses that concern only the thread that makes it."""
import contextlib
import ctypes
import functools
import gc
import re
import weakref

import stress_mix
from stress_mix import action, hard_action, names, nest

names("""
    leaf thrower catches rethrows rethrows_other catches_rethrown suppresses
    counted_generator guarded generators closes throws drops delegating delegates
    pausing failing_later awaits async_numbers async_for async_ends __await__ __aenter__ __aexit__
    sort_key bad_key reducer replacer mapped cached callbacks __del__ dies makes_code made
    comprehends descend deep deep_raise deep_thrower swallowed ends_late
    foreign comparing foreign_raises foreign_nests weak on_death on_death_raises holds_and_raises
""")


def leaf(t):
    t["leaf"][0] += 1
    return 1


# --- exceptions


def thrower(t, n):
    t["thrower"][0] += 1
    if n:
        return thrower(t, n - 1)
    raise ValueError


@action
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


@action
def catches_rethrown(t, r, depth):
    t["catches_rethrown"][0] += 1
    with contextlib.suppress(KeyError):
        rethrows_other(t, r.randrange(5))
    leaf(t)


@action
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
    own, epoch = t["guarded"], stress_mix.epoch
    own[0] += 1
    own[3] += 1  # for now: a process may end first
    for i in range(n):
        try:
            yield leaf(t)
            own[1] += 1
        except GeneratorExit:
            own[1] += 1
            own[2] += epoch == stress_mix.epoch
            own[3] -= epoch == stress_mix.epoch
            raise
        except ValueError:
            own[1] += 1
            if i:
                own[2] += epoch == stress_mix.epoch
                own[3] -= epoch == stress_mix.epoch
                raise
    own[3] -= epoch == stress_mix.epoch


def delegating(t, n):
    own = t["delegating"]
    own[0] += 1
    try:
        yield from guarded(t, n)
    except GeneratorExit:
        own[1] += 1
        own[2] += 1
        raise


@action
def generators(t, r, depth):
    t["generators"][0] += 1
    for _ in counted_generator(t, r.randrange(6)):
        if depth < 4 and r.random() < 0.2:
            nest(t, r, depth + 1)
    sum(counted_generator(t, r.randrange(6)))


@action
def closes(t, r, depth):
    t["closes"][0] += 1
    g = guarded(t, 5)
    for _ in range(r.randrange(1, 4)):
        next(g)
    g.close()


@action
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


@action
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


@action
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


@action
def awaits(t, r, depth):
    t["awaits"][0] += 1
    drive(pausing(t, r.randrange(4)))
    drive(failing_later(t, r.randrange(4)))
    drive(async_for(t, r.randrange(4)))


@action
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


@action
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


# --- called by foreign code, which knows nothing of Python

LIBC = ctypes.CDLL(None)
COMPARISON = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)
)
SIMPLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)  # lets go of the GIL and takes it again
HOLDING = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int)  # does not


@action
def foreign(t, r, depth):
    """By ctypes. An exception in such a callback is told to a hook and goes no further."""
    t["foreign"][0] += 1

    def comparing(a, b):
        t["comparing"][0] += 1
        return a[0] - b[0]

    def foreign_raises(x):
        t["foreign_raises"][0] += 1
        t["foreign_raises"][2] += 1
        raise ValueError

    def foreign_nests(x):
        t["foreign_nests"][0] += 1
        if depth < 4:
            nest(t, r, depth + 1)
        return x

    which = r.randrange(4)
    if which == 0:
        LIBC.qsort((ctypes.c_int * 5)(5, 3, 1, 4, 2), 5, 4, COMPARISON(comparing))
    elif which == 1:
        r.choice((SIMPLE, HOLDING))(foreign_raises)(1)
    else:
        r.choice((SIMPLE, HOLDING))(foreign_nests)(1)


class Mortal:
    def __init__(self, t):
        self.t = t

    def __del__(self):
        self.t["__del__"][0] += 1
        leaf(self.t)


class Thing:
    """Can be referred to weakly."""


def holds_and_raises(t, things):
    """The last to know of it, and leaves by an exception."""
    t["holds_and_raises"][0] += 1
    t["holds_and_raises"][2] += 1
    kept = things.pop()
    raise ValueError(len(things), kept is None)


@action
def weak(t, r, depth):
    """Callbacks of weak references, raising or not, at the end of a name and of a frame."""
    t["weak"][0] += 1

    def on_death(reference):
        t["on_death"][0] += 1
        leaf(t)

    def on_death_raises(reference):
        t["on_death_raises"][0] += 1
        t["on_death_raises"][2] += 1
        raise ValueError

    things = [Thing()]
    kept = [weakref.ref(things[0], on_death)]
    if r.random() < 0.5:
        kept.append(weakref.ref(things[0], on_death_raises))
    if r.random() < 0.5:
        things.clear()
    else:
        with contextlib.suppress(ValueError):
            holds_and_raises(t, things)
    leaf(t)
    del kept


@action
def dies(t, r, depth):
    t["dies"][0] += 1
    things = [Mortal(t) for _ in range(r.randrange(3))]
    try:
        thrower(t, 1)
    except ValueError:
        t["thrower"][2] += 2
        things.clear()


@action
def comprehends(t, r, depth):
    t["comprehends"][0] += 1
    [leaf(t) for _ in range(3)]
    {i: leaf(t) for i in range(3)}
    with contextlib.suppress(ValueError):
        [thrower(t, i) for i in range(2)]
    t["thrower"][2] += 1


MADE = compile("def made(t):\n    t['made'][0] += 1\n", __file__, "exec")


@action
def makes_code(t, r, depth):
    t["makes_code"][0] += 1
    names = {}
    exec(MADE, names)
    names["made"](t)
    if r.random() < 0.1:
        source = "def made(t):\n    t['made'][0] += 1\n    return None\n"
        exec(compile(source, __file__, "exec"), names)
        names["made"](t)


# --- depth


def descend(t, n):
    t["descend"][0] += 1
    if n:
        descend(t, n - 1)


@action
def deep(t, r, depth):
    t["deep"][0] += 1
    descend(t, 1500 if r.random() < 0.02 else r.randrange(100))


# --- hard ones


def deep_thrower(t, n):
    t["deep_thrower"][0] += 1
    if n:
        deep_thrower(t, n - 1)
    else:
        raise ValueError


@hard_action
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


@hard_action
def swallowed(t, r, depth):
    t["swallowed"][0] += 1
    for _ in range(2):
        g = ends_late(t)
        for _ in g.__anext__():
            pass
        for _ in g.aclose():
            pass
