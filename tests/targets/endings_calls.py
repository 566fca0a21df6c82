# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Sections of endings.py that need nothing special: each states what its calls come to."""
import asyncio
import contextlib
import ctypes
import functools
import gc
import operator
import re
import signal
import sys
import time
import weakref

ROUNDS = 30  # enough for the interpreter to specialise, and to see that nothing adds up wrongly
truth = {}

# From 3.13 on, closing a generator that handles nothing does not run it (genobject.c, gen_close):
# the call is over without an end anybody could see.
CLOSE_RUNS = sys.version_info < (3, 13)
# From 3.12 on comprehensions (of lists, sets and dicts) are part of the function around them.
INLINED = sys.version_info >= (3, 12)


def expect(name, calls, segments=None, exceptions=0, ended_unseen=0):
    """Add to what a function's calls must come to."""
    old = truth.get(name, [0, 0, 0, 0])
    new = [calls, calls if segments is None else segments, exceptions, ended_unseen]
    truth[name] = list(map(operator.add, old, new))  # no comprehension: these are counted


def leaf(x):
    return x


# --- exceptions


def thrower(depth):
    return thrower(depth - 1) if depth else int("no number")


def catcher(depth):
    try:
        return thrower(depth)
    except ValueError:
        return leaf(depth)


def catches_and_raises_on(depth):
    try:
        return thrower(depth)
    except ValueError:
        raise LookupError from None


def suppresses(depth):
    with contextlib.suppress(ValueError):
        leaf(depth)
        thrower(depth)


def catches_in_loop(n):
    caught = 0
    for _ in range(n):
        try:
            int("no number")
        except ValueError:
            caught += 1
    return caught


def raised_in_handler(n):
    """An exception in the handler of one in the handler of one, all caught here."""
    try:
        thrower(n)
    except ValueError:
        try:
            thrower(n)
        except ValueError:
            try:
                thrower(n)
            except ValueError:
                return leaf(n)


def exceptions():
    """Caught in the same frame, and up to 200 frames up."""
    for depth in (0, 1, 2, 7, 50, 200):
        for _ in range(5):
            catcher(depth)
            suppresses(depth)
            catches_in_loop(3)
            try:
                catches_and_raises_on(depth)
            except LookupError:
                leaf(depth)
    for _ in range(10):
        raised_in_handler(3)
    calls = 3 * 5 * (1 + 2 + 3 + 8 + 51 + 201) + 10 * 3 * 4
    expect("thrower", calls, exceptions=calls)
    expect("catcher", 30)
    expect("suppresses", 30)
    expect("catches_in_loop", 30)
    expect("catches_and_raises_on", 30, exceptions=30)
    expect("raised_in_handler", 10)
    expect("leaf", 3 * 30 + 10)


# --- generators


def plain_generator(n):
    for i in range(n):
        yield i


def catching_generator():
    got = 0
    while True:
        try:
            got = yield got
        except ValueError:
            got = -1


def guarded_generator():
    try:
        yield 1
        yield 2
    finally:
        leaf(0)


def refuses_to_close():
    try:
        yield 1
    except GeneratorExit:
        yield 2


def inner_generator(n):
    for i in range(n):
        yield i
    return n


def outer_generator(n):
    got = yield from inner_generator(n)
    yield got


def outermost_generator(n):
    yield from outer_generator(n)


def in_cycle():
    me = yield
    yield me  # a generator that keeps itself alive until it is collected
    leaf(me)


def generators():
    """Exhausted, closed, thrown into, dropped, collected in a cycle, delegating, nested."""
    for _ in range(ROUNDS):
        list(plain_generator(3))
        g = catching_generator()
        next(g)
        g.throw(ValueError())
        g.send(1)
        with contextlib.suppress(KeyError):
            g.throw(KeyError())
    expect("plain_generator", ROUNDS, 4 * ROUNDS)
    expect("catching_generator", ROUNDS, 4 * ROUNDS, ROUNDS)

    for _ in range(ROUNDS):
        g = guarded_generator()  # closed
        next(g)
        g.close()
        g = guarded_generator()  # dropped
        next(g)
        del g
        g = refuses_to_close()
        next(g)
        with contextlib.suppress(RuntimeError):
            g.close()
        with contextlib.suppress(StopIteration):
            next(g)
    expect("guarded_generator", 2 * ROUNDS, 4 * ROUNDS, 2 * ROUNDS)
    expect("refuses_to_close", ROUNDS, 3 * ROUNDS)
    expect("leaf", 2 * ROUNDS)

    for _ in range(ROUNDS):
        list(outermost_generator(3))
    expect("outermost_generator", ROUNDS, 5 * ROUNDS)
    expect("outer_generator", ROUNDS, 5 * ROUNDS)
    expect("inner_generator", ROUNDS, 4 * ROUNDS)


