# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""An ASGI application that stamps its handlers' runs by its own clock; run by uvicorn.

PEER_PORT is that of somebody who answers late. A request's query is how many milliseconds it shall take.
At its end the stamps go to the file STAMPS: {handler: [[nanoseconds running, nanoseconds in all]]}.
"""
import asyncio
import json
import os
import time

PEER = ("127.0.0.1", int(os.environ["PEER_PORT"]))
PIECES = 4
stamps = {}


class Timed:
    """Runs a coroutine, and times each of its runs as well as the whole."""

    def __init__(self, coroutine):
        self.steps = coroutine.__await__()
        self.running = self.total = 0

    def __await__(self):
        begin = time.monotonic_ns()
        go_on, value = self.steps.send, None
        try:
            while True:
                resumed = time.monotonic_ns()
                try:
                    wanted = go_on(value)
                except StopIteration:
                    return
                finally:
                    self.running += time.monotonic_ns() - resumed
                try:
                    go_on, value = self.steps.send, (yield wanted)
                except BaseException as e:
                    go_on, value = self.steps.throw, e
        finally:
            self.total = time.monotonic_ns() - begin


def step(x):
    return x * 31 % 65521


def burn(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(5000))


async def start(send):
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def piece(send, body, more=False):
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def reply(send, body=b"done\n"):
    await start(send)
    await piece(send, body)


async def cpu(seconds, receive, send):
    x = 1
    for _ in range(200):
        x = step(x)
    burn(seconds)
    await reply(send)


async def sleeps(seconds, receive, send):
    step(1)
    await asyncio.sleep(seconds)
    step(2)
    await reply(send)


async def mixed(seconds, receive, send):
    """Works as long as it waits, by turns."""
    for _ in range(PIECES):
        burn(seconds / PIECES)
        await asyncio.sleep(seconds / PIECES)
    await reply(send)


async def ask(seconds):
    reader, writer = await asyncio.open_connection(*PEER)
    try:
        writer.write(b"%d\n" % (seconds * 1000))
        return await reader.readline()
    finally:
        writer.close()


async def asks(seconds, receive, send):
    await reply(send, await ask(seconds))


async def pieces(seconds):
    for _ in range(PIECES):
        await asyncio.sleep(seconds / PIECES)
        yield b".\n"


async def streams(seconds, receive, send):
    await start(send)
    async for body in pieces(seconds):
        await piece(send, body, more=True)
    await piece(send, b"")


async def raises(seconds, receive, send):
    await asyncio.sleep(seconds)
    raise ValueError("on purpose")


async def victim():
    try:
        await asyncio.sleep(60)
    finally:
        step(3)


async def times_out(seconds, receive, send):
    try:
        await asyncio.wait_for(victim(), seconds)
    except asyncio.TimeoutError:
        await reply(send, b"too late\n")


async def gone(seconds, receive, send):
    """The client does not wait for the answer."""
    task = asyncio.ensure_future(victim())
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass


HANDLERS = {
    f"/{f.__name__}": f for f in (cpu, sleeps, mixed, asks, streams, raises, times_out, gone)
}


async def lifespan(receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            with open(os.environ["STAMPS"], "w") as file:
                json.dump(stamps, file)
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    handler = HANDLERS[scope["path"]]
    timed = Timed(handler(int(scope["query_string"]) / 1000, receive, send))
    try:
        await timed
    finally:
        stamps.setdefault(handler.__name__, []).append([timed.running, timed.total])
