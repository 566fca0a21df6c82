# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Threads that wait for each other in known ways.

    blockers.py SECTION SECONDS

The result is what the threads did: how often, for how long.
"""
import collections
import functools
import itertools
import os
import queue
import subprocess
import sys
import threading
import time

import target

until = 0.0
told = {}


def going_on():
    return time.monotonic() < until


def spins():
    while going_on():
        pass


def nap_inner():
    time.sleep(0.002)


def nap_middle():
    nap_inner()


def naps():
    while going_on():
        nap_middle()


def holder():
    """Sleeper threads that come back to a GIL somebody spins with."""
    run(spins, naps, naps)


TURN = 0.02  # seconds: four switch intervals


def long_turn():
    """All in C: nobody else gets the GIL before it is over."""
    begin = time.perf_counter()
    stamps = iter(time.perf_counter, None)
    last = collections.deque(itertools.takewhile((begin + TURN).__gt__, stamps), maxlen=1)
    return begin, last.pop()


def takes_long_turns():
    while time.monotonic() < until:
        told["turns"].append(long_turn())


def timed_nap():
    """From when it should be awake to when it is."""
    awake = time.perf_counter() + 0.002
    time.sleep(0.002)
    told["naps"].append((awake, time.perf_counter()))


def timed_naps():
    while going_on():
        timed_nap()


def turns():
    """A sleeper comes back to a GIL that two others have, one of them for longer."""
    told.update(turns=[], naps=[])
    run(takes_long_turns, spins, timed_naps)


def spinners(n):
    def section():
        run(*[spins] * n)

    return section


items = queue.Queue()


def produce():
    made = 0
    while going_on():
        time.sleep(0.003)
        items.put(made)
        made += 1
    items.put(None)
    told["made"] = made


def consume():
    while items.get() is not None:
        pass


def producer():
    run(produce, consume)


slot = threading.Semaphore(1)


def take_slot():
    slot.acquire()


def give_slot():
    slot.release()


def uses_slot():
    uses = 0
    while going_on():
        take_slot()
        time.sleep(0.004)
        give_slot()
        uses += 1
    told["uses"] = told.get("uses", 0) + uses


def limited():
    run(uses_slot, uses_slot, uses_slot)


lock = threading.Lock()


def hold():
    with lock:
        time.sleep(0.004)


def keeps_lock():
    while going_on():
        hold()
        time.sleep(0.002)


def want():
    lock.acquire()
    lock.release()


def wants_lock():
    while going_on():
        want()


def locked():
    run(keeps_lock, wants_lock)


# --- what else threads wait for: each has one that waits and one that lets it go on, again and again

rlock = threading.RLock()
condition = threading.Condition()
semaphore = threading.Semaphore(0)
simple = queue.SimpleQueue()


def want_rlock():
    rlock.acquire()
    rlock.release()


def hold_rlock():
    with rlock:
        with rlock:
            time.sleep(0.003)


def await_notice():
    with condition:
        condition.wait()


def give_notice():
    with condition:
        condition.notify()


def take_permit():
    semaphore.acquire()


def give_permit():
    semaphore.release()


def take_simple():
    simple.get()


def put_simple():
    simple.put(1)


def waits_for(take):
    calls = []
    while going_on():
        begin = time.perf_counter()
        take()
        calls.append(time.perf_counter() - begin)
        time.sleep(0.001)
    waits = sum(took > 0.001 for took in calls)  # at least
    told[take.__name__] = {"calls": len(calls), "waits": waits, "seconds": sum(calls)}
    over.append(take)


over = []


def wakes(give, take):
    while take not in over:
        time.sleep(0.003)
        give()


PAIRS = (
    (want_rlock, hold_rlock),
    (await_notice, give_notice),
    (take_permit, give_permit),
    (take_simple, put_simple),
)


def primitives():
    functions = []
    for take, give in PAIRS:
        functions += [functools.partial(waits_for, take), functools.partial(wakes, give, take)]
    run(*functions)


def descend(n):
    if n:
        descend(n - 1)
    else:
        time.sleep(0.002)


def deep_sleeps():
    while going_on():
        descend(90)


def deep():
    run(deep_sleeps)


def compresses():
    import zlib

    data = bytes(range(256)) * 4000
    while going_on():
        zlib.compress(data, 9)


def native():
    run(compresses)


def sums_up():
    import zlib

    data = bytes(range(256)) * 4000
    while going_on():
        zlib.crc32(data)


def native_symbol():
    run(sums_up)


def never_wait():
    """Threads that only compute, from their begin to their end: that of their process, for some."""
    began = os.times()
    for _ in range(16):
        child = os.fork()
        if not child:
            run(sums_up, seconds=0.05)
            os._exit(0)
        os.waitpid(child, 0)
    for _ in range(8):
        run(sums_up, sums_up, seconds=0.05)
    told["ran"] = sum(os.times()[:4]) - sum(began[:4])


def main_ends_first():
    """A child's main thread computes and ends, the child lives on; meanwhile others come and go."""
    import ctypes

    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        threading.Thread(target=lambda: time.sleep(4) or os._exit(0)).start()
        sum(i * i for i in range(4000000))
        os.write(writes, str(time.thread_time()).encode())
        ctypes.CDLL(None).pthread_exit(None)
    told["child"], told["ran"] = child, float(os.read(reads, 100))
    for _ in range(2):
        subprocess.run([sys.executable, "-c", "pass"], check=True)


