# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Part of stress.py: threads, processes, interpreters and greenlets that begin and end."""
import _thread
import ctypes
import json
import os
import random
import subprocess
import sys
import threading

import stress_mix
import stress_tools
from stress_calls import LIBC, leaf
from stress_inside import NEW_PROGRAM_CALLS
from stress_mix import action, children, names, nest, new_tally, total

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
try:
    import greenlet
except ImportError:
    greenlet = None  # there is none for 3.8 and 3.15

names("""
    thread_body new_thread exits exiting lasting lost lost_inner
    forks fork_here child_body child_open in_new_program
    inside inside_work inside_leaf inside_generator inside_raises
    greenlets switching switching_inner
""")

SYS_EXIT = 60
MOST_LOST = 60  # a lost thread leaves its stack behind
FOLDER = os.path.dirname(os.path.abspath(__file__))
NEW_PROGRAM = os.path.join(FOLDER, "stress_inside.py")
# A fork leaves no thread of another interpreter alive, and CPython then takes that interpreter
# apart from the wrong thread: so there is none meanwhile. (In 3.8 it is the one reason to crash.)
one_world = threading.Lock()
lost_threads = 0
is_child = False


# --- threads


def thread_body(seed, depth):
    t = new_tally()
    t["thread_body"][0] += 1
    nest(t, random.Random(seed), depth + 1)


@action
def new_thread(t, r, depth):
    t["new_thread"][0] += 1
    if r.random() < 0.1:
        thread = threading.Thread(target=thread_body, args=(r.random(), depth))
        thread.start()
        thread.join()


def exiting(t, n):
    """SystemExit ends a thread quietly, with all that is open."""
    t["exiting"][0] += 1
    t["exiting"][2] += 1
    if n:
        exiting(t, n - 1)
    leaf(t)
    sys.exit()


def exiting_body(n, over=None):
    try:
        exiting(new_tally(), n)
    finally:
        if over:
            over.release()


@action
def exits(t, r, depth):
    t["exits"][0] += 1
    if r.random() < 0.9:
        return
    if r.random() < 0.5:
        thread = threading.Thread(target=exiting_body, args=(r.randrange(6),))
        thread.start()
        thread.join()
    else:  # nothing of Python is below it
        over = _thread.allocate_lock()
        over.acquire()
        _thread.start_new_thread(exiting_body, (r.randrange(6), over))
        over.acquire()


def lost_inner(t, n, over):
    """The thread is gone, as one is whose process ends: nothing of it runs any more."""
    t["lost_inner"][0] += 1
    t["lost_inner"][3] += 1
    leaf(t)
    if n:
        lost_inner(t, n - 1, over)
    over.release()
    LIBC.syscall(ctypes.c_long(SYS_EXIT), ctypes.c_long(0))


def lost_body(n, over):
    lost_inner(new_tally(), n, over)


@action
def lost(t, r, depth):
    """With calls open, and without a word to CPython."""
    global lost_threads
    t["lost"][0] += 1
    if r.random() < 0.05 and lost_threads < MOST_LOST:
        lost_threads += 1
        over = _thread.allocate_lock()
        over.acquire()
        _thread.start_new_thread(lost_body, (r.randrange(6), over))
        over.acquire()


# --- processes


def child_open(t, r, n, last):
    """Nothing ends it but the end of the process, or of the program."""
    t["child_open"][0] += 1
    t["child_open"][3] += 1
    leaf(t)
    if n:
        child_open(t, r, n - 1, last)
    last()


def child_body(t, r, depth, before, writer):
    """What a child does itself is told apart by its tgid; its truth goes through a pipe."""
    t["child_body"][0] += 1
    t["child_body"][3] += 1
    nest(t, r, max(depth, 4))
    how = r.randrange(3)

    def last():
        after = total()
        told = {k: [a - b for a, b in zip(after[k], before[k])] for k in after}
        if how == 1:
            told["in_new_program"] = [NEW_PROGRAM_CALLS] * 2 + [0, 0]
        os.write(writer, json.dumps({k: v for k, v in told.items() if any(v)}).encode())
        stress_tools.end()
        program = [sys.executable, "-S", NEW_PROGRAM]
        if how == 1:
            os.execv(sys.executable, program)
        elif how == 2:
            os.execv(sys.executable, [sys.executable, "-V"])
        os._exit(0)

    child_open(t, r, r.randrange(6), last)


