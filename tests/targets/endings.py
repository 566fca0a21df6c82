# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Every way a call ends or pauses, one small deterministic scenario after the other.

    endings.py [--cprofile] SECTION

Sections that come back are in endings_calls.py, endings_tools.py and endings_embedded.py; the
result is the program's own truth, {function: [calls, segments, exceptions, ended_unseen]}. With
--cprofile a section runs under cProfile and the result is [truth, {function: ncalls}].

Sections that end the process in the middle of calls are here; they print their truth first. What
they leave open has an end nobody sees, and what they leave by an exception is told as such.
"""
import cProfile
import os
import sys
import threading

import endings_calls
import endings_embedded
import endings_tools
import target
from endings_calls import expect, leaf, truth


def tell():
    """The truth as of now, for sections that do not come back."""
    print("result " + target.json.dumps(truth), flush=True)


# --- the process ends


def open_calls(n, last):
    """n calls deep, then whatever ends it."""
    return last() if n <= 1 else open_calls(n - 1, last)


def open_generator(last):
    yield leaf(1)
    yield last()


def expect_open(exceptions):
    expect("open_calls", 5, exceptions=5 * exceptions, ended_unseen=5 * (1 - exceptions))
    ends = {"exceptions": exceptions, "ended_unseen": 1 - exceptions}
    expect("open_generator", 1, 2, **ends)
    expect("through_generator", 1, **ends)
    expect("leaf", 2)


def through_generator(last):
    for _ in open_generator(last):
        leaf(2)


def os_exit():
    """os._exit() with calls open: nothing more runs."""
    expect_open(0)
    expect("leave_at_once", 1, ended_unseen=1)
    tell()
    open_calls(5, lambda: through_generator(leave_at_once))


def leave_at_once():
    os._exit(0)


def sys_exit():
    """sys.exit() is an exception that nobody catches, and what is registered runs after it."""
    import atexit

    expect_open(1)
    expect("leave_properly", 1, exceptions=1)
    expect("at_exit", 1)
    expect("at_exit_raises", 1, exceptions=1)
    tell()
    sys.stderr = open(os.devnull, "w")
    atexit.register(at_exit)
    atexit.register(at_exit_raises)
    open_calls(5, lambda: through_generator(leave_properly))


def leave_properly():
    sys.exit(0)


def at_exit():
    return 1


def at_exit_raises():
    raise ValueError("told to nobody")


def uncaught():
    """The exception that ends the program, and the hook that is told of it."""
    expect_open(1)
    expect("raise_last", 1, exceptions=1)
    expect("last_hook", 1)
    tell()
    sys.excepthook = last_hook
    open_calls(5, lambda: through_generator(raise_last))


def raise_last():
    raise KeyError("nobody catches this")


def last_hook(*error):
    return 1


def replaced():
    """exec() with calls open: they are gone, and the new program starts anew."""
    expect_open(0)
    expect("become_another", 1, ended_unseen=1)
    expect("in_new_program", 20)
    open_calls(5, lambda: through_generator(become_another))


def become_another():
    os.execv(sys.executable, [sys.executable, __file__, "--again", target.json.dumps(truth)])


def in_new_program(x):
    return x


def again():
    told = target.json.loads(sys.argv[2])
    for i in range(20):
        in_new_program(i)
    target.done(told)


# --- threads that end with the process


def blocked_for_ever(lock, held):
    held.release()
    with lock:
        return leaf(1)


def daemon_body(n, lock, held):
    return open_calls(n, lambda: blocked_for_ever(lock, held))


def daemons():
    """Daemon threads blocked in the middle of calls while the interpreter shuts down."""
    lock, held = threading.Lock(), threading.Semaphore(0)
    lock.acquire()
    for _ in range(4):
        threading.Thread(target=daemon_body, args=(5, lock, held), daemon=True).start()
    for _ in range(4):
        held.acquire()
    expect("daemon_body", 4, ended_unseen=4)
    expect("open_calls", 20, ended_unseen=20)
    expect("blocked_for_ever", 4, ended_unseen=4)
    expect("leaf", 0)
    tell()


def thread_raises(n):
    return thread_raises(n - 1) if n else int("none")


def thread_exits(n):
    return thread_exits(n - 1) if n else sys.exit()


def thread_returns(n):
    return thread_returns(n - 1) if n else 0


def thread_hook(args):
    return None


def threads():
    """Threads that return, raise and call sys.exit()."""
    threading.excepthook = thread_hook
    for function in (thread_returns, thread_raises, thread_exits):
        started = [threading.Thread(target=function, args=(4,)) for _ in range(10)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        expect(function.__name__, 50, exceptions=0 if function is thread_returns else 50)
    expect("thread_hook", 20)


# --- fork


def forks_here(depth, sides):
    """Both sides come back through all calls that were open at the fork."""
    if depth:
        return forks_here(depth - 1, sides) + 1
    child = os.fork()
    sides.append(child)
    return 0


def generator_forks(sides):
    yield 1
    forks_here(2, sides)
    yield 2


def raises_after_fork(sides):
    forks_here(2, sides)
    raise ValueError


def catches_after_fork(sides):
    try:
        raises_after_fork(sides)
    except ValueError:
        return leaf(1)


def suspended_across():
    got = yield 1
    while got:
        got = yield leaf(got)


def only_child(x):
    return x


def only_parent(x):
    return x


def forks():
    """
    The parent's calls are all its own. The child is told only of calls it began itself: it has no
    part in those it inherited.
    """
    sides, children, child_truths = [], [], {}
    for how in (lambda: forks_here(4, sides), lambda: list(generator_forks(sides)),
                lambda: catches_after_fork(sides)):
        waiting = suspended_across()
        next(waiting)
        reader, writer = os.pipe()
        how()
        waiting.send(1)  # begun before the fork, ends after it
        if sides[-1] == 0:
            for i in range(30):
                only_child(i)
            thread = threading.Thread(target=thread_returns, args=(4,))
            thread.start()
            thread.join()
            os.read(reader, 1)
            os._exit(0)
        os.write(writer, b"x")
        os.waitpid(sides[-1], 0)
        raises(StopIteration, waiting.send, 0)
        children.append(sides[-1])
        for i in range(10):
            only_parent(i)
    expect("forks_here", 5 + 3 + 3)
    expect("generator_forks", 1, 3)
    expect("raises_after_fork", 1, exceptions=1)
    expect("catches_after_fork", 1)
    expect("suspended_across", 3, 9)
    expect("only_parent", 30)
    expect("only_child", 0)
    expect("leaf", 4)
    # what each child began itself: its leaf() calls differ, the rest is the same
    for i, child in enumerate(children):
        child_truths[child] = {
            "only_child": [30, 30, 0, 0],
            "thread_returns": [5, 5, 0, 0],
            "leaf": [2 if i == 2 else 1] * 2 + [0, 0],
            "only_parent": [0, 0, 0, 0],
            "forks_here": [0, 0, 0, 0],
            "catches_after_fork": [0, 0, 0, 0],
        }
    return {"parent": truth, "children": child_truths}


def raises(error, function, *args):
    try:
        function(*args)
    except error:
        return
    raise AssertionError(f"{function} did not raise {error}")


SECTIONS = {
    f.__name__: f for f in (os_exit, sys_exit, uncaught, replaced, daemons, threads, forks)
}
SECTIONS.update(endings_calls.SECTIONS)
SECTIONS.update(endings_tools.SECTIONS)
SECTIONS.update(endings_embedded.SECTIONS)


def own_counts(profiler):
    """{function: ncalls} of our own files."""
    counts = {}
    for entry in profiler.getstats():
        code = entry.code
        if not isinstance(code, str) and os.path.basename(code.co_filename).startswith("endings"):
            counts[code.co_name] = counts.get(code.co_name, 0) + entry.callcount
    return counts


def main():
    if sys.argv[1] == "--again":
        again()
    section = SECTIONS[sys.argv[-1]]
    if "--cprofile" in sys.argv:
        profiler = cProfile.Profile()
        profiler.enable()
        section()
        profiler.disable()
        target.done([truth, own_counts(profiler)])
    target.ready()
    more = section()
    if section not in (daemons,):
        target.done(more or truth)


if __name__ == "__main__":
    main()
