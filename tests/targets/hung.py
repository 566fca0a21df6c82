# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A program of which every thread waits for something else; it tells which does what.

    hung.py [spin]     with two threads that compute, besides
"""
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
tids = {}


def sleeps():
    time.sleep(LONG)


def sleeps_in_generator():
    def steps():
        time.sleep(LONG)
        yield 1

    return [x for x in steps()]


def locked(lock):
    lock.acquire()


def receives(sock):
    sock.recv(1)


def accepts(sock):
    sock.accept()


def reads_pipe(fd):
    os.read(fd, 1)


def polls(epoll):
    epoll.poll(LONG)


def waits_for_child(child):
    child.wait()


def spins():
    while True:
        sum(range(1000))


def main():
    lock = threading.Lock()
    lock.acquire()
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    timed = socket.create_connection(server.getsockname())
    timed.settimeout(LONG)
    connections = [server.accept()[0] for _ in range(2)]
    folder = tempfile.mkdtemp()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(folder, "answers"))
    listener.listen()
    pipe = os.pipe()
    epoll = select.epoll()
    for connection in connections:
        epoll.register(connection.fileno())
        epoll.modify(connection.fileno(), select.EPOLLPRI)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    work = {
        "sleeps": (sleeps,),
        "sleeps_in_generator": (sleeps_in_generator,),
        "locked": (locked, lock),
        "receives": (receives, client),
        "receives_timed": (receives, timed),
        "accepts": (accepts, server),
        "accepts_unix": (accepts, listener),
        "reads_pipe": (reads_pipe, pipe[0]),
        "polls": (polls, epoll),
        "waits_for_child": (waits_for_child, child),
    }
    if "spin" in sys.argv:
        work.update(spins_one=(spins,), spins_two=(spins,))
    for name, (function, *args) in work.items():

        def run(name=name, function=function, args=args):
            tids[name] = native_id()
            function(*args)

        threading.Thread(target=run, daemon=True).start()
    while len(tids) < len(work):
        time.sleep(0.01)
    port = server.getsockname()[1]
    ready({"tids": tids, "port": port, "child": child.pid, "folder": folder})
    child.kill()
    os.unlink(os.path.join(folder, "answers"))
    os.rmdir(folder)
    done({})


main()