def thrown_through():
    """An exception goes in by the outermost of three and comes out of all."""
    for _ in range(ROUNDS):
        g = outermost_generator(3)
        next(g)
        with contextlib.suppress(ValueError):
            g.throw(ValueError())
    for name in ("outermost_generator", "outer_generator", "inner_generator"):
        expect(name, ROUNDS, 2 * ROUNDS, ROUNDS)


def long_chain(n):
    if n:
        yield from long_chain(n - 1)
    else:
        yield 1


async def long_await(n):
    if n:
        await long_await(n - 1)
    else:
        await asyncio.sleep(60)


async def cancelled(n):
    task = asyncio.ensure_future(long_await(n))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def thrown_through_many():
    """Exceptions that go in by the outermost of a hundred and come out of all."""
    for _ in range(ROUNDS):
        g = long_chain(99)
        next(g)
        with contextlib.suppress(ValueError):
            g.throw(ValueError())
        asyncio.run(cancelled(99))
    for name in ("long_chain", "long_await"):
        expect(name, 100 * ROUNDS, 200 * ROUNDS, 100 * ROUNDS)


def never_begun():
    yield 1


def closed_unbegun():
    yield 1


async def never_stepped():
    await asyncio.sleep(0)


async def cancel_at_once():
    task = asyncio.ensure_future(never_stepped())
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def thrown_first():
    """What is thrown into before its first run, or closed: a call that an exception begins and ends."""
    for _ in range(ROUNDS):
        g = never_begun()
        with contextlib.suppress(KeyError):
            g.throw(KeyError())
        g = closed_unbegun()
        g.close()
        asyncio.run(cancel_at_once())
    expect("never_begun", ROUNDS, ROUNDS, ROUNDS)
    expect("never_stepped", ROUNDS, ROUNDS, ROUNDS)
    if sys.version_info < (3, 12):  # later it is not run for that (genobject.c, gen_close)
        expect("closed_unbegun", ROUNDS, ROUNDS, ROUNDS)


def dropped_generator():
    yield 1
    yield 2


def abandoned():
    """Generators nobody finishes and that handle nothing; those in cycles the collector ends."""
    gc.collect()
    places = {}  # which was the last to have each
    for _ in range(ROUNDS):
        g = dropped_generator()
        places[id(g)] = "dropped_generator"
        next(g)
        del g
        g = in_cycle()
        places[id(g)] = "in_cycle"
        next(g)
        g.send(g)
        del g
    gc.collect()
    for name, segments in (("dropped_generator", 1), ("in_cycle", 2)):
        if CLOSE_RUNS:
            expect(name, ROUNDS, (segments + 1) * ROUNDS, ROUNDS)
        else:  # one is known to be gone when another one has its place
            last = sum(map(name.__eq__, places.values()))
            expect(name, ROUNDS, segments * ROUNDS, 0, last)


# --- coroutines


class Pause:
    def __await__(self):
        return (yield 1)


async def pausing(n):
    for _ in range(n):
        await Pause()
    return leaf(n)


async def awaiting(n):
    return await pausing(n)


async def failing():
    await Pause()
    raise ValueError


async def shielding():
    try:
        await failing()
    except ValueError:
        return leaf(1)


class Guard:
    async def __aenter__(self):
        await Pause()
        return self

    async def __aexit__(self, kind, error, traceback):
        await Pause()
        return kind is KeyError


async def guarded(fails):
    async with Guard():
        await Pause()
        if fails:
            raise KeyError


async def numbers(n):
    for i in range(n):
        await Pause()
        yield i


async def sums(n):
    total = 0
    async for i in numbers(n):
        total += i
    return total


async def numbers_guarded(n):
    try:
        for i in range(n):
            yield i
    finally:
        await Pause()


async def closes_early():
    g = numbers_guarded(3)
    await g.__anext__()
    await g.aclose()


async def throws_in():
    g = numbers_guarded(3)
    await g.__anext__()
    try:
        await g.athrow(ValueError())
    except ValueError:
        return leaf(1)


