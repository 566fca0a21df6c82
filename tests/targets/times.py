# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Functions that take a known time for a known reason, with their own stamps.

    times.py MODE

The result is {"stamps": {function: [ns, ...]}, ...}. Every stamped function does one thing, and
stamps itself from inside, so that what the probes cost at its edges is not in the stamps.

`sleep`    200 sleeps of 5 ms, and 200 of 1 to 30 ms (for the quantiles)
`spin`     two threads that only compute, for 3 s
`classes`  one function for every class of wait
`threads`  threads of every temper until released; tells their ids when ready
`steady`   the same: one computes, four sleep; "ticks" is when tick() was called
`runq`     computes for 2 s (the test puts something else on the same CPU)
`suspended` generators and coroutines that run and are suspended; "running" and "suspended" are
           {function: [ns of each call, ...]}
"""
import asyncio
import os
import queue
import select
import socket
import subprocess
import sys
import threading
import time

import target

now = time.perf_counter_ns
stamps = {}


def stamp(name, begin):
    stamps.setdefault(name, []).append(now() - begin)


# --- sleep


def nap():
    begin = now()
    time.sleep(0.005)
    stamp("nap", begin)


def nap_unevenly(i):
    begin = now()
    time.sleep(0.001 + 0.029 * (i * 61 % 200 / 200) ** 3)
    stamp("nap_unevenly", begin)


def sleep():
    for i in range(200):
        nap()
    for i in range(200):
        nap_unevenly(i)


# --- spin


def burn(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


def spinner(seconds):
    begin = now()
    while now() - begin < seconds * 1e9:
        burn(20000)
    stamp("spinner", begin)


def spin():
    threads = [threading.Thread(target=spinner, args=(3,)) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def runq():
    spinner(2)


# --- one function for each class

ROUNDS = 30


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


def answer_slowly(connection, seconds):
    while connection.recv(64):
        time.sleep(seconds)
        connection.sendall(b"reply")


def ask_tcp(connection):
    begin = now()
    connection.sendall(b"question")
    connection.recv(64)
    stamp("ask_tcp", begin)


def ask_with_timeout(connection):
    begin = now()
    connection.sendall(b"question")
    connection.recv(64)
    stamp("ask_with_timeout", begin)


def ask_unix(connection):
    begin = now()
    connection.sendall(b"question")
    connection.recv(64)
    stamp("ask_unix", begin)


def ask_process(connection):
    begin = now()
    connection.sendall(b"question")
    connection.recv(64)
    stamp("ask_process", begin)


def tcp_pair():
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    listener.close()
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, server


def talk(pair, ask, timeout=None):
    client, server = pair
    client.settimeout(timeout)
    thread = in_thread(answer_slowly, server, 0.02)
    for _ in range(ROUNDS):
        ask(client)
    client.close()
    thread.join()
    server.close()


def talk_to_process():
    client, server = tcp_pair()
    child = os.fork()
    if child == 0:
        client.close()
        answer_slowly(server, 0.02)
        os._exit(0)
    server.close()
    for _ in range(ROUNDS):
        ask_process(client)
    client.close()
    os.waitpid(child, 0)
    return child


def take_lock(lock):
    begin = now()
    lock.acquire()
    stamp("take_lock", begin)
    lock.release()


def hold_lock(lock, held, wanted):
    """Hold the lock for 2 ms, once for each time somebody is about to want it."""
    for _ in range(ROUNDS):
        lock.acquire()
        held.release()
        time.sleep(0.002)
        lock.release()
        wanted.acquire()


def contend():
    lock, held, wanted = threading.Lock(), threading.Semaphore(0), threading.Semaphore(0)
    thread = in_thread(hold_lock, lock, held, wanted)
    for _ in range(ROUNDS):
        held.acquire()
        take_lock(lock)
        wanted.release()
    thread.join()


def take_item(items):
    begin = now()
    items.get()
    stamp("take_item", begin)


def put_items(items):
    for i in range(ROUNDS):
        time.sleep(0.004)
        items.put(i)


def use_queue():
    items = queue.Queue()
    thread = in_thread(put_items, items)
    for _ in range(ROUNDS):
        take_item(items)
    thread.join()


def await_event(event):
    begin = now()
    event.wait(0.005)
    stamp("await_event", begin)


def wait_for_nothing():
    event = threading.Event()
    for _ in range(ROUNDS):
        await_event(event)


def write_and_sync(fd):
    os.write(fd, b"x" * 65536)
    begin = now()
    os.fsync(fd)
    stamp("write_and_sync", begin)


def use_disk():
    name = os.path.join(os.path.dirname(os.path.abspath(__file__)), "times.data")
    fd = os.open(name, os.O_CREAT | os.O_WRONLY, 0o600)
    for _ in range(ROUNDS):
        write_and_sync(fd)
    os.close(fd)
    os.unlink(name)


def read_pipe(fd):
    begin = now()
    os.read(fd, 1)  # not two that came together
    stamp("read_pipe", begin)


def write_pipe(fd):
    for _ in range(ROUNDS):
        time.sleep(0.003)
        os.write(fd, b"x")


def use_pipe():
    reader, writer = os.pipe()
    thread = in_thread(write_pipe, writer)
    for _ in range(ROUNDS):
        read_pipe(reader)
    thread.join()
    os.close(reader)
    os.close(writer)


def await_child(child):
    begin = now()
    child.wait()
    stamp("await_child", begin)


def use_children():
    program = "import time; time.sleep(0.05)"
    for _ in range(5):
        await_child(subprocess.Popen([sys.executable, "-I", "-S", "-c", program]))


def poll_two(first, second):
    begin = now()
    select.select([first, second], [], [], 0.004)
    stamp("poll_two", begin)


def poll_epoll(poller):
    begin = now()
    poller.poll(0.004)
    stamp("poll_epoll", begin)


def use_poll():
    first, first_end = os.pipe()
    second, second_end = os.pipe()
    poller = select.epoll()
    poller.register(first)
    poller.register(second)
    for _ in range(ROUNDS):
        poll_two(first, second)
        poll_epoll(poller)
    poller.close()
    for fd in (first, first_end, second, second_end):
        os.close(fd)


def short_nap():
    begin = now()
    time.sleep(0.002)
    stamp("short_nap", begin)


def use_sleep():
    for _ in range(ROUNDS):
        short_nap()


EXPECTED = {
    "ask_tcp": "net",
    "ask_with_timeout": "net",
    "ask_unix": "net",
    "ask_process": "net",
    "take_lock": "lock",
    "take_item": "lock",
    "await_event": "lock",
    "write_and_sync": "disk",
    "read_pipe": "pipe",
    "await_child": "child",
    "poll_two": "poll",
    "poll_epoll": "poll",
    "short_nap": "sleep",
}


DEEPER = ("take_item", "await_event", "await_child")  # these wait in what they call, in Python


def classes():
    talk(tcp_pair(), ask_tcp)
    talk(tcp_pair(), ask_with_timeout, timeout=5)
    talk(socket.socketpair(), ask_unix)
    child = talk_to_process()
    contend()
    use_queue()
    wait_for_nothing()
    use_disk()
    use_pipe()
    use_children()
    use_poll()
    use_sleep()
    return {"classes": EXPECTED, "deeper": DEEPER, "child": child}


# --- running and suspended

running, suspended = {}, {}


class Account:
    """A generator's or coroutine's own: how long it ran and how long it was suspended."""

    def __init__(self, name):
        self.name = name
        self.ran = self.waited = 0
        self.since = now()

    def stops(self):
        at = now()
        self.ran += at - self.since
        self.since = at

    def goes_on(self):
        at = now()
        self.waited += at - self.since
        self.since = at

    def ends(self):
        self.stops()
        running.setdefault(self.name, []).append(self.ran)
        suspended.setdefault(self.name, []).append(self.waited)


def spend(ns):
    begin = now()
    while now() - begin < ns:
        pass


def generates(i):
    account = Account("generates")
    for _ in range(3):
        spend(500000 + 50000 * i)
        account.stops()
        yield
        account.goes_on()
    account.ends()


def delegates(i):
    account = Account("delegates")
    for _ in range(2):
        account.stops()
        yield
        account.goes_on()
        time.sleep(0.001)
        account.stops()  # what the one below runs is ours too, but for what it is suspended
        inner = Account("")
        yield from generates_within(inner)
        account.ran += inner.ran
        account.waited += inner.waited
        account.since = now()
    account.ends()


def generates_within(account):
    spend(300000)
    account.stops()
    yield
    account.goes_on()
    spend(300000)
    account.stops()


def is_thrown_into(i):
    account = Account("is_thrown_into")
    spend(1000000)
    try:
        account.stops()
        yield
    except ValueError:
        account.goes_on()
        spend(500000)
    account.stops()
    yield
    account.goes_on()
    account.ends()


def drive(generator, throws=False):
    next(generator)
    time.sleep(0.002)
    if throws:
        generator.throw(ValueError())
        time.sleep(0.001)
    for _ in generator:
        time.sleep(0.002)


async def sleeps(i):
    account = Account("sleeps")
    loop = asyncio.get_running_loop()
    for _ in range(3):
        spend(400000)
        future = loop.create_future()
        loop.call_later(0.002 + 0.0005 * i, future.set_result, None)
        account.stops()
        await future  # nothing of ours runs in this
        account.goes_on()
    time.sleep(0.001)  # blocks: it runs, for all that anybody can tell
    account.ends()


async def paces(i):
    account = Account("paces")
    for _ in range(3):
        spend(400000)
        account.stops()
        yield  # to who iterates over it
        account.goes_on()
    account.ends()


async def iterates(i):
    async for _ in paces(i):
        await asyncio.sleep(0.002)


async def all_together():
    for i in range(10):
        await asyncio.gather(*(sleeps(i) for _ in range(3)), iterates(i))


def suspends():
    for i in range(20):
        drive(generates(i))
        drive(delegates(i))
        drive(is_thrown_into(i), throws=True)
    asyncio.run(all_together())
    return {"running": running, "suspended": suspended}


# --- threads


def computing(stop):
    while not stop:
        burn(20000)


def napping(stop):
    while not stop:
        time.sleep(0.005)


def blocked(lock):
    with lock:
        pass


def alternating(stop):
    while not stop:
        burn(5000)
        time.sleep(0.001)


ticks = []


def tick():
    ticks.append(time.time())


def ticking(stop):
    while not stop:
        tick()
        time.sleep(0.002)


def asleep(seconds):
    time.sleep(seconds)


def all_there(temper):
    """Threads that are there before the tracer comes, and until the test releases us."""
    ids = {}

    def run(function, argument):
        ids[function.__name__] = target.native_id()
        function(argument)

    running = [in_thread(run, *pair) for pair in temper.items()]
    while len(ids) < len(running):
        time.sleep(0.01)
    ids["main"] = target.native_id()
    target.ready(ids)


def threads():
    stop, lock = [], threading.Lock()
    lock.acquire()
    all_there({computing: stop, napping: stop, blocked: lock, alternating: stop})
    target.done(None)


def steady():
    stop, lock = [], threading.Lock()
    lock.acquire()
    all_there({computing: stop, napping: stop, blocked: lock, ticking: stop, asleep: 60})
    target.done({"ticks": ticks})


MODES = {"sleep": sleep, "spin": spin, "classes": classes, "runq": runq, "suspended": suspends}


def main():
    mode = sys.argv[1]
    if mode in ("threads", "steady"):
        {"threads": threads, "steady": steady}[mode]()
    target.ready()
    more = MODES[mode]() or {}
    target.done(dict(more, stamps=stamps))


if __name__ == "__main__":
    main()