def fork_here(t, r, depth, n):
    """In the middle of calls, which the child leaves open."""
    global is_child
    t["fork_here"][0] += 1
    if n:
        return fork_here(t, r, depth, n - 1)
    with one_world:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            is_child = True
            stress_mix.new_epoch()
            stress_mix.gate.when = None
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            child_body(t, r, depth, total(), writer)
        os.close(writer)
        told = b""
        while True:
            more = os.read(reader, 65536)
            if not more:
                break
            told += more
        os.close(reader)
        _, status = os.waitpid(child, 0)
        if status or not told:
            os.write(2, b"a child ended with %d\n" % status)
            os._exit(1)
        children[child] = json.loads(told)


@action
def forks(t, r, depth):
    t["forks"][0] += 1
    which = r.random()
    if is_child:
        return
    if which < 0.05:
        fork_here(t, r, depth, r.randrange(4))
    elif which < 0.07:  # nothing of Python runs between its fork and exec
        with one_world:
            subprocess.call([sys.executable, "-V"], stdout=subprocess.DEVNULL)


# --- interpreters in the interpreter

INSIDE = f"""
import sys
sys.path.insert(0, {FOLDER!r})
import stress_inside
stress_inside.inside_work("""


@action
def inside(t, r, depth):
    t["inside"][0] += 1
    if r.random() < 0.97 or is_child:
        return
    with one_world:
        which = interpreters.create()
        for _ in range(r.randrange(1, 4)):
            n = r.randrange(1, 6)
            interpreters.run_string(which, f"{INSIDE}{n})")
            leaf(t)
            t["inside_work"][0] += 1
            t["inside_leaf"][0] += 2 * n
            t["inside_generator"][0] += 1
            t["inside_generator"][1] += n
            t["inside_raises"][0] += n
            t["inside_raises"][2] += n
        interpreters.destroy(which)


# --- greenlets


def switching_inner(t, hub):
    own, epoch = t["switching_inner"], stress_mix.epoch
    own[0] += 1
    own[3] += 1  # for now: one whose thread ends first is dropped, and never goes on
    leaf(t)
    try:
        hub.switch()
    except BaseException:  # the end of it, too
        own[2] += epoch == stress_mix.epoch
        own[3] -= epoch == stress_mix.epoch
        raise
    leaf(t)
    own[3] -= epoch == stress_mix.epoch


def switching(t, r, depth, hub):
    own, epoch = t["switching"], stress_mix.epoch
    own[0] += 1
    own[3] += 1
    try:
        for _ in range(r.randrange(1, 5)):
            switching_inner(t, hub)
            if depth < 5 and r.random() < 0.3:
                nest(t, r, depth + 1)
    except BaseException:
        own[2] += epoch == stress_mix.epoch
        own[3] -= epoch == stress_mix.epoch
        raise
    own[3] -= epoch == stress_mix.epoch


def new_greenlet():
    """
    Making one ends those of this thread that another thread dropped, which may run anything, while
    the new one is known to the garbage collector and not whole: a collection then crashes
    (greenlet 3.2.4, src/greenlet/PyGreenlet.cpp: green_new(), green_is_gc()).  getcurrent() ends them
    before.
    """
    greenlet.getcurrent()
    return greenlet.greenlet(switching)


@action
def greenlets(t, r, depth):
    """Some take turns; who is left after some turns is killed, thrown into, or dropped."""
    t["greenlets"][0] += 1
    if not greenlet or r.random() < 0.5:
        return
    hub = greenlet.getcurrent()
    alive = [new_greenlet() for _ in range(r.randrange(1, 5))]
    for g in alive:
        g.switch(t, r, depth, hub)
    for _ in range(r.randrange(4)):
        for g in alive:
            if not g.dead:
                g.switch()
            leaf(t)
    for g in alive:
        if not g.dead and r.random() < 0.7:
            try:
                g.throw(*r.choice(((), (ValueError,))))
            except ValueError:
                leaf(t)
    g = None  # a debugger may keep this frame
    alive.clear()
