# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A function that is fast, but every 25th time waits for a known reason.

    tails.py MODE SECONDS

`sleep`  the slow calls sleep 10 ms
`lock`   they want a lock that another thread keeps for another 8 ms
`queue`  they want an item that another thread puts into a queue 8 ms later
`gil`    they sleep for a millisecond, after which a thread that computes has the GIL
`net`    they ask a peer of two, in a process of its own, that takes 8 ms to answer; the other answers at once

The result is {"calls": [[ns, slow], ...], "begin": ns, "ends": [ns, ...]}: every call of work() in
its order, by its own stamps (inside, so that what the probes cost at its edges is not in them), and
when it ended; of `net` also the slow "peer".
"""
import queue
import socket
import sys
import threading
import time

import target

now = time.perf_counter_ns
EVERY = 25
calls = []
ends = []


def compute(seconds):
    end = now() + int(seconds * 1e9)
    while now() < end:
        pass


def work(slow):
    begin = now()
    compute(0.0002)
    if slow:
        slow()
    end = now()
    calls.append([end - begin, bool(slow)])
    ends.append(end)


# --- what slow calls do, after prepare() and before rest(), which are no part of them


class Sleep:
    def prepare(self):
        pass

    def slow(self):
        time.sleep(0.010)

    def rest(self):
        pass


class Other:
    """Another thread does something at each slow call, from just before it on."""

    def __init__(self):
        self.wanted = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.over = threading.Semaphore(0)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            self.wanted.acquire()
            self.disturb()
            self.over.release()

    def prepare(self):
        self.wanted.release()
        self.begun.acquire()

    def rest(self):
        self.over.acquire()


class Lock(Other):
    lock = threading.Lock()

    def disturb(self):
        with self.lock:
            self.begun.release()
            time.sleep(0.008)

    def slow(self):
        with self.lock:
            pass


class Queue(Other):
    items = queue.Queue()

    def disturb(self):
        self.begun.release()
        time.sleep(0.008)
        self.items.put(1)

    def slow(self):
        self.items.get()


class Gil(Other):
    def disturb(self):
        self.begun.release()
        time.sleep(0.0005)  # until the call is asleep
        compute(0.012)

    def slow(self):
        time.sleep(0.001)


class Net:
    def __init__(self):
        import io_waits

        names = [io_waits.peer(socket.AF_INET, ("127.0.0.1", 0)) for _ in range(2)]
        self.connections = [io_waits.connected(socket.AF_INET, name) for name in names]
        self.ask = io_waits.ask
        self.told = {"peer": "127.0.0.1:%d" % names[1][1]}

    def prepare(self):
        pass

    def slow(self):
        for connection, ms in zip(self.connections, (0, 8)):
            self.ask(connection, ms)

    def rest(self):
        pass


def main():
    modes = {"sleep": Sleep, "lock": Lock, "queue": Queue, "gil": Gil, "net": Net}
    mode = modes[sys.argv[1]]()
    seconds = float(sys.argv[2])
    target.ready()
    begin = now()
    while now() - begin < seconds * 1e9:
        mode.prepare()
        work(mode.slow)
        mode.rest()
        for _ in range(EVERY - 1):
            work(None)
    target.done(dict(getattr(mode, "told", {}), calls=calls, ends=ends, begin=begin))


if __name__ == "__main__":
    main()
