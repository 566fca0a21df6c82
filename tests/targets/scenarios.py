# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Services in trouble, one a scenario, and some that are in none.

    scenarios.py SCENARIO [ARGUMENT...]

Each goes on until it is killed. "peers" and "load" are not to be traced: they are who others talk to.
"""
import queue
import socket
import subprocess
import sys
import threading
import time

import target

ARGUMENTS = sys.argv[2:]


def start(*functions):
    for function in functions:
        threading.Thread(target=function, daemon=True).start()
    time.sleep(1000)


# --- on the CPU, and the GIL


def burn():
    n = 0
    while True:
        n += 1


def cpu():
    burn()


def spinners():
    start(burn, burn)


def nap():
    time.sleep(0.002)


def naps():
    while True:
        nap()


def ask_echo(echo):
    echo.stdin.write(b"x")
    echo.stdin.flush()
    echo.stdout.read(1)


ECHO = """
import os
while True:
    os.write(1, os.read(0, 1) or os._exit(0))
"""


def asks_echo():
    command, pipe = [sys.executable, "-Sc", ECHO], subprocess.PIPE
    echo = subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0)
    while True:
        ask_echo(echo)


def convoy():
    """Threads that read, with one that computes."""
    start(burn, asks_echo, asks_echo)


def backtrack():
    import re

    slow = re.compile("(a+)+b")
    while True:
        slow.match("a" * 21)


def regex():
    start(backtrack, naps)


def doze():
    import ctypes

    c = ctypes.PyDLL(None)
    while True:
        c.usleep(20000)


def pydll():
    start(doze, naps, naps)


def storm():
    import gc

    live = [[i] for i in range(200000)]
    while live:
        for _ in range(20000):
            pass
        gc.collect()


def gc_storm():
    storm()


# --- on each other

lock = threading.Lock()


def render():
    """It holds the GIL in C code of the library, some 20 ms."""
    import json

    return json.dumps(ROWS)


ROWS = [{"name": "x" * 20, "values": list(range(50))}] * 4000 if sys.argv[1] == "rendering" else []


def renders():
    while True:
        render()


def rendering():
    start(renders, naps)


def take():
    lock.acquire()


def give():
    lock.release()


def guarded():
    while True:
        take()
        time.sleep(0.003)
        give()


def locks():
    start(guarded, guarded, guarded, guarded)


items = queue.Queue()


def produce():
    while True:
        time.sleep(0.02)
        items.put(1)


def consume():
    while True:
        items.get()


def slow_queue():
    start(produce, consume)


slots = threading.Semaphore(2)


def enter():
    slots.acquire()


def leave():
    slots.release()


def limited():
    while True:
        enter()
        time.sleep(0.003)
        leave()


def semaphore():
    start(*[limited] * 8)


room = queue.Queue(4)


def fill():
    room.put(1)


def fills():
    while True:
        fill()


def empty():
    room.get()


def empties():
    while True:
        empty()
        time.sleep(0.01)


def full_queue():
    start(fills, empties)


connections = [1, 2]
given_back = threading.Condition()


def borrow():
    with given_back:
        while not connections:
            given_back.wait()
        return connections.pop()


def give_back(connection):
    with given_back:
        connections.append(connection)
        given_back.notify()


def borrows():
    while True:
        connection = borrow()
        time.sleep(0.003)
        give_back(connection)


def small_pool():
    start(*[borrows] * 8)


# --- on others


def answers(connection, delay):
    while connection.recv(1):
        time.sleep(delay)
        connection.sendall(b"y")


def accepts(listener, delay):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answers, args=(connection, delay), daemon=True).start()


def listen():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


LISTENERS = [listen() for _ in range(4)] if sys.argv[1] == "peers" else []


def peers():
    """The first of four is slow."""
    start(*[lambda d=d, s=s: accepts(s, d) for s, d in zip(LISTENERS, (0.05, 0, 0, 0))])


def ask(connection):
    connection.sendall(b"x")
    connection.recv(1)


def slow_peer():
    connections = [socket.create_connection(("127.0.0.1", int(port))) for port in ARGUMENTS]
    while True:
        for connection in connections:
            ask(connection)


def ask_polled(connection, selector):
    connection.sendall(b"x")
    selector.select()
    connection.recv(1)


def polled_peer():
    import selectors

    connection = socket.create_connection(("127.0.0.1", int(ARGUMENTS[0])))
    selector = selectors.EpollSelector()
    selector.register(connection, selectors.EVENT_READ)
    while True:
        ask_polled(connection, selector)


def save(file):
    import os

    file.write(b"x" * 4096)
    file.flush()
    os.fsync(file.fileno())


def slow_disk():
    with open(ARGUMENTS[0], "wb") as file:
        while True:
            file.seek(0)
            save(file)


COLD, APART = 32 << 20, 128 << 10  # bytes: with each page as many are read as lie between two


def scan(pages):
    for at in range(0, COLD, APART):
        pages[at]


def cold_pages():
    """What it reads was never kept in memory."""
    import mmap
    import os

    with open(ARGUMENTS[0], "wb+") as file:
        file.write(b"x" * COLD)
        file.flush()
        os.fsync(file.fileno())
        pages = mmap.mmap(file.fileno(), COLD)
        while True:
            pages.madvise(mmap.MADV_DONTNEED)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            scan(pages)


SLOW_ECHO = """
import os, time
while True:
    byte = os.read(0, 1) or os._exit(0)
    time.sleep(0.01)
    os.write(1, byte)
