# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Coroutines, asyncio, and generators entered by throw() and close(), for counts.py."""
import asyncio
import contextlib
import types

from counts_calls import leaf, raise_value, raises


# --- coroutines


class Pause:
    def __await__(self):
        got = yield "paused"
        return got


@types.coroutine
def old_style(x):
    got = yield x
    return got


async def wait_once(x):
    return await Pause()


async def wait_deep(n):
    if n == 0:
        return await wait_once(n)
    return await wait_deep(n - 1) + 1


async def waits_in_loop(n):
    total = 0
    for i in range(n):
        total += await wait_once(i)
        total += await old_style(i)
    return total


async def never_waits(x):
    return leaf(x)


async def calls_never_waits(n):
    return [await never_waits(i) for i in range(n)]


async def fails_after_wait(x):
    await Pause()
    return raise_value(x)


def drive(coroutine):
    """Run a coroutine to its end, answering 1 to whatever it waits for."""
    try:
        coroutine.send(None)
        while True:
            coroutine.send(1)
    except StopIteration as e:
        return e.value


def coroutines():
    for _ in range(20):
        drive(wait_once(1))
        drive(wait_deep(5))
        drive(waits_in_loop(5))
        drive(calls_never_waits(5))
        try:
            drive(fails_after_wait(1))
        except ValueError:
            leaf(1)


async def ticker(n):
    for i in range(n):
        yield i
        await asyncio.sleep(0)


async def worker(n):
    total = 0
    async for i in ticker(n):
        total += leaf(i)
    return total


class AsyncGuard:
    async def __aenter__(self):
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *error):
        return leaf(True)


async def produce(queue):
    for i in range(10):
        await queue.put(i)
    await queue.put(None)


async def consume(queue):
    total = 0
    while (got := await queue.get()) is not None:
        total += leaf(got)
    return total


async def async_main():
    await asyncio.gather(*(worker(5) for _ in range(5)))
    async with AsyncGuard():
        leaf(1)
    async with AsyncGuard():
        raise_value(1)
    assert [x async for x in ticker(5)] == list(range(5))
    queue = asyncio.Queue(2)
    await asyncio.gather(produce(queue), consume(queue))
    results = await asyncio.gather(fails_in_loop(1), worker(3), return_exceptions=True)
    return len(results)


async def fails_in_loop(x):
    await asyncio.sleep(0)
    return raise_value(x)


# --- throw() and close()


def handles_throw():
    value = None
    while True:
        try:
            value = yield value
        except KeyError:
            value = "caught"


def no_handler():
    yield 1
    yield 2


def cleans_up():
    try:
        yield 1
        yield 2
    finally:
        leaf(0)


def waits_for_exit():
    try:
        yield 1
    except GeneratorExit:
        leaf(1)
        raise


def through_delegation():
    try:
        yield from handles_throw()
    except ValueError:
        yield "outer"


@contextlib.contextmanager
def managed(x):
    try:
        yield x
    except ValueError:
        leaf(x)


async def is_cancelled():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        leaf(1)
        raise


async def awaits_cancelled():
    await is_cancelled()


async def guarded_ticker():
    try:
        while True:
            yield 1
    finally:
        await asyncio.sleep(0)
        leaf(2)


async def async_throw_main():
    tasks = [asyncio.ensure_future(awaits_cancelled()) for _ in range(5)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(5):
        closed = guarded_ticker()
        async for _ in closed:
            break
        await closed.aclose()
        thrown = guarded_ticker()
        await thrown.__anext__()
        try:
            await thrown.athrow(KeyError())
        except KeyError:
            leaf(3)


def throw_and_close():
    for _ in range(50):
        g = handles_throw()
        next(g)
        g.throw(KeyError())
        g.throw(KeyError())
        g.send(1)
        g.close()
        g = no_handler()
        next(g)
        raises(g.throw, KeyError("not handled"))
        for make in (cleans_up, waits_for_exit):
            g = make()
            next(g)
            g.close()
            g = make()
            next(g)
            raises(g.throw, LookupError("not handled"))
            g = make()
            next(g)
            del g
        g = through_delegation()
        next(g)
        g.throw(KeyError())
        g.throw(ValueError())
        g.close()
        with managed(1):
            raise_value(1)
        with managed(2):
            leaf(2)
        leaf(4)
    asyncio.run(async_throw_main())
