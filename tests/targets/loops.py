# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""An asyncio event loop whose tasks and callbacks keep their own account.

    loops.py tasks          tasks of many names, some of which block the loop, and other callbacks
    loops.py many           more names of tasks than the tracer has room for
    loops.py rate           callbacks and task steps as fast as it can, for tests/bench/loops

The result of `tasks`: {"steps": {function: {task: count}}, "called": {function: count},
"blocked": {function: [ns, ...]}}. A step is a stretch of a task between two suspensions; what
blocks does so for 12 ms and more, and takes its own time from inside.
"""
import asyncio
import functools
import sys
import time

import target

now = time.perf_counter_ns
STEPS = 50
LONG = "a name of more than forty-four characters, which is cut"
HOSTILE = "\x1b[31mred\n\u202e{}"
OTHER = "\u0431\u0430\u0437\u0430"

steps, called, blocked = {}, {}, {}


def step(function, task):
    of = steps.setdefault(function, {})
    of[task] = of.get(task, 0) + 1


def block(function, seconds):
    begin = now()
    time.sleep(seconds)
    blocked.setdefault(function, []).append(now() - begin)


def spin(function, seconds):
    begin = now()
    while now() - begin < seconds * 1e9:
        pass
    blocked.setdefault(function, []).append(now() - begin)


# --- tasks


async def yields(task, count):
    step("yields", task)
    for _ in range(count):
        await asyncio.sleep(0)
        step("yields", task)


async def inner(count):
    """Awaited by a task: its segments are the steps of that."""
    for _ in range(count):
        await asyncio.sleep(0)
        step("outer", "nests")


async def outer():
    step("outer", "nests")
    await inner(STEPS)
    await inner(STEPS)


async def waits(task, future):
    step("waits", task)
    await future
    step("waits", task)


async def raises(task):
    step("raises", task)
    await asyncio.sleep(0)
    step("raises", task)
    raise ValueError


async def is_cancelled(task):
    step("is_cancelled", task)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        step("is_cancelled", task)


async def blocks(task):
    step("blocks", task)
    await asyncio.sleep(0)
    step("blocks", task)
    block("blocks", 0.02)
    await asyncio.sleep(0)
    step("blocks", task)
    spin("blocks", 0.03)


class Own(asyncio.Task):
    """A class of its own."""


async def tasks(loop):
    futures = [loop.create_future() for _ in range(3)]
    running = [
        loop.create_task(yields("worker-1", STEPS), name="worker-1"),
        loop.create_task(yields("worker-2", 2 * STEPS), name="worker-2"),
        loop.create_task(yields(OTHER, STEPS), name=OTHER),
        loop.create_task(yields(LONG, STEPS), name=LONG),
        loop.create_task(yields(HOSTILE, STEPS), name=HOSTILE),
        loop.create_task(yields("Task-*", STEPS)),
        loop.create_task(yields("Task-*", STEPS)),
        loop.create_task(yields("Task-7b", STEPS), name="Task-7b"),
        loop.create_task(outer(), name="nests"),
        loop.create_task(raises("raises"), name="raises"),
        loop.create_task(blocks("the blocker"), name="the blocker"),
        Own(yields("of its own", STEPS), loop=loop, name="of its own"),
    ]
    running += [loop.create_task(waits("waiter", f), name="waiter") for f in futures]
    renamed = loop.create_task(yields("renamed", STEPS), name="before")
    renamed.set_name("renamed")
    cancelled = loop.create_task(is_cancelled("cancelled"), name="cancelled")
    for i, future in enumerate(futures):
        loop.call_later(0.005 * i, future.set_result, None)
    loop.call_later(0.02, cancelled.cancel)
    await asyncio.gather(renamed, cancelled, *running, return_exceptions=True)


# --- other callbacks


def count(function):
    called[function] = called.get(function, 0) + 1


def plain(seconds):
    count("plain")
    block("plain", seconds)


def quick():
    count("quick")


def in_partial(seconds, unused=None):
    count("in_partial")
    spin("in_partial", seconds)


class Object:
    def method(self, seconds):
        count("method")
        block("method", seconds)

    def __call__(self, seconds):
        count("<Object object>")
        block("<Object object>", seconds)


def cancels_itself(handle):
    count("_run")
    handle[0].cancel()
    block("_run", 0.02)


def built_in(seconds):
    count("<built-in sleep>")
    blocked.setdefault("<built-in sleep>", []).append(int(seconds * 1e9))


async def callbacks(loop):
    thing = Object()
    for i in range(20):
        loop.call_soon(quick)
    for i in range(3):
        loop.call_soon(plain, 0.012 + i / 100)
        loop.call_soon(functools.partial(functools.partial(in_partial, unused=1), 0.02))
        loop.call_later(0.001, thing.method, 0.015)
        loop.call_soon(functools.partial(thing.method, 0.015))
        loop.call_soon(thing, 0.025)
        loop.call_soon(time.sleep, 0.02)
        built_in(0.02)
    handle = []
    handle.append(loop.call_soon(cancels_itself, handle))
    await asyncio.sleep(0.3)


async def work():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    await tasks(loop)
    await callbacks(loop)


# --- many

MANY = 9000


async def nothing():
    pass


async def many():
    loop = asyncio.get_running_loop()
    for i in range(MANY):
        await loop.create_task(nothing(), name=f"number {i}")
    return {"names": MANY}


# --- rate


BATCH = 200  # short: so that the quietest of many is really quiet


async def pass_of(schedule):
    """One pass of the loop over as many callbacks as `schedule` makes: what one took."""
    loop = asyncio.get_running_loop()
    done, stamps = loop.create_future(), []
    loop.call_soon(lambda: stamps.append(now()))
    for _ in range(BATCH):
        schedule(loop)
    loop.call_soon(lambda: (stamps.append(now()), done.set_result(None)))
    await done
    return (stamps[1] - stamps[0]) / BATCH


async def rate():
    nothing_in_c = [].clear
    kinds = {
        "callbacks": lambda loop: loop.call_soon(nothing_in_c),
        "steps": lambda loop: loop.create_task(nothing(), name="of one step"),
    }
    taken = {kind: [] for kind in kinds}
    for _ in range(200):
        for kind, schedule in kinds.items():
            taken[kind].append(await pass_of(schedule))
    return {kind: min(of) for kind, of in taken.items()}


def main():
    target.ready()
    if sys.argv[1] != "tasks":
        target.done(asyncio.run({"many": many, "rate": rate}[sys.argv[1]]()))
    asyncio.run(work())
    target.done({"steps": steps, "called": called, "blocked": blocked})


if __name__ == "__main__":
    main()
