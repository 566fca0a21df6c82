# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""`dump`: every thread of a process at one moment, against what the program says it does."""
import collections
import json
import time

from harness import (
    DEBIAN,
    NO_GIL,
    alone,
    check,
    check_none,
    host_python,
    interpreter,
    limit,
    over,
    short,
    thread_runq_ns,
    thread_runtime_ns,
    timing,
    wait_until,
)

from test_targets import is_target, services

USAGE, UNWRITABLE = 2, 5


def dump(lab, target, *args):
    tracer = lab.tracer("dump", "-p", target.tgid, "--format", "json", *args).finish()
    return json.loads(tracer.out.text())


def text(lab, target):
    return lab.tracer("dump", "-p", target.tgid).finish().out.text()


def hung(lab, py, *args):
    """A hung program and what it says of itself."""
    target = lab.target(py, "hung.py", *args)
    return target, target.told


def functions(thread):
    return [short(frame["function"]) for frame in thread["frames"]]


def check_waits(lab, target):
    """Each thread that hung.py tells of."""
    said = target.told
    time.sleep(1)
    report = dump(lab, target)
    lab.note(json.dumps(report)[:8000])
    port, threads = said["port"], {t["tid"]: t for t in report["threads"]}
    peer, accepted = f"127.0.0.1:{port}", f"client 127.0.0.1 of port {port}"
    unix = f"unix:{said['folder']}/answers"
    lock = f"{said['folder']}/locked, locked by process {target.tgid}"
    expected = {
        "sleeps": ("sleep", None, ["sleeps", "run"]),
        "sleeps_in_generator": ("sleep", None, ["steps", "sleeps_in_generator", "run"]),
        "locked": ("lock", None, ["locked", "run"]),
        "locked_rlock": ("lock", None, ["locked", "run"]),
        "locked_rlock_with": ("lock", None, ["locked_with", "run"]),
        "locked_rlock_timed": ("lock", None, ["locked", "run"]),
        "locked_condition": ("lock", None, ["__enter__", "locked_with", "run"]),
        "crossed_one": ("lock", None, ["crossed", "run"]),
        "crossed_two": ("lock", None, ["crossed", "run"]),
        "timed_one": ("lock", None, ["crossed", "run"]),
        "timed_two": ("lock", None, ["crossed", "run"]),
        "waits_for_crossed": ("lock", None, ["locked", "run"]),
        "writes_first": ("sleep", None, ["write", "writes", "run"]),
        "writes": ("lock", None, ["writes", "run"]),
        "locks_file": ("lock", f"...{lock}", ["locks_file", "run"]),
        "receives": ("net", peer, ["receives", "run"]),
        "receives_timed": ("net", peer, ["receives", "run"]),
        "receives_accepted": ("net", accepted, ["receives", "run"]),
        "receives_unix": ("net", unix, ["receives", "run"]),
        "receives_unix_accepted": ("net", unix, ["receives", "run"]),
        "receives_pair": ("net", "unix socket", ["receives", "run"]),
        "accepts": ("net", f"listening on {peer}", ["accept", "accepts", "run"]),
        "accepts_unix": ("net", f"listening on {unix}", ["accept", "accepts", "run"]),
        "reads_pipe": ("pipe", "pipe", ["reads_pipe", "run"]),
        "polls": ("poll", "2 descriptors", ["polls", "run"]),
        "polls_peer": ("net", peer, ["polls", "run"]),
        "polls_unix": ("net", unix, ["polls", "run"]),
        "polls_accepted": ("poll", accepted, ["polls", "run"]),
        "polls_listener": ("poll", f"listening on {peer}", ["polls", "run"]),
        "polls_pipe": ("poll", "pipe", ["polls", "run"]),
        "polls_peer_and_waker": ("poll", peer, ["polls", "run"]),
        "selects": ("poll", "3 descriptors", ["selects", "run"]),
        "selects_pipe": ("poll", "pipe", ["selects", "run"]),
        "waits_for_child": ("child", f"process {said['child']}", None),
    }
    held_by = {name: target.tgid for name in expected if name.startswith("locked_")}
    held_by["writes"] = said["tids"]["writes_first"]
    held_by["crossed_one"] = said["tids"]["crossed_two"]
    held_by["timed_one"] = said["tids"]["timed_two"]
    held_by["timed_two"] = said["tids"]["timed_one"]
    held_by["crossed_two"] = held_by["waits_for_crossed"] = said["tids"]["crossed_one"]
    problems = []
    for name, (wanted, what, stack) in expected.items():
        thread = threads.get(said["tids"][name])
        if not thread:
            problems.append(f"{name}: its thread is not there")
            continue
        if (thread["state"], thread["class"]) != ("waiting", wanted):
            problems.append(f"{name}: {thread['state']} {thread['class']}, it is in {wanted}")
        # the port may have a name, the child has
        if not is_target(thread["target"] and thread["target"].split(" (")[0], what or ""):
            problems.append(f"{name}: for {thread['target']!r}, it is {what!r}")
        names = [n for n in functions(thread) if n != "<listcomp>"]
        if stack and names[: len(stack)] != stack:
            problems.append(f"{name}: stack {names}, it is {stack}")
        if "_bootstrap" not in names:
            problems.append(f"{name}: stack {names} does not end where threads begin")
        if thread["stack"] != "complete":
            problems.append(f"{name}: a {thread['stack']} stack of a thread that waits")
        if not thread["since_seconds"] or not 0.9 < thread["since_seconds"] < 10:
            problems.append(f"{name}: waits for {thread['since_seconds']} s, it is a bit over 1")
        if thread["holds_gil"]:
            problems.append(f"{name}: holds the GIL in its sleep")
        if thread["held_by"] != held_by.get(name):
            problems.append(f"{name}: held by {thread['held_by']}, it is by {held_by.get(name)}")
        if thread["deadlocked"] != name.startswith("crossed_"):
            problems.append(f"{name}: deadlocked is {thread['deadlocked']}")
        told = [[short(f["function"]), f["at_line"]] for f in thread["frames"]]
        if told != said["lines"][name]:
            problems.append(f"{name}: at {told}, it is at {said['lines'][name]}")
    main = threads[target.tgid]
    if "ready" not in functions(main) or functions(main)[-1] != "<module>":
        problems.append(f"main thread: {functions(main)}")
    check_none(problems, f"{len(problems)} things are wrong")
    target.release().result()


