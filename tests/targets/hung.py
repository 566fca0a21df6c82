# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A program of which every thread waits for something else; it tells which does what.

    hung.py [spin]     with two threads that compute, besides
    hung.py [turns]    with four that take two locks in turn, besides
    hung.py SERVICES   the first port of each protocol in it that is free has a name
"""
import fcntl
import io
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

from target import done, native_id, ready

LONG = 60
tids, threads = {}, {}
kept = []
writing = threading.Event()


def sleeps():
    time.sleep(LONG)


def sleeps_in_generator():
    def steps():
        time.sleep(LONG)
        yield 1

    return [x for x in steps()]


def locked(lock, timeout=-1):
    lock.acquire(timeout=timeout)


def locked_with(lock):
    with lock:
        pass


def crossed(has, wants, all_have, timeout=-1):
    with has:
        all_have.wait()
        wants.acquire(timeout=timeout)


def takes_turns(one, other):
    while True:
        for lock in (one, other):
            with lock:
                time.sleep(0.001)


class Keeps(io.RawIOBase):
    """A file that is never done with what it writes."""

    def writable(self):
        return True

    def write(self, data):
        writing.set()
        time.sleep(LONG)


def writes(file):
    file.write(b"x" * 1000000)


def receives(sock):
    sock.recv(1)


def accepts(sock):
    sock.accept()


def reads_pipe(fd):
    os.read(fd, 1)


def selects(*sets):
    select.select(*sets, LONG)


def polls(epoll):
    epoll.poll(LONG)


def epoll_of(*files):
    """Of what becomes ready never."""
    epoll = select.epoll()
    for file in files:
        epoll.register(file, select.EPOLLPRI)
    return epoll


def locks_file(file):
    fcntl.flock(file, fcntl.LOCK_EX)


def waits_for_child(child):
    child.wait()


def spins():
    while True:
        sum(range(1000))


def serve_by_name(services):
    """A server at the first of these ports that is free, and that port."""
    for port, name in services:
        try:
            return socket.create_server(("127.0.0.1", port)), "127.0.0.1:%d (%s)" % (port, name)
        except OSError:
            pass
    raise OSError("none is free")


def named_peers(services):
    """More threads, and what they wait for."""
    server, name = serve_by_name(services["tcp"])
    client = socket.create_connection(server.getsockname())
    kept.append(server.accept()[0])
    asks, alone = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    asks.connect(("127.0.0.1", services["udp"][0][0]))
    alone.bind(("127.0.0.1", 0))
    work = {
        "receives_named": (receives, client),
        "accepts_named": (accepts, server),
        "selects_named": (selects, [client], [], [client]),
        "receives_udp": (receives, asks),
        "receives_udp_alone": (receives, alone),
    }
    peers = {
        "receives_named": name,
        "accepts_named": "listening on " + name,
        "selects_named": name,
        "receives_udp": "udp 127.0.0.1:%d (%s)" % tuple(services["udp"][0]),
        "receives_udp_alone": "udp on 127.0.0.1:%d" % alone.getsockname()[1],
    }
    return work, peers


def lines_of(frame):
    """[[function, line it is at], ...], the innermost first."""
    found = []
    while frame:
        found.append([frame.f_code.co_name, frame.f_lineno])
        frame = frame.f_back
    return found


def all_lines():
    """{thread: that}, of those that wait."""
    idents = {t.ident: name for name, t in threads.items()}
    frames = sys._current_frames()
    return {idents[i]: lines_of(f) for i, f in frames.items() if i in idents}


def main():
    lock = threading.Lock()
    lock.acquire()
    rlock, other_rlock, condition = threading.RLock(), threading.RLock(), threading.Condition()
    for has in (rlock, other_rlock, condition):
        has.acquire()
    crossing, timed_crossing, turns = ([threading.RLock() for _ in range(2)] for _ in range(3))
    all_have, all_timed_have = threading.Barrier(3), threading.Barrier(3)
    file = io.BufferedWriter(Keeps())
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    timed = socket.create_connection(server.getsockname())
    timed.settimeout(LONG)
    connections = [server.accept()[0] for _ in range(2)]
    folder = tempfile.mkdtemp()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(folder, "answers"))
    listener.listen()
    unix_client = socket.socket(socket.AF_UNIX)
    unix_client.connect(listener.getsockname())
    unix_accepted = listener.accept()[0]
    pipe, pair = os.pipe(), socket.socketpair()
    kept.append(pair)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    path = os.path.join(folder, "locked")
    has, wants = open(path, "w"), open(path)
    kept.append(has)
    fcntl.flock(has, fcntl.LOCK_EX)
    work = {
        "sleeps": (sleeps,),
        "sleeps_in_generator": (sleeps_in_generator,),
        "locked": (locked, lock),
        "locked_rlock": (locked, rlock),
        "locked_rlock_with": (locked_with, other_rlock),
        "locked_rlock_timed": (locked, rlock, LONG),
        "locked_condition": (locked_with, condition),
        "crossed_one": (crossed, *crossing, all_have),
        "crossed_two": (crossed, *reversed(crossing), all_have),
        "timed_one": (crossed, *timed_crossing, all_timed_have),
        "timed_two": (crossed, *reversed(timed_crossing), all_timed_have, LONG),
        "waits_for_crossed": (locked, crossing[0]),
        "writes_first": (writes, file),
        "writes": (writes, file),
        "locks_file": (locks_file, wants),
        "receives": (receives, client),
        "receives_timed": (receives, timed),
        "accepts": (accepts, server),
        "accepts_unix": (accepts, listener),
        "receives_unix": (receives, unix_client),
        "receives_unix_accepted": (receives, unix_accepted),
        "receives_pair": (receives, pair[0]),
        "receives_accepted": (receives, connections[0]),
        "reads_pipe": (reads_pipe, pipe[0]),
        "polls": (polls, epoll_of(*connections)),
        "polls_peer": (polls, epoll_of(client)),
        "polls_unix": (polls, epoll_of(unix_client)),
        "polls_accepted": (polls, epoll_of(connections[0])),
        "polls_listener": (polls, epoll_of(server)),
        "polls_pipe": (polls, epoll_of(pipe[0])),
        "polls_peer_and_waker": (polls, epoll_of(client, pair[1])),
        "selects": (selects, connections, [], [client, connections[0]]),
        "selects_pipe": (selects, [pipe[0]], [], []),
        "waits_for_child": (waits_for_child, child),
    }
    settled = {
        "crossed_two": all_have.wait,
        "timed_two": all_timed_have.wait,
        "writes_first": writing.wait,
    }
    if "turns" in sys.argv:
        for i in range(4):
            work[f"turns_{i}"] = (takes_turns, *turns[:: 1 - 2 * (i & 1)])
    if "spin" in sys.argv:
        work.update(spins_one=(spins,), spins_two=(spins,))
    peers = {}
    if sys.argv[-1].startswith("{"):
        more, peers = named_peers(json.loads(sys.argv[-1]))
        work.update(more)
    for name, (function, *args) in work.items():

        def run(name=name, function=function, args=args):
            tids[name] = native_id()
            function(*args)

        threads[name] = threading.Thread(target=run, daemon=True)
        threads[name].start()
        if name in settled:
            settled[name]()
    while len(tids) < len(work):
        time.sleep(0.01)
    time.sleep(0.1)  # until they are where they wait
    told = {"tids": tids, "child": child.pid, "folder": folder, "peers": peers}
    ready({**told, "port": server.getsockname()[1], "lines": all_lines()})
    child.kill()
    os.unlink(os.path.join(folder, "answers"))
    os.unlink(path)
    os.rmdir(folder)
    done({})


main()