def drive(coroutine):
    """Run it to its end, however often it pauses: how often it went on."""
    runs = 0
    while True:
        runs += 1
        try:
            coroutine.send(None)
        except StopIteration:
            return runs


def coroutines():
    """Pauses, failures, async with, async for."""
    for _ in range(ROUNDS):
        drive(awaiting(3))
        drive(shielding())
        drive(guarded(False))
        drive(guarded(True))
        drive(sums(3))
    n = ROUNDS
    expect("awaiting", n, 4 * n)
    expect("pausing", n, 4 * n)
    expect("failing", n, 2 * n, n)
    expect("shielding", n, 2 * n)
    expect("guarded", 2 * n, 8 * n)
    expect("__aenter__", 2 * n, 4 * n)
    expect("__aexit__", 2 * n, 4 * n)
    expect("sums", n, 4 * n)
    # three pauses, three values, one end
    expect("numbers", n, 7 * n)
    expect("leaf", 2 * n)
    pauses = 3 + 1 + 3 * 2 + 3
    expect("__await__", pauses * n, 2 * pauses * n)


class Nothing:
    def __await__(self):
        return iter((None,))  # pauses once, without a call


async def ends_late():
    try:
        yield 1
    finally:
        await Nothing()


def late_ends():
    """
    An exception comes, the generator pauses, and only then does it go on: into Python, or into C
    that swallows it, so that the next call of the same function may have the same frame.
    """
    n = ROUNDS
    for _ in range(n):
        drive(closes_early())
        drive(throws_in())
    for _ in range(n):
        g = ends_late()
        for _ in g.__anext__():
            pass
        for _ in g.aclose():
            pass
        del g
    # a value, a throw that pauses, the end by the exception
    expect("numbers_guarded", 2 * n, 6 * n, 2 * n)
    expect("closes_early", n, 2 * n)
    expect("throws_in", n, 2 * n)
    expect("leaf", n)
    expect("ends_late", n, 3 * n, n)


async def child_task(n):
    for _ in range(n):
        await asyncio.sleep(0)
    return leaf(n)


async def endless_task():
    while True:
        await asyncio.sleep(0)


async def cancelled_task():
    try:
        await endless_task()
    finally:
        leaf(0)


async def task_main():
    await asyncio.gather(*(child_task(3) for _ in range(10)))
    tasks = [asyncio.ensure_future(cancelled_task()) for _ in range(10)]
    for _ in range(3):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def tasks():
    """asyncio: tasks that take turns, and such as are cancelled."""
    asyncio.run(task_main())
    expect("child_task", 10, 40)
    # three turns, and the cancellation
    expect("cancelled_task", 10, 40, 10)
    expect("endless_task", 10, 40, 10)
    expect("leaf", 20)


# --- C code that calls back


@functools.lru_cache(maxsize=4)
def cached(x):
    return leaf(x) * 2


@functools.lru_cache(maxsize=None)
def cached_raises(x):
    raise ValueError(x)


def sort_key(x):
    return -x


def key_raises(x):
    if x == 5:
        raise ValueError
    return x


def reducer(a, b):
    return a + b


def replacer(match):
    return match.group().upper()


def mapped(x):
    return x + 1


def compare(a, b):
    return a - b


def c_callback(a, b):
    a, b = a[0], b[0]
    return leaf((a > b) - (a < b))


def c_callback_raises(x):
    raise ValueError(x)


class Comparing:
    def __init__(self, x):
        self.x = x

    def __lt__(self, other):
        return leaf(self.x < other.x)


def swallow(*args):
    return None


def attempt(function, *args):
    try:
        return function(*args)
    except ValueError:
        return None


def sorted_raising():
    return sorted(range(10), key=key_raises)


def callbacks():
    """sorted, map, reduce, re.sub, lru_cache, ctypes: through C and back, raising or not."""
    for i in range(ROUNDS):
        sorted(range(5), key=sort_key)
        attempt(sorted_raising)
        functools.reduce(reducer, range(5))
        re.sub("[abc]", replacer, "abcd")
        list(map(mapped, range(5)))
        sorted(range(5), key=functools.cmp_to_key(compare))
        cached(i % 5)
        attempt(cached_raises, i % 3)
        max(Comparing(j) for j in range(3))
    n = ROUNDS
    expect("sort_key", 5 * n)
    expect("key_raises", 6 * n, exceptions=n)
    expect("sorted_raising", n, exceptions=n)
    expect("reducer", 4 * n)
    expect("replacer", 3 * n)
    expect("mapped", 5 * n)
    expect("compare", 4 * n)
    expect("cached", n)  # five values take turns in a cache of four
    expect("leaf", n + 2 * n)
    expect("__lt__", 2 * n)
    expect("cached_raises", n, exceptions=n)
    expect("attempt", 2 * n)
    expect("__init__", 3 * n)
    expect("<genexpr>", n, 4 * n)


