# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Functions that wait for a known peer, file, child or set of descriptors.

    io_waits.py MODE

`targets` each function waits ROUNDS times for one thing; the result says for what, in the words of
          the report: {"targets": {function: [class, target]}, "stamps": {function: [ns, ...]}};
          a target that begins with "..." is the end of it
`peers`   one function asks four peers in turn, of which one is slow
`repeats` functions that wait for one peer many times in a call; the result says how often
`loop`    an event loop that mostly waits
The peers are a process of their own, forked before the test attaches.
"""
import asyncio
import ctypes
import fcntl
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

import target

ROUNDS = 20
now = time.perf_counter_ns
stamps, targets = {}, {}


def stamped(wait_class, what, function, *args):
    for _ in range(ROUNDS):
        begin = now()
        function(*args)
        stamps.setdefault(function.__name__, []).append(now() - begin)
    targets[function.__name__] = [wait_class, what]


# --- the peers: each answers after as long as it is asked to


def answer(connection):
    while True:
        asked = connection.recv(16)
        if not asked:
            return
        time.sleep(int(asked) / 1000)
        connection.sendall(b"x")


def serve(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def in_peer(function):
    """Run it in a forked process, for as long as ours lives."""
    ours, theirs = os.pipe()
    if os.fork():
        os.close(ours)
        return
    os.close(theirs)
    threading.Thread(target=function, daemon=True).start()
    os.read(ours, 1)
    os._exit(0)


def peer(family, address):
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen(16)
    in_peer(lambda: serve(listener))
    name = listener.getsockname()
    listener.close()
    return name


def connected(family, name):
    connection = socket.socket(family)
    connection.connect(name)
    return connection


def ask(connection, ms):
    connection.sendall(b"%d" % ms)
    return connection.recv(16)


# --- sockets


def ask_four(connection):
    ask(connection, 3)


def ask_six(connection):
    ask(connection, 3)


def ask_with_timeout(connection):
    ask(connection, 3)


def ask_unix(connection):
    ask(connection, 3)


def ask_abstract(connection):
    ask(connection, 3)


def ask_pair(connection):
    ask(connection, 3)


def select_one(connection):
    connection.sendall(b"3")
    select.select([connection], [], [], 5)
    connection.recv(16)


def accept_one(listener, far):
    far.send(b"3")
    listener.accept()[0].close()


def read_client(connection):
    connection.recv(1)


def sockets():
    four = peer(socket.AF_INET, ("127.0.0.1", 0))
    six = peer(socket.AF_INET6, ("::1", 0))
    path = tempfile.mktemp(dir="/tmp", prefix="io-waits-")
    hidden = "io-waits-%d" % os.getpid()
    peer(socket.AF_UNIX, path)
    peer(socket.AF_UNIX, "\0" + hidden)
    near, far = socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))
    own = listener.getsockname()
    asks_us, hears = socket.socketpair()
    in_peer(lambda: answer(far))
    far.close()

    def connects():
        while True:
            hears.recv(1)
            time.sleep(0.003)
            socket.create_connection(own).close()

    in_peer(connects)

    def talks():
        connection = socket.create_connection(own)
        for _ in range(2 * ROUNDS):
            time.sleep(0.003)
            connection.sendall(b"x")
        connection.close()

    yield
    at_four = "127.0.0.1:%d" % four[1]
    stamped("net", at_four, ask_four, connected(socket.AF_INET, four))
    stamped("net", "[::1]:%d" % six[1], ask_six, connected(socket.AF_INET6, six))
    patient = connected(socket.AF_INET, four)
    patient.settimeout(5)
    stamped("net", at_four, ask_with_timeout, patient)
    stamped("net", "unix:" + path, ask_unix, connected(socket.AF_UNIX, path))
    stamped("net", "unix:@" + hidden, ask_abstract, connected(socket.AF_UNIX, "\0" + hidden))
    stamped("net", "unix socket", ask_pair, near)
    stamped("net", at_four, select_one, connected(socket.AF_INET, four))
    stamped("net", "listening on 127.0.0.1:%d" % own[1], accept_one, listener, asks_us)
    threading.Thread(target=talks, daemon=True).start()
    connection, _ = listener.accept()
    stamped("net", "client 127.0.0.1 of port %d" % own[1], read_client, connection)
    while connection.recv(64):
        pass
    os.unlink(path)


# --- many descriptors


def poll_many(poll, connection):
    connection.sendall(b"3")
    poll.poll(5000)
    connection.recv(16)


def select_many(connections):
    connections[0].sendall(b"3")
    select.select(connections, [], [], 5)
    connections[0].recv(16)


def epoll_many(epoll, connection):
    connection.sendall(b"3")
    epoll.poll(5)
    connection.recv(16)


def epoll_one(epoll, connection):
    connection.sendall(b"3")
    epoll.poll(5)
    connection.recv(16)


def descriptors():
    name = peer(socket.AF_INET, ("127.0.0.1", 0))
    yield
    all_of_them = [connected(socket.AF_INET, name) for _ in range(12)]
    poll = select.poll()
    for connection in all_of_them[:4]:
        poll.register(connection, select.POLLIN)
    stamped("poll", "4 fds", poll_many, poll, all_of_them[0])
    stamped("poll", "3 fds", select_many, all_of_them[:3])
    epoll, single = select.epoll(), select.epoll()
    for connection in all_of_them:
        epoll.register(connection, select.EPOLLIN)
    stamped("poll", "epoll of 12 fds", epoll_many, epoll, all_of_them[0])
    single.register(all_of_them[0], select.EPOLLIN)
    stamped("net", "127.0.0.1:%d" % name[1], epoll_one, single, all_of_them[0])


# --- files, pipes, children


def read_pipe(pipe):
    os.read(pipe, 1)


def read_fifo(fifo):
    os.read(fifo, 1)


def read_eventfd(fd):
    os.read(fd, 8)


def sync_file(file):
    file.write(b"x" * 65536)
    os.fsync(file.fileno())


def lock_file(file):
    fcntl.flock(file, fcntl.LOCK_EX)
    fcntl.flock(file, fcntl.LOCK_UN)
    time.sleep(0.001)  # so that the peer has it again


def lock_range(file):
    fcntl.lockf(file, fcntl.LOCK_EX)
    fcntl.lockf(file, fcntl.LOCK_UN)
    time.sleep(0.001)


def locks(lock, path):
    """Nearly all the time; released for others now and then."""

    def run():
        with open(path, "w") as file:
            while True:
                lock(file, fcntl.LOCK_EX)
                time.sleep(0.003)
                lock(file, fcntl.LOCK_UN)
                time.sleep(0.0002)

    in_peer(run)


def wait_child(command):
    subprocess.Popen(command).wait()


def wait_any_child(command):
    """Two of them: which it was is known when it ends."""
    for _ in range(2):
        if not os.fork():
            os.execv(command[0], command)
    os.wait()
    os.wait()


def writes(fd, what):
    def run():
        while True:
            time.sleep(0.003)
            os.write(fd, what)

    in_peer(run)


def drained(fd):
    """What came while nobody read is gone: who reads waits."""
    os.set_blocking(fd, False)
    try:
        while os.read(fd, 65536):
            pass
    except BlockingIOError:
        os.set_blocking(fd, True)
    return fd


def files():
    reads, end = os.pipe()
    writes(end, b"x")
    path = tempfile.mktemp(dir="/tmp", prefix="io-waits-")
    os.mkfifo(path)
    fifo = os.open(path, os.O_RDWR)
    writes(fifo, b"x")
    event = ctypes.CDLL(None).eventfd(0, 0)
    writes(event, (1).to_bytes(8, sys.byteorder))
    synced = tempfile.NamedTemporaryFile(dir="/var/tmp", prefix="io-waits-", buffering=0)
    flocked, lockfed = (tempfile.NamedTemporaryFile(dir="/tmp", prefix="io-waits-") for _ in range(2))
    locks(fcntl.flock, flocked.name)
    locks(fcntl.lockf, lockfed.name)
    yield
    stamped("lock", "..." + flocked.name, lock_file, flocked)
    stamped("lock", "..." + lockfed.name, lock_range, lockfed)
    stamped("pipe", "pipe", read_pipe, drained(reads))
    stamped("pipe", "fifo ..." + path, read_fifo, drained(fifo))
    stamped("pipe", "eventfd", read_eventfd, drained(event))
    stamped("disk", "..." + synced.name, sync_file, synced)
    napper = tempfile.mktemp(dir="/tmp", prefix="napper-")  # a command is the name it was run by
    os.symlink(sys.executable, napper)
    command = [napper, "-ISc", "import time; time.sleep(0.003)"]
    stamped("child", "child " + os.path.basename(napper)[:15], wait_child, command)
    stamped("child", "child " + os.path.basename(napper)[:15], wait_any_child, command)
    os.unlink(napper)
    os.unlink(path)


def all_targets():
    parts = [sockets(), descriptors(), files()]
    for part in parts:
        next(part)
    target.ready()
    for part in parts:
        next(part, None)
    return {"targets": targets, "stamps": stamps}


# --- several peers


def query(connection, ms):
    ask(connection, ms)


def peers():
    names = [peer(socket.AF_INET, ("127.0.0.1", 0)) for _ in range(4)]
    target.ready()
    connections = [connected(socket.AF_INET, name) for name in names]
    for _ in range(40):
        for i, connection in enumerate(connections):
            query(connection, 20 if i == 2 else 2)
    return {"slow": "127.0.0.1:%d" % names[2][1], "all": ["127.0.0.1:%d" % n[1] for n in names]}


# --- many waits in a call


def execute(connection):
    return fetch(connection)


def fetch(connection):
    return ask(connection, 1)


def list_orders(connection):
    for _ in range(48):
        execute(connection)


def handle(connection):
    list_orders(connection)


def one_query(connection):
    execute(connection)


def mostly(connection, other):
    for i in range(10):
        execute(connection)
        if i % 3 == 0:
            execute(other)


def rows(connection):
    for _ in range(8):
        yield execute(connection)


def repeats():
    name, second = (peer(socket.AF_INET, ("127.0.0.1", 0)) for _ in range(2))
    target.ready()
    connection, other = connected(socket.AF_INET, name), connected(socket.AF_INET, second)
    for _ in range(3):
        handle(connection)
    for _ in range(25):
        one_query(connection)
    for _ in range(5):
        mostly(connection, other)
    for _ in range(4):
        list(rows(connection))
    return {
        "target": "127.0.0.1:%d" % name[1],
        "waits": {"handle": 48, "list_orders": 48, "one_query": 1, "mostly": 14, "rows": 8},
        "repeated": {"handle": 48, "list_orders": 48, "one_query": 1, "mostly": 10, "rows": 8},
        "many": ["list_orders", "mostly", "rows"],
    }


# --- an event loop


async def client(name):
    reader, writer = await asyncio.open_connection(*name)
    for _ in range(20):
        writer.write(b"20")
        await reader.read(16)
    writer.close()


async def clients(name):
    await asyncio.gather(*(client(name) for _ in range(3)))
    await client(name)


def loop():
    name = peer(socket.AF_INET, ("127.0.0.1", 0))
    target.ready()
    asyncio.run(clients(name))
    return {"peer": "127.0.0.1:%d" % name[1]}


MODES = {"targets": all_targets, "peers": peers, "repeats": repeats, "loop": loop}

if __name__ == "__main__":
    target.done(MODES[sys.argv[1]]())