"""


def start_slow_echo(stdin, stdout):
    command = [sys.executable, "-Sc", SLOW_ECHO]
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, bufsize=0)


def slow_pipe():
    echo = start_slow_echo(subprocess.PIPE, subprocess.PIPE)
    while True:
        ask_echo(echo)


def mixed():
    """A third of its time each: a pipe, a socket, the CPU."""
    echo = start_slow_echo(subprocess.PIPE, subprocess.PIPE)
    ours, theirs = socket.socketpair()
    start_slow_echo(theirs, theirs)
    while True:
        ask_echo(echo)
        ask(ours)
        for _ in range(5):
            work()


def build():
    subprocess.call([ARGUMENTS[0], "-Sc", "import time; time.sleep(0.2)"])


def child():
    while True:
        build()


def capture():
    command = [sys.executable, "-Sc", "import time; time.sleep(0.2)"]
    subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def captured():
    while True:
        capture()


def wait_long():
    subprocess.Popen([sys.executable, "-Sc", "import time; time.sleep(0.2)"]).wait(10)


def impatient():
    while True:
        wait_long()


def check_output():
    subprocess.check_output([sys.executable, "-Sc", "import time; time.sleep(0.2)"])


def one_pipe():
    while True:
        check_output()


kept = []


def grow():
    kept.append(b"x" * 200000)


def memory():
    while True:
        grow()
        time.sleep(0.01)


def throttled():
    burn()


def preempted():
    burn()


def rest():
    time.sleep(0.001)


def woken_late():
    while True:
        rest()


def computing():
    while True:
        for _ in range(3):
            work()
        time.sleep(0.004)


# --- event loops


def blocks():
    time.sleep(0.15)


async def serves():
    import asyncio

    while True:
        blocks()
        await asyncio.sleep(0.05)


async def ticks():
    import asyncio

    while True:
        await asyncio.sleep(0.01)


async def both(first, second):
    import asyncio

    await asyncio.gather(first(), second())


def blocked_loop():
    import asyncio

    asyncio.run(both(serves, ticks))


def crunch():
    import gevent

    while True:
        for _ in range(300000):
            pass
        gevent.sleep(0)


def gevent_naps():
    import gevent

    while True:
        gevent.sleep(0.01)


def gevent_busy():
    """One greenlet leaves the others hardly any time."""
    import gevent

    gevent.joinall([gevent.spawn(crunch), gevent.spawn(gevent_naps)])


# --- no trouble


def idle():
    """A pool without work, and a server without clients."""
    import concurrent.futures

    pool = concurrent.futures.ThreadPoolExecutor(4)
    for done in [pool.submit(time.sleep, 0.05) for _ in range(4)]:
        done.result()
    accepts(listen(), 0)


todo = []
added = threading.Condition()


def works_off():
    while True:
        with added:
            added.wait_for(lambda: todo)
            todo.pop()
        work()


def adds():
    while True:
        time.sleep(0.05)
        with added:
            todo.append(1)
            added.notify()


def own_workers():
    """Workers of the program's own that have little to do."""
    start(works_off, works_off, works_off, adds)


def work():
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass


def server():
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept

        def do_GET(self):
            work()
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


HTTP = server() if sys.argv[1] == "healthy" else None


def healthy():
    """Threads that answer some forty requests a second."""
    HTTP.serve_forever()


def gets():
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", int(ARGUMENTS[0]))
    while True:
        connection.request("GET", "/")
        connection.getresponse().read()
        time.sleep(0.1)


def load():
    start(gets, gets, gets, gets)


def says(connection):
    while True:
        connection.sendall(b"word\n")
        time.sleep(0.1)


def silent_clients():
    """A server with a protocol of its own: its clients are connected, and mostly say nothing."""
    import socketserver

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            for _ in self.rfile:
                work()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as own:
        own.daemon_threads = True
        clients = [socket.create_connection(own.server_address) for _ in range(4)]
        start(own.serve_forever, lambda: says(clients[0]))


async def works():
    import asyncio

    while True:
        work()
        await asyncio.sleep(0.05)


def healthy_loop():
    import asyncio

    asyncio.run(both(works, works))


def told():
    if HTTP:
        return [HTTP.server_address[1]]
    return [listener.getsockname()[1] for listener in LISTENERS]


if __name__ == "__main__":
    target.ready(told())
    globals()[sys.argv[1]]()