def through_ctypes():
    """Callbacks of foreign code; an exception in one is told to the hook and goes no further."""
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)
    )
    simple = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    counted = []

    def counting(a, b):
        counted.append(1)
        return c_callback(a, b)

    libc = ctypes.CDLL(None)
    sys.unraisablehook = swallow
    comparing, raising = kind(counting), simple(c_callback_raises)
    for i in range(ROUNDS):
        libc.qsort((ctypes.c_int * 5)(5, 3, 1, 4, 2), 5, 4, comparing)
        raising(i)
        leaf(i)
    expect("counting", len(counted))
    expect("c_callback", len(counted))
    expect("leaf", len(counted) + ROUNDS)
    expect("c_callback_raises", ROUNDS, exceptions=ROUNDS)
    expect("swallow", ROUNDS)


# --- what the interpreter itself calls in the middle


class Mortal:
    def __del__(self):
        return leaf(1)


class FailsToDie:
    def __del__(self):
        raise ValueError("told to the hook only")


class DiesSlowly:
    """Its end has calls and generators of its own, and exceptions it keeps to itself."""

    def __del__(self):
        attempt(key_raises, 5)
        for _ in plain_generator(2):
            leaf(1)


def weak_callback(reference):
    return leaf(1)


def weak_callback_raises(reference):
    raise ValueError("told to the hook only")


def finalizer(x):
    return leaf(x)


def holds(kind):
    """The object dies with this call's locals, on its way out."""
    mine = kind()
    return mine is None


def holds_and_raises(kind):
    mine = kind()
    raise ValueError(mine)


def deaths():
    """__del__, weakref callbacks and finalizers, raising or not, at returns and exceptions."""
    sys.unraisablehook = swallow
    for _ in range(ROUNDS):
        for kind in (Mortal, FailsToDie, DiesSlowly):
            holds(kind)
            attempt(holds_and_raises, kind)
            thing = kind()
            cycle = [thing]
            cycle.append(cycle)
            del thing, cycle
            gc.collect()
        thing = set()
        keep = [weakref.ref(thing, weak_callback), weakref.ref(thing, weak_callback_raises)]
        weakref.finalize(thing, finalizer, 1)
        del thing
        leaf(keep)
    n = ROUNDS
    expect("__del__", 9 * n, exceptions=3 * n)
    expect("holds", 3 * n)
    expect("holds_and_raises", 3 * n, exceptions=3 * n)
    expect("attempt", 3 * n + 3 * n)
    expect("key_raises", 3 * n, exceptions=3 * n)
    expect("plain_generator", 3 * n, 9 * n)
    expect("weak_callback", n)
    expect("weak_callback_raises", n, exceptions=n)
    expect("finalizer", n)
    expect("swallow", 3 * n + n)
    expect("leaf", 3 * n + 6 * n + n + n + n)


def on_signal(number, frame):
    return leaf(number)


def on_signal_raises(number, frame):
    raise ValueError(number)


def interrupted(number):
    """The handler runs in the middle of this call."""
    signal.raise_signal(number)
    return leaf(number)


def interrupted_generator(number):
    yield 1
    signal.raise_signal(number)
    yield 2


def signals():
    """Handlers in Python, that return or raise into whatever was going on."""
    signal.signal(signal.SIGUSR1, on_signal)
    signal.signal(signal.SIGUSR2, on_signal_raises)
    for _ in range(ROUNDS):
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            attempt(interrupted, number)
            attempt(list, interrupted_generator(number))
    n = ROUNDS
    expect("on_signal", 2 * n)
    expect("on_signal_raises", 2 * n, exceptions=2 * n)
    expect("interrupted", 2 * n, exceptions=n)
    expect("interrupted_generator", 2 * n, 3 * n + 2 * n, n)
    expect("attempt", 4 * n)
    expect("leaf", 2 * n + n)


def ticks(number, frame):
    ticked.append(1)  # in one piece: the next tick may come inside this one