def makes_code():
    """Functions that C calls and that are soon gone, and junk where they were."""
    while going_on():
        made = {}
        exec(compile("def made(x):\n    return x\n", __file__, "exec"), made)
        sorted(range(60), key=made["made"])
        [bytes(120 + i % 100) for i in range(50)]


def short_lived():
    run(makes_code)


def sleeps_in(call):
    call()


def sleeps_once():
    """Each function waits once, and is gone before the next one comes to be where it was."""
    told["made"] = {}
    places = set()
    while going_on():
        name = f"once_{len(told['made'])}"
        made = {"sleep": time.sleep}
        exec(compile(f"def {name}():\n    sleep(0.001)\n", __file__, "exec"), made)
        function = made.pop(name)
        places.add(id(function.__code__))
        sleeps_in(function)
        told["made"][name] = 1
        function = None
    told["places"] = len(places)


def made_anew():
    run(sleeps_once)


def touch(megabytes):
    """Writes into each page of new memory, which goes back at the end."""
    import mmap

    area = mmap.mmap(-1, megabytes << 20)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        area.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(0, megabytes << 20, 4096):
        area[page] = 1
    area.close()


def much():
    touch(12)


def little():
    touch(4)


def touches():
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    while going_on():
        much()
        little()
        time.sleep(0.001)
    told["faults"] = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def touching():
    run(touches)


FILE_BYTES, PAGE = 96 << 20, 4096


def dirty(pages):
    for at in range(0, FILE_BYTES, PAGE):
        pages[at] = 1


def dirties():
    import mmap

    with open(sys.argv[3], "wb+") as file:
        file.truncate(FILE_BYTES)
        pages = mmap.mmap(file.fileno(), FILE_BYTES)
        began, ran = time.perf_counter(), time.thread_time()
        while going_on():
            dirty(pages)
        told["ran"] = time.thread_time() - ran
        told["took"] = time.perf_counter() - began


def reclaimed():
    """Where memory is short, a page can be had only if one is written back before."""
    run(dirties)


def run(*functions, seconds=None):
    global until
    until = time.monotonic() + (seconds or float(sys.argv[2]))
    threads = [threading.Thread(target=f) for f in functions]
    begin = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    told["seconds"] = time.monotonic() - begin


SECTIONS = {
    "holder": holder,
    "turns": turns,
    "spinners2": spinners(2),
    "spinners4": spinners(4),
    "spinners8": spinners(8),
    "producer": producer,
    "limited": limited,
    "locked": locked,
    "primitives": primitives,
    "deep": deep,
    "native": native,
    "native_symbol": native_symbol,
    "never_wait": never_wait,
    "main_ends_first": main_ends_first,
    "short_lived": short_lived,
    "made_anew": made_anew,
    "touching": touching,
    "reclaimed": reclaimed,
}

if __name__ == "__main__":
    target.ready()
    SECTIONS[sys.argv[1]]()
    target.done(told)
