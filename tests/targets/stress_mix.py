# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Part of stress.py: what there is to do, what was done, and the moment all threads wait for."""
import threading
import time

NAMES = []  # of all functions that are counted
ACTIONS = []  # what nest() chooses from
HARD = []  # what is only done when asked for
NESTING = """
    generators traced profiled new_thread foreign greenlets forks
""".split()  # these come back to nest(): not for ever
tallies = []
epoch = 0  # calls of another one are not counted: neither are their exceptions, nor their ends
children = {}  # {tgid: {function: figures}} of the processes that were forked


def names(text):
    NAMES.extend(text.split())


def action(function):
    ACTIONS.append(function)
    return function


def hard_action(function):
    HARD.append(function)
    return function


names("nest")


def tally():
    """What one thread has done: [calls, further segments, exceptions, unseen ends] of each."""
    return {name: [0, 0, 0, 0] for name in NAMES}


def new_tally():
    t = tally()
    tallies.append(t)
    return t


def total():
    """{function: [calls, segments, exceptions, unseen ends]} of all threads together."""
    found = {}
    for name in NAMES:
        calls, more, *others = (sum(t[name][i] for t in tallies) for i in range(4))
        found[name] = [calls, calls + more, *others]
    return found


def new_epoch():
    global epoch
    epoch += 1


def forget():
    """What has been done so far does not count."""
    new_epoch()
    for t in tallies:
        for figures in t.values():
            figures[:] = [0, 0, 0, 0]
    children.clear()


class Gate:
    """
    Where all threads wait, each in the middle of what it does, while a tracer comes. Whoever works
    is counted in `working`; one that waits for a thread it started lends it its place.
    """

    def __init__(self):
        self.changed = threading.Condition(threading.Lock())
        self.working = 0
        self.opener = None  # the thread that closes it, when it is time to
        self.when = None

    def close_later(self, seconds, meanwhile):
        """This thread closes it once, some seconds from now, and calls `meanwhile` then."""
        self.opener = threading.get_ident()
        self.when = time.monotonic() + seconds
        self.meanwhile = meanwhile

    def is_due(self):
        return self.when is not None and time.monotonic() >= self.when

    def leave(self):
        with self.changed:
            self.working -= 1
            self.changed.notify_all()

    def wait(self):
        if not self.is_due():
            return
        with self.changed:
            self.working -= 1
            self.changed.notify_all()
            if threading.get_ident() == self.opener:
                self.changed.wait_for(lambda: not self.working)
                time.sleep(0.1)  # who has said so is on its way to sleep
                self.meanwhile()
                self.when = None
                self.changed.notify_all()
            else:
                self.changed.wait_for(lambda: self.when is None)
            self.working += 1


gate = Gate()


def nest(t, r, depth):
    """A few actions, which may come back here."""
    t["nest"][0] += 1
    if gate.when is not None:
        gate.wait()
    for _ in range(r.randrange(1, 4)):
        chosen = r.choice(ACTIONS)
        if depth < 6 or chosen.__name__ not in NESTING:
            chosen(t, r, depth)
    if depth < 6 and r.random() < 0.5:
        nest(t, r, depth + 1)
