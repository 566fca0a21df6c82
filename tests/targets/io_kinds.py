# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Functions that wait for what is neither a TCP peer nor a file; and one that waits for too many.

    io_kinds.py kinds SETTINGS    as `io_waits.py targets`; SETTINGS is JSON:
          {"tty": [master, descriptor, name], "tcp": [[port, service], ...], "udp": the same}
    io_kinds.py crowd MORE        asks as many peers as a report has room for, and MORE, twice
    io_kinds.py block FOLDER      writes to a file there and has it on its disk, then waits for who locks it
"""
import ctypes
import fcntl
import json
import os
import signal
import socket
import sys
import tempfile
import time

import io_waits
import target
from io_waits import ask, connected, drained, in_peer, serve, stamped, writes

ROOM = 2048  # include/bounds.h, PROCESS_TARGETS
AGAIN = 20
NETLINK_USERSOCK = 2
IN_MODIFY = 2
libc = ctypes.CDLL(None, use_errno=True)


def made(fd):
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def every_3_ms(function):
    def run():
        while True:
            time.sleep(0.003)
            function()

    in_peer(run)


def read_tty(fd):
    os.read(fd, 1)


def read_timerfd(fd):
    os.read(fd, 8)


def read_signalfd(fd):
    os.read(fd, 128)


def read_inotify(fd):
    os.read(fd, 4096)


def receive_netlink(ours):
    ours.recv(64)


def receive_udp(ours):
    ours.recv(64)


def ask_udp(connection):
    ask(connection, 3)


def ask_udp_service(connection):
    ask(connection, 3)


def ask_service(connection):
    ask(connection, 3)


def timerfd():
    fd = made(libc.timerfd_create(time.CLOCK_MONOTONIC, 0))
    interval = (ctypes.c_long * 4)(0, 3000000, 0, 3000000)
    made(libc.timerfd_settime(fd, 0, ctypes.byref(interval), None))
    return fd


def signalfd():
    number, own = signal.SIGUSR2, os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    wanted = (ctypes.c_ulong * 16)(1 << number - 1)
    fd = made(libc.signalfd(-1, ctypes.byref(wanted), 0))
    every_3_ms(lambda: os.kill(own, number))
    return fd


def inotify():
    watched = tempfile.NamedTemporaryFile(prefix="io-kinds-", buffering=0)
    fd = made(libc.inotify_init())
    made(libc.inotify_add_watch(fd, watched.name.encode(), IN_MODIFY))
    every_3_ms(lambda: watched.write(b"x"))
    return fd


def netlink():
    ours = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_USERSOCK)
    ours.bind((0, 0))
    number = ours.getsockname()[0]
    theirs = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_USERSOCK)
    every_3_ms(lambda: theirs.sendto(b"x" * 16, (number, 0)))
    return ours


def udp_answer(sock):
    while True:
        asked, whom = sock.recvfrom(16)
        time.sleep(int(asked) / 1000)
        sock.sendto(b"x", whom)


def udp_on(ports):
    """A peer on the first of these ports that is free: its place among them."""
    for i, port in enumerate(ports):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            continue
        in_peer(lambda: udp_answer(sock))
        connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        connection.connect(sock.getsockname())
        return i, connection
    raise SystemExit("no UDP port is free")


def tcp_on(ports):
    for i, port in enumerate(ports):
        try:
            listener = socket.create_server(("127.0.0.1", port))
        except OSError:
            continue
        in_peer(lambda: serve(listener))
        return i, connected(socket.AF_INET, listener.getsockname())
    raise SystemExit("no TCP port is free")


def named(services, i, way=""):
    return "%s127.0.0.1:%d (%s)" % (way, *services[i])


def kinds():
    settings = json.loads(sys.argv[2])
    master, tty, name = settings["tty"]
    writes(master, b"\n")
    descriptors = timerfd(), signalfd(), inotify()
    ours = netlink()
    alone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    alone.bind(("127.0.0.1", 0))
    theirs = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    every_3_ms(lambda: theirs.sendto(b"x", alone.getsockname()))
    _, plain = udp_on([0])
    at, udp = udp_on([port for port, _ in settings["udp"]])
    udp_name = named(settings["udp"], at, "udp ")
    at, tcp = tcp_on([port for port, _ in settings["tcp"]])
    tcp_name = named(settings["tcp"], at)
    target.ready()
    stamped("pipe", "tty " + name, read_tty, drained(tty))
    for function, fd in zip((read_timerfd, read_signalfd, read_inotify), descriptors):
        stamped("pipe", function.__name__[len("read_") :], function, drained(fd))
    drained(ours.fileno())
    stamped("net", "netlink", receive_netlink, ours)
    drained(alone.fileno())
    stamped("net", "udp on 127.0.0.1:%d" % alone.getsockname()[1], receive_udp, alone)
    stamped("net", "udp 127.0.0.1:%d" % plain.getpeername()[1], ask_udp, plain)
    stamped("net", udp_name, ask_udp_service, udp)
    stamped("net", tcp_name, ask_service, tcp)
    return {"targets": io_waits.targets, "stamps": io_waits.stamps}


# --- more peers than there is room for


def answer_once(listener):
    while True:
        connection, _ = listener.accept()
        connection.recv(1)
        time.sleep(0.0003)
        connection.sendall(b"y")
        connection.close()


def ask_one(address):
    connection = socket.create_connection(address)
    connection.sendall(b"x")
    connection.recv(1)
    connection.close()


def ask_all(addresses):
    for address in addresses:
        ask_one(address)


def ask_again(address):
    for _ in range(AGAIN):
        ask_one(address)


def crowd():
    listener = socket.create_server(("0.0.0.0", 0))
    in_peer(lambda: answer_once(listener))
    port = listener.getsockname()[1]
    listener.close()
    count = ROOM + int(sys.argv[2])
    addresses = [("127.1.%d.%d" % (i // 200, i % 200 + 1), port) for i in range(count)]
    target.ready()
    ask_all(addresses)
    ask_all(addresses)
    ask_again(addresses[0])
    ask_again(addresses[-1])
    return {"asked": 2 * count, "again": AGAIN, "room": ROOM, "first": "%s:%d" % addresses[0]}


# --- the same file: its block device, and its lock


def sync_block(file):
    file.write(b"x" * 65536)
    os.fsync(file.fileno())


def keeps_lock(path, asked):
    """Takes it at each byte, and lets go of it soon after it has said that it has it."""
    with open(path, "r+b") as file:
        while os.read(asked.fileno(), 1):
            fcntl.lockf(file, fcntl.LOCK_EX)
            asked.send(b"x")
            time.sleep(0.005)
            fcntl.lockf(file, fcntl.LOCK_UN)


def want_lock(file):
    fcntl.lockf(file, fcntl.LOCK_EX)


def block():
    path = os.path.join(sys.argv[2], "synced")
    file = open(path, "w+b", buffering=0)
    near, far = socket.socketpair()
    in_peer(lambda: keeps_lock(path, far))
    target.ready()
    stamped("disk", "..." + path, sync_block, file)
    waited = []
    for _ in range(io_waits.ROUNDS):
        near.send(b"x")
        near.recv(1)
        begin = time.perf_counter()
        want_lock(file)
        waited.append(time.perf_counter() - begin)
        fcntl.lockf(file, fcntl.LOCK_UN)
    return {"syncs": len(io_waits.stamps["sync_block"]), "waited": waited}


if __name__ == "__main__":
    target.done({"kinds": kinds, "crowd": crowd, "block": block}[sys.argv[1]]())