ticked = []


def busy_body(x):
    return leaf(x)


def timer():
    """A timer's handler, wherever it happens to hit."""
    signal.signal(signal.SIGALRM, ticks)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    calls = 0
    while len(ticked) < 50:
        busy_body(1)
        list(plain_generator(3))
        attempt(key_raises, 5)
        calls += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    leaf(0)  # so that one that is pending is handled before we read on
    expect("ticks", len(ticked))
    expect("busy_body", calls)
    expect("leaf", calls + 1)
    expect("plain_generator", calls, 4 * calls)
    expect("attempt", calls)
    expect("key_raises", calls, exceptions=calls)


# --- what the first calls of all are


class Lacking:
    def __getattr__(self, name):
        raise AttributeError(name)


def looks_up(x):
    return hasattr(x, "nothing")


def swallowed_first():
    """Each call that returns does so right after an exception that C code swallowed."""
    x = Lacking()
    for _ in range(3 * ROUNDS):
        looks_up(x)
    expect("looks_up", 3 * ROUNDS)
    expect("__getattr__", 3 * ROUNDS, exceptions=3 * ROUNDS)


def returns_value():
    return 1


def returns_none():
    pass


def swallowed_later():
    """The same after plain calls, of which there were enough to learn from."""
    for _ in range(300):
        returns_value()
        returns_none()
    x = Lacking()
    for _ in range(300):
        looks_up(x)
    expect("returns_value", 300)
    expect("returns_none", 300)
    expect("looks_up", 300)
    expect("__getattr__", 300, exceptions=300)


class Made:
    def __init__(self, x):
        self.x = x


def makes_and_raises():
    Made(1)
    raise ValueError


def constructors_first():
    """Calls of constructors, which from 3.13 on have a frame of their own below, in what raises."""
    for _ in range(3 * ROUNDS):
        try:
            makes_and_raises()
        except ValueError:
            pass
    expect("makes_and_raises", 3 * ROUNDS, exceptions=3 * ROUNDS)
    expect("__init__", 3 * ROUNDS)


class LackingSlowly:
    def __getattr__(self, name):
        try:
            raise AttributeError(name)
        except AttributeError:
            time.sleep(0.005)
            raise


def swallowed_slowly():
    """What C code swallows was raised, caught, and raised again after 5 ms."""
    x = LackingSlowly()
    for _ in range(ROUNDS):
        looks_up(x)
    expect("looks_up", ROUNDS)
    expect("__getattr__", ROUNDS, exceptions=ROUNDS)


# --- comprehensions, code made at run time


def comprehensions(n=4):
    for _ in range(ROUNDS):
        [leaf(i) for i in range(n)]
        {leaf(i) for i in range(n)}
        {i: leaf(i) for i in range(n)}
        sum(leaf(i) for i in range(n))
        [[leaf(j) for j in range(i)] for i in range(n)]
        attempt(comprehension_raises)
        [(lambda: leaf(i))() for i in range(n)]
    r = ROUNDS
    expect("leaf", r * (4 * n + 6 + n))
    expect("comprehension_raises", r, exceptions=r)
    expect("key_raises", 6 * r, exceptions=r)
    expect("attempt", r)
    expect("<lambda>", n * r)
    expect("<genexpr>", r, (n + 1) * r)
    if not INLINED:
        expect("<listcomp>", r * (1 + 1 + n + 1 + 1), exceptions=r)
        expect("<setcomp>", r)
        expect("<dictcomp>", r)


def comprehension_raises():
    return [key_raises(i) for i in range(10)]


def replaced_body(x):
    return leaf(x)


def other_body(x):
    return leaf(x) + leaf(x)


def makes_code():
    """exec, eval and lambdas; code that dies and gives its address to other code."""
    file = __file__
    for i in range(ROUNDS):
        names = {"leaf": leaf}
        exec(compile("def made(x):\n    return leaf(x)\n", file, "exec"), names)
        names["made"](i)
        eval(compile("made(1) + made(2)", file, "eval"), names)
        other = {}
        source = "def made_generator(n):\n    for i in range(n):\n        yield i\n"
        exec(compile(source, file, "exec"), other)
        g = other["made_generator"](3)
        next(g)
        del other  # the code lives on in the generator only
        gc.collect()
        list(g)
        del g, names
        (lambda x: leaf(x))(i)
        attempt(exec, compile("raise ValueError", file, "exec"))
    expect("made", 3 * ROUNDS)
    expect("made_generator", ROUNDS, 4 * ROUNDS)
    expect("<lambda>", ROUNDS)
    expect("<module>", 4 * ROUNDS, exceptions=ROUNDS)
    expect("attempt", ROUNDS)
    expect("leaf", 4 * ROUNDS)