@limit(30)
@over(*DEBIAN, "pyenv-3.8", "pyenv-3.10", "pyenv-3.12", "built-3.13-musl", *NO_GIL)
def test_what_each_thread_waits_for(lab, py):
    target, _ = hung(lab, py)
    check_waits(lab, target)


# a network namespace of its own, in which the loopback interface is still to be switched on (SIOCSIFFLAGS)
OTHER_NETWORK = """
import fcntl, os, socket, struct, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@limit(30)
@over("debian-3.13")
def test_in_another_network(lab, py):
    """As in a container: its sockets are in its own tables."""
    prefix = ["unshare", "--net", "/usr/bin/python3", "-c", OTHER_NETWORK]
    check_waits(lab, lab.target(py, "hung.py", prefix=prefix))


@over("debian-3.9", "debian-3.13")
def test_peers_by_name(lab, py):
    settings = {protocol: services(protocol)[:20] for protocol in ("tcp", "udp")}
    target, said = hung(lab, py, json.dumps(settings))
    threads = {t["tid"]: t for t in dump(lab, target)["threads"]}
    told = {name: threads[said["tids"][name]]["target"] for name in said["peers"]}
    check(told == said["peers"], f"{told}, it is {said['peers']}")
    classes = {name: threads[said["tids"][name]]["class"] for name in said["peers"]}
    check(set(classes.values()) == {"net"}, f"{classes}")
    target.release().result()


@limit(30)
@over("debian-3.9", "debian-3.14", "built-3.14t")
def test_taking_turns_is_no_deadlock(lab, py):
    """Threads that want now this lock and now that one, but never one while they have the other."""
    target, said = hung(lab, py, "turns")
    turns = [tid for name, tid in said["tids"].items() if name.startswith("turns_")]
    waited = 0
    for _ in range(40):
        threads = {t["tid"]: t for t in dump(lab, target)["threads"]}
        waited += sum(threads[tid]["held_by"] in turns for tid in turns)
        false = [threads[tid] for tid in turns if threads[tid]["deadlocked"]]
        check(not false, f"called deadlocked: {false}")
    check(waited > 10, f"only {waited} times one waited for another")
    target.release().result()


@timing
@limit(30)
@over("debian-3.9", "debian-3.11", "debian-3.14", "pyenv-3.12", "built-3.13-musl")
def test_who_holds_the_gil(lab, py):
    """Of two threads that compute one holds the GIL nearly always; none of those that wait."""
    target, said = hung(lab, py, "spin")
    spinning = {said["tids"]["spins_one"], said["tids"]["spins_two"]}
    held = others = 0
    for _ in range(10):
        threads = dump(lab, target)["threads"]
        holders = {t["tid"] for t in threads if t["holds_gil"]}
        held += bool(holders & spinning)
        others += len(holders - spinning)
        for thread in threads:
            if thread["tid"] in spinning:
                check("spins" in functions(thread), f"a spinning thread: {thread}")
    check(held >= 7, f"one of the spinning threads held the GIL {held} of 10 times")
    check(others == 0, f"threads that sleep held the GIL {others} times")
    target.release().result()


def stuck(lab, py, section):
    """Threads that wait for good for what the main thread keeps, and who they are: {name: thread id}."""
    target = lab.target(py, "stuck.py", section)
    return target.release(), target.told["tids"]


def by_name(report, tids):
    names = {tid: name for name, tid in tids.items()}
    return {names.get(t["tid"], "main"): t for t in report["threads"]}


@alone
@limit(60)
@over(*DEBIAN, "pyenv-3.8", "pyenv-3.10", "pyenv-3.12", "built-3.13-musl")
def test_many_wait_for_the_gil(lab, py):
    """All threads but the one that computes in C wait for it."""
    target, tids = stuck(lab, py, "gil")
    wait_until(lambda: not any(t["class"] == "sleep" for t in dump(lab, target)["threads"]), 10, "all back")
    wait_until(lambda: f": gil, futex, held by thread {target.tgid}\n" in text(lab, target), 10, "text")
    told, problems, expected = collections.Counter(), [], ("gil", "futex", None, target.tgid)
    deadline = time.monotonic() + 30
    while told.total() < 50 and time.monotonic() < deadline:
        threads = by_name(dump(lab, target), tids)
        main = threads.pop("main")
        if (main["state"], main["held_by"]) != ("running", None) or functions(main)[:2] != ["keeps", "main"]:
            problems.append(f"it computes: {main}")
        if not main["holds_gil"] or any(t["holds_gil"] for t in threads.values()):
            problems.append(f"the main thread holds the GIL: {main}, {threads}")
        for name, t in threads.items():
            if "wants" not in functions(t):
                problems.append(f"{name} is in wants(): {t}")
            # each wakes up every 5 ms: what is told may be of two moments
            if t["state"] == "waiting" and t["stack"] == "complete":
                told[t["class"], t["syscall"], t["target"], t["held_by"]] += 1
    check_none(problems, f"{len(problems)} things are wrong")
    right, wrong = told.pop(expected, 0), told.total()
    # the list of musl's waiters may change while it is read
    words = f"{right} times they were seen to wait for the GIL, and otherwise {told}"
    check(right + wrong > 20 and wrong <= ("musl" in py.name), words)


def check_stuck(lab, py, section, expected):
    """Each thread that `expected` tells of, by name, waits for that for good: (class, target, held by)."""
    target, tids = stuck(lab, py, section)

    def look():
        begin, report, end = time.monotonic(), dump(lab, target), time.monotonic()
        check(not report["has_gil"], "it is said to have a GIL")
        return begin, by_name(report, tids), end

    def problems(threads):
        main = threads["main"]
        if main["state"] != "running" or "keeps" not in functions(main):
            yield f"the main thread computes: {main}"
        for name, (wait_class, what, by) in expected.items():
            t = threads[name]
            told = t["state"], t["stack"], t["class"], t["target"], t["held_by"]
            if told != ("waiting", "complete", wait_class, what, by and tids[by]):
                yield f"{name} is told as {told}: it waits for {what}, which {by} holds"

    for _ in range(20):
        first_begin, first, first_end = look()
        if not any(problems(first)):
            break
        time.sleep(0.1)
    time.sleep(0.5)
    begin, threads, end = look()
    check_none(problems(threads))
    for name in expected:
        grown = threads[name]["since_seconds"] - first[name]["since_seconds"]
        least, most = begin - first_end, end - first_begin
        words = f"{name} waits for {grown:.3f} s more, {least:.3f} to {most:.3f} s later"
        check(0.8 * least - 0.05 < grown < most + 0.05, words)
    return target, tids


@limit(30)
@over(*NO_GIL)
def test_stopped_world(lab, py):
    """It stops but for one thread that does not look: who waits for that one, and who for whom."""
    stopped = ("lock", "stop-the-world", "collects")
    expected = {"spins_one": stopped, "spins_two": stopped, "sleeps": ("sleep", None, None)}
    target, tids = check_stuck(lab, py, "world", expected)
    told, deadline = collections.Counter(), time.monotonic() + 15
    while told.total() < 5 and time.monotonic() < deadline:
        t = by_name(dump(lab, target), tids)["collects"]
        # it looks every millisecond whether all have stopped: what is told may be of two moments
        if t["state"] == "waiting" and t["stack"] == "complete":
            told[t["class"], t["target"], t["held_by"]] += 1
    check(told[("lock", "stop-the-world", None)] > 2 and len(told) == 1, f"who stops it: {told}")


@limit(30)
@over(*NO_GIL)
def test_critical_sections(lab, py):
    """Of one lock and of two; a threading.Lock is none, nor one waited for inside a section."""
    section, lock = ("lock", "critical section", None), ("lock", None, None)
    expected = {
        "appends": section,
        "extends": section,
        "wants_lock": lock,
        "locks_in_section": lock,
        "sleeps": ("sleep", None, None),
    }
    check_stuck(lab, py, "sections", expected)


@limit(30)
@over("debian-3.13")
def test_nothing_is_paused(lab, py):
    """A thread that computes keeps its pace while it is dumped all the time."""
    target, said = hung(lab, py, "spin")
    tids = [said["tids"]["spins_one"], said["tids"]["spins_two"]]

    def could_run():
        return sum(thread_runtime_ns(target.tgid, t) + thread_runq_ns(target.tgid, t) for t in tids)

    before, begin = could_run(), time.monotonic()
    states = set()
    for _ in range(20):
        states |= {t["state"] for t in dump(lab, target)["threads"]}
    took = (time.monotonic() - begin) * 1e9
    share = (could_run() - before) / took
    check("stopped" not in states, f"states {states}")
    check(share > 0.8, f"one of them ran or could have run {share:.2f} of the time they were dumped")
    target.release().result()


def test_text(lab):
    target, said = hung(lab, host_python())
    told = text(lab, target)
    lab.note(told)
    check(f"process {target.tgid} " in told, "no line for the process")
    check(f"net, recvfrom, 127.0.0.1:{said['port']}" in told, "no wait for the peer")
    check(": lock, futex\n" in told, "no wait for the lock")
    target.release().result()


def test_what_cannot_be_dumped(lab):
    line = lab.refused(USAGE, "dump", "-p", 4194000)
    check("no process" in line, line)
    line = lab.refused(USAGE, "dump", "-p", lab.start(["sleep", "30"]).pid)
    check("no CPython" in line, line)
    target, _ = hung(lab, host_python())
    line = lab.refused(UNWRITABLE, "dump", "-p", target.tgid, "-o", "/dev/full")
    check("cannot write" in line, line)
    target.release().result()


@limit(60)
def test_all_python(lab):
    """Every Python process, one after the other; as JSON one a line."""
    one, _ = hung(lab, host_python())
    two, _ = hung(lab, interpreter("debian-3.13"))
    lines = lab.tracer("dump", "--all-python", "--format", "json").finish().out.text()
    found = {json.loads(line)["tgid"] for line in lines.splitlines()}
    check({one.tgid, two.tgid} <= found, f"{one.tgid} and {two.tgid} are not in {found}")
    one.release().result()
    two.release().result()
