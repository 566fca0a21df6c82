# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Small deterministic programs to record, each with what its calls come to.

    programs.py [--cprofile] NAME

Says "ready TGID {function: [calls, segments, exceptions, ended_unseen]}", waits for a line, runs, and is
gone.  With --cprofile it says {function: ncalls} instead, as cProfile counts them.
"""
import cProfile
import json
import os
import sys
import threading

try:
    import greenlet
except ImportError:
    greenlet = None

ROUNDS = 40  # more than a probe site needs to learn about itself, and the interpreter to specialise
# From 3.13 on, closing a generator that handles nothing does not run it (genobject.c, gen_close).
CLOSE_RUNS = sys.version_info < (3, 13)


def leaf(x):
    return x


# --- calls


def middle(x):
    return leaf(x) + leaf(x)


def outer(x):
    return middle(x) + leaf(x)


class Thing:
    def __init__(self, x):
        self.x = leaf(x)

    def __getattr__(self, name):
        return leaf(name)

    def __lt__(self, other):
        return self.x < other.x


def compare_key(x):
    return leaf(-x)


def calls():
    for i in range(ROUNDS):
        outer(i)
        Thing(i).missing
        sorted((3, 1, 2), key=compare_key)
        Thing(1) < Thing(2)
        list(map(leaf, (1, 2)))
        leaf(*(i,))


CALLS = {
    "outer": ROUNDS,
    "middle": ROUNDS,
    "compare_key": 3 * ROUNDS,
    "__init__": 3 * ROUNDS,
    "__getattr__": ROUNDS,
    "__lt__": ROUNDS,
    "leaf": (3 + 1 + 1 + 3 + 2 + 2 + 1) * ROUNDS,
}


# --- raising


def thrower(depth):
    return thrower(depth - 1) if depth else int("no number")


def catcher(depth):
    try:
        return thrower(depth)
    except ValueError:
        return leaf(depth)


def raises_again(depth):
    try:
        thrower(depth)
    except ValueError:
        leaf(depth)
        raise


def cleans_up(depth):
    try:
        return thrower(depth)
    finally:
        leaf(depth)


class Swallowed:
    def __getattr__(self, name):
        raise AttributeError(name)


def raising():
    for depth in (0, 1, 5) * (ROUNDS // 5):
        catcher(depth)
        leaf(depth)
        for function in (raises_again, cleans_up):
            try:
                function(depth)
            except ValueError:
                leaf(depth)
        hasattr(Swallowed(), "name")  # the exception dies in C
        leaf(depth)


_N = ROUNDS // 5
RAISING = {
    "thrower": (3 * 9 * _N, 3 * 9 * _N, 3 * 9 * _N),
    "catcher": 3 * _N,
    "raises_again": (3 * _N, 3 * _N, 3 * _N),
    "cleans_up": (3 * _N, 3 * _N, 3 * _N),
    "__getattr__": (3 * _N, 3 * _N, 3 * _N),
    "leaf": 7 * 3 * _N,
}


# --- generators


def count_up(n):
    for i in range(n):
        yield leaf(i)


def delegate(n):
    yield from count_up(n)
    return n


def gives_up():
    yield 1
    raise LookupError


async def coroutine(n):
    return await inner_coroutine(n)


async def inner_coroutine(n):
    return leaf(n)


def generators():
    for _ in range(ROUNDS):
        for x in count_up(3):
            leaf(x)
        list(delegate(2))
        try:
            list(gives_up())
        except LookupError:
            leaf(1)
        try:
            coroutine(1).send(None)
        except StopIteration:
            leaf(1)


GENERATORS = {
    "count_up": (2 * ROUNDS, 7 * ROUNDS),
    "delegate": (ROUNDS, 3 * ROUNDS),
    "gives_up": (ROUNDS, 2 * ROUNDS, ROUNDS),
    "coroutine": ROUNDS,
    "inner_coroutine": ROUNDS,
    "leaf": (3 + 3 + 2 + 1 + 1 + 1) * ROUNDS,
}


# --- throw() and close()


def catching():
    got = 0
    while True:
        try:
            got = yield got
        except ValueError:
            got = leaf(-1)


def guarded():
    try:
        yield 1
        yield 2
    finally:
        leaf(0)


def unguarded():
    yield 1
    yield 2


def through():
    yield from guarded()


def throwing():
    for _ in range(ROUNDS):
        g = catching()
        next(g)
        g.throw(ValueError())
        g.send(1)
        try:
            g.throw(KeyError())
        except KeyError:
            leaf(1)
        g = guarded()
        next(g)
        g.close()
        g = guarded()
        next(g)
        del g
        g = through()
        next(g)
        try:
            g.throw(KeyError())
        except KeyError:
            leaf(1)
        g = unguarded()
        next(g)
        g.close()
        leaf(2)


_RUNS = 2 if CLOSE_RUNS else 1
THROWING = {
    "catching": (ROUNDS, 4 * ROUNDS, ROUNDS),
    "guarded": (3 * ROUNDS, 6 * ROUNDS, 3 * ROUNDS),
    "through": (ROUNDS, 2 * ROUNDS, ROUNDS),
    # where closing does not run it, the last of them is not known to be over
    "unguarded": (ROUNDS, _RUNS * ROUNDS, ROUNDS if CLOSE_RUNS else 0),
    "leaf": (1 + 1 + 3 + 1 + 1) * ROUNDS,
}


# --- recursion, deeper than is kept (STACK_MAX)


def down(n):
    return leaf(n) if n == 0 else down(n - 1)


def raise_deep(n):
    if n == 0:
        raise KeyError
    raise_deep(n - 1)


DEEP = 1200


def recursion():
    for n in (10, 300, DEEP):
        down(n)
        try:
            raise_deep(n)
        except KeyError:
            leaf(n)


_DOWN = 10 + 300 + DEEP + 3
RECURSION = {  # who is too deep is only counted: how it ends is not
    "down": (_DOWN, _DOWN, 0, None),
    "raise_deep": (_DOWN, _DOWN, None, None),
    "leaf": (6, 6, 0, None),
}


# --- greenlets


def turns_inner(others, n):
    for i in range(n):
        leaf(i)
        others[0].switch()
        leaf(i)


def turns(others, n):
    turns_inner(others, n)


def take_turns():
    to_b, to_a = [], []
    a = greenlet.greenlet(lambda: turns(to_b, 3))
    b = greenlet.greenlet(lambda: turns(to_a, 3))
    to_b.append(b)
    to_a.append(a)
    a.switch()
    for g in (a, b):
        while not g.dead:
            g.switch()


def raises_across(hub):
    hub.switch()
    raise ValueError


def passes_up(hub):
    raises_across(hub)


def run_to_end(function):
    hub = greenlet.getcurrent()
    g = greenlet.greenlet(function)
    try:
        while not g.dead:
            g.switch(hub)
            leaf(1)
    except ValueError:
        leaf(2)


def killed(hub):
    try:
        hub.switch()
    finally:
        leaf(0)


def kill():
    hub = greenlet.getcurrent()
    g = greenlet.greenlet(killed)
    g.switch(hub)
    g.throw()  # GreenletExit, which ends quietly
    leaf(1)


def greenlets():
    for _ in range(ROUNDS // 2):
        take_turns()
        run_to_end(passes_up)
        kill()


_N = ROUNDS // 2
GREENLETS = {
    "turns": 2 * _N,
    "turns_inner": 2 * _N,
    "take_turns": _N,
    "passes_up": (_N, _N, _N),
    "raises_across": (_N, _N, _N),
    "run_to_end": _N,
    "killed": (_N, _N, _N),
    "kill": _N,
    "leaf": (12 + 2 + 2) * _N,
}


# --- threads


def works(n):
    for x in count_up(n):
        middle(x)


def threads():
    for _ in range(4):
        ours = [threading.Thread(target=works, args=(ROUNDS,)) for _ in range(3)]
        for thread in ours:
            thread.start()
        works(2)
        for thread in ours:
            thread.join()


_WORK = 4 * 3 * ROUNDS + 4 * 2
THREADS = {
    "works": 4 * 4,
    "count_up": (4 * 4, _WORK + 4 * 4),
    "middle": _WORK,
    "leaf": 3 * _WORK,
}

PROGRAMS = {
    "calls": (calls, CALLS),
    "raising": (raising, RAISING),
    "generators": (generators, GENERATORS),
    "throwing": (throwing, THROWING),
    "recursion": (recursion, RECURSION),
    "greenlets": (greenlets, GREENLETS),
    "threads": (threads, THREADS),
}


def complete(figures):
    """[calls, segments, exceptions, ended_unseen] of what is told of a function; null: not looked at."""
    figures = list(figures) if isinstance(figures, tuple) else [figures]
    if len(figures) == 1:
        figures.append(figures[0])
    return figures + [0] * (4 - len(figures))


def ncalls(program):
    profiler = cProfile.Profile()
    profiler.enable()
    program()
    profiler.disable()
    counts = {}
    for entry in profiler.getstats():
        if not isinstance(entry.code, str) and entry.code.co_filename == __file__:
            name = entry.code.co_name
            counts[name] = counts.get(name, 0) + entry.callcount
    if sys.version_info >= (3, 14) and "unguarded" in counts:
        counts["unguarded"] -= ROUNDS  # its close() does run it, but for a profiler's sake only
    return counts


def main():
    program, truth = PROGRAMS[sys.argv[-1]]
    sys.setrecursionlimit(2 * DEEP)
    if "--cprofile" in sys.argv:
        print(json.dumps(ncalls(program)))
        return
    truth = {name: complete(figures) for name, figures in truth.items()}
    print("ready", os.getpid(), json.dumps(truth), flush=True)
    if not sys.stdin.readline():
        os._exit(3)
    program()
    os._exit(0)


if __name__ == "__main__":
    main()