def swaps_own_code(x):
    """Gets another body while it runs: the call that goes on is of the old one."""
    swaps_own_code.__code__ = other_body.__code__
    return swaps_own_code(x) + leaf(x)


def swapped_code():
    first = swaps_own_code.__code__
    for i in range(ROUNDS):
        swaps_own_code(i)
        swaps_own_code.__code__ = first
    expect("swaps_own_code", ROUNDS)
    expect("other_body", ROUNDS)
    expect("leaf", 3 * ROUNDS)


def tower(n):
    yield 0
    if n:
        yield from tower(n - 1)


def generators_in_generators():
    """`yield from` 60 deep: each resumption enters them all from C or from bytecode."""
    for _ in range(3):
        assert sum(1 for _ in tower(60)) == 61
    # with d below it, it runs for each of d + 1 values and once more to end
    expect("tower", 3 * 61, 3 * (61 * 60 // 2 + 2 * 61))
    expect("<genexpr>", 3, 3 * 62)


# --- deep


TRACKED = 1024  # calls on a thread's stack that are kept, see STACK_MAX


def open_frames():
    """The Python calls on this thread's stack with the caller: those open at attach count, too."""
    frame, n = sys._getframe(1), 0
    while frame is not None:
        frame, n = frame.f_back, n + 1
    return n


def descend(n):
    return descend(n - 1) if n > 1 else leaf(0)


def deep():
    """Deeper than is tracked: all calls are counted, those too deep have no end."""
    sys.setrecursionlimit(20000)
    below = open_frames()
    for depth in (900, 1000, 1500, 3000):
        descend(depth)
        leaf(1)
        too_deep = max(0, depth + below - TRACKED)
        expect("descend", depth, ended_unseen=too_deep)
        expect("leaf", 2, ended_unseen=int(depth + below >= TRACKED))
        attempt(key_raises, 5)
        list(plain_generator(3))
    expect("attempt", 4)
    expect("key_raises", 4, exceptions=4)
    expect("plain_generator", 4, 16)


def descend_and_raise(n):
    return descend_and_raise(n - 1) if n > 1 else int("no number")


def catches_from_deep(n):
    return attempt(descend_and_raise, n)


def deep_raise():
    """An exception from deeper than is tracked, caught far above: the calls below are unharmed."""
    sys.setrecursionlimit(20000)
    for depth in (1000, 1500, 3000):
        below = open_frames() + 2  # catches_from_deep(), attempt()
        catches_from_deep(depth)
        leaf(1)
        too_deep = max(0, depth + below - TRACKED)
        expect("descend_and_raise", depth, None, depth - too_deep, too_deep)
    expect("catches_from_deep", 3)
    expect("attempt", 3)
    expect("leaf", 3)


def descend_and_catch(n):
    """Raises and catches below all that is tracked."""
    if n > 1:
        return descend_and_catch(n - 1)
    for _ in range(3):
        attempt(key_raises, 5)
    list(plain_generator(3))
    return 0


def deep_catch():
    """An exception raised and caught where nothing is tracked is nothing to the calls above."""
    sys.setrecursionlimit(20000)
    below = open_frames()
    for _ in range(2):
        descend_and_catch(1500)
        leaf(1)
    expect("descend_and_catch", 3000, ended_unseen=2 * (1500 + below - TRACKED))
    expect("attempt", 6, ended_unseen=6)
    expect("key_raises", 6, ended_unseen=6)
    expect("plain_generator", 2, 8, ended_unseen=2)
    expect("leaf", 2)


SECTIONS = {
    f.__name__: f
    for f in (
        exceptions,
        generators,
        thrown_through,
        thrown_through_many,
        thrown_first,
        abandoned,
        coroutines,
        late_ends,
        tasks,
        callbacks,
        through_ctypes,
        deaths,
        signals,
        timer,
        swallowed_first,
        swallowed_later,
        constructors_first,
        swallowed_slowly,
        comprehensions,
        makes_code,
        swapped_code,
        generators_in_generators,
        deep,
        deep_raise,
        deep_catch,
    )
}
