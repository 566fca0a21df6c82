# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Greenlets that switch in the middle of nested calls; the greenlet package is on our path.

    greenlets.py

The result is {"truth": {function: [calls, segments, exceptions, ended_unseen]}, "seconds": what each
function's calls took by our own clock, first to last, switches in between included}.
"""
import _thread
import gc
import sys
import threading
import time

import greenlet

import target

ROUNDS = 20
PAUSE = 0.005
TICKS = 500
seconds = {}
truth = {}


def expect(name, calls, segments=None, exceptions=0, ended_unseen=0):
    truth[name] = [calls, calls if segments is None else segments, exceptions, ended_unseen]


def leaf(x):
    return x


# --- two that take turns


def turns_inner(other, n):
    begin = time.perf_counter()
    for i in range(n):
        leaf(i)
        other[0].switch()
        leaf(i)
    seconds["turns_inner"] = seconds.get("turns_inner", 0) + time.perf_counter() - begin


def turns_middle(other, n):
    turns_inner(other, n)
    return leaf(n)


def turns_outer(other, n):
    return turns_middle(other, n)


def take_turns():
    """Each is in the middle of three calls whenever the other runs."""
    to_b, to_a = [], []
    a = greenlet.greenlet(lambda: turns_outer(to_b, 5))
    b = greenlet.greenlet(lambda: turns_outer(to_a, 5))
    to_b.append(b)
    to_a.append(a)
    a.switch()
    for g in (a, b):
        while not g.dead:
            g.switch()


# --- one waits while another works


def waits(hub):
    """Takes as long as the other works: its wall time spans the switch."""
    begin = time.perf_counter()
    hub.switch()
    leaf(1)
    seconds["waits"] = seconds.get("waits", 0) + time.perf_counter() - begin


def tick():
    pass


def works():
    begin = time.perf_counter()
    time.sleep(PAUSE)
    for _ in range(TICKS):
        tick()
    seconds["works"] = seconds.get("works", 0) + time.perf_counter() - begin


def wait_and_work():
    hub = greenlet.getcurrent()
    waiting = greenlet.greenlet(lambda: waits(hub))
    waiting.switch()
    works()
    waiting.switch()


# --- generators, exceptions, kills


def switching_generator(hub, n):
    for i in range(n):
        hub.switch()
        yield leaf(i)


def consumes(hub):
    for _ in switching_generator(hub, 3):
        hub.switch()


def raises_across(hub):
    hub.switch()
    raise ValueError


def catches_inside(hub):
    try:
        raises_across(hub)
    except ValueError:
        hub.switch()
        return leaf(1)


def killed_inner(hub):
    try:
        hub.switch()
    finally:
        leaf(0)


def killed(hub):
    killed_inner(hub)


def passes_up(hub):
    raises_across(hub)


def run_to_end(function):
    hub = greenlet.getcurrent()
    g = greenlet.greenlet(lambda: function(hub))
    try:
        while not g.dead:
            g.switch()
            leaf(1)
    except ValueError:
        leaf(2)


def kill():
    hub = greenlet.getcurrent()
    g = greenlet.greenlet(lambda: killed(hub))
    g.switch()
    g.throw()  # GreenletExit, which ends quietly


# --- the collector closes a generator, whose exception C code swallows, and then kills a greenlet


def guarded_generator():
    try:
        yield 1
    except GeneratorExit:
        raise


def parked_inner(hub):
    hub.switch()


def make_garbage():
    hub = greenlet.getcurrent()
    g = greenlet.greenlet(lambda: parked_inner(hub))
    g.switch()
    generator = guarded_generator()
    next(generator)
    cycle = [generator, g]
    cycle.append(cycle)


def collects_then_calls():
    make_garbage()
    gc.collect()
    return leaf(1)


def collects_last():
    make_garbage()
    gc.collect()


# --- one is killed, and before its thread calls or returns another thread's has its memory


def parked_here(hub):
    hub.switch()


def elsewhere(go, there, over):
    hub = greenlet.getcurrent()
    go.acquire()
    g = greenlet.greenlet(parked_here)
    g.switch(hub)
    leaf(1)
    there.release()
    over.acquire()
    g.switch()


def kill_and_wait(go, there):
    hub = greenlet.getcurrent()
    g = greenlet.greenlet(parked_here)
    g.switch(hub)
    g.throw()
    del g
    go.release()
    there.acquire()


def memory_goes_on():
    go, there, over = (_thread.allocate_lock() for _ in range(3))
    for lock in (go, there, over):
        lock.acquire()
    other = threading.Thread(target=elsewhere, args=(go, there, over))
    other.start()
    kill_and_wait(go, there)
    leaf(1)
    over.release()
    other.join()


# --- many at once, as a server has


def request(hub, n):
    for _ in range(n):
        step(hub)
    return leaf(n)


def step(hub):
    leaf(0)
    hub.switch()
    return leaf(1)


def many(count, steps):
    hub = greenlet.getcurrent()
    alive = [greenlet.greenlet(lambda: request(hub, steps)) for _ in range(count)]
    while alive:
        for g in alive:
            g.switch()
        alive = [g for g in alive if not g.dead]


def main():
    gc.disable()
    target.ready()
    for _ in range(ROUNDS):
        take_turns()
        wait_and_work()
        for function in (consumes, catches_inside, passes_up):
            run_to_end(function)
        kill()
        collects_then_calls()
        collects_last()
        memory_goes_on()
        many(20, 5)
    n = ROUNDS
    for name in ("collects_then_calls", "collects_last"):
        expect(name, n)
    for name in ("memory_goes_on", "kill_and_wait", "elsewhere"):
        expect(name, n)
    expect("parked_here", 2 * n, exceptions=n)
    expect("make_garbage", 2 * n)
    expect("guarded_generator", 2 * n, 4 * n, exceptions=2 * n)
    expect("parked_inner", 2 * n, exceptions=2 * n)
    for name in ("turns_outer", "turns_middle", "turns_inner"):
        expect(name, 2 * n)
    expect("waits", n)
    expect("works", n)
    expect("tick", TICKS * n)
    expect("wait_and_work", n)
    expect("consumes", n)
    expect("switching_generator", n, 4 * n)
    expect("raises_across", 2 * n, exceptions=2 * n)
    expect("catches_inside", n)
    expect("passes_up", n, exceptions=n)
    expect("killed", n, exceptions=n)
    expect("killed_inner", n, exceptions=n)
    expect("run_to_end", 3 * n)
    expect("kill", n)
    expect("many", n)
    expect("request", 20 * n)
    expect("step", 100 * n)
    # turns: 2 + 20, waits 1, generator 3, catches 1, killed 1, collects 1, memory 2, requests 20 + 200;
    # run_to_end: after 7, 3 and 1 switches that came back, and for the exception
    leaves = 22 + 1 + 3 + 1 + 1 + 1 + 2 + 220 + (7 + 3 + 1) + 1
    expect("leaf", leaves * n)
    sys.stdout.flush()
    target.done({"truth": truth, "seconds": seconds})


if __name__ == "__main__":
    main()
