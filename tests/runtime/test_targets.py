# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What waits are for: peers, paths, children; and how often a call waits for the same."""
import json
import os
import socket

from disks import LoopDisk
from harness import check, check_none, limit, near, over, timing

MOST = ("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "debian-3.15")
INSIDE = {  # the wait is in a function of the target's own, below
    "ask_four": "ask",
    "ask_six": "ask",
    "ask_with_timeout": "ask",
    "ask_unix": "ask",
    "ask_abstract": "ask",
    "ask_pair": "ask",
    "accept_one": "accept",
    "ask_udp": "ask",
    "ask_udp_service": "ask",
    "ask_service": "ask",
    "wait_child": None,  # another with each version
}


def is_target(got, want):
    """Want is all of it, or "..." and its end."""
    head, dots, tail = want.partition("...")
    got = got or ""
    return got == want if not dots else got.startswith(head) and got.endswith(tail)


def for_target(waits, wait_class, want):
    return [w for w in waits if w["class"] == wait_class and is_target(w["target"], want)]


def target_problems(report, target, result):
    for name, (wait_class, want) in result["targets"].items():
        stamps = result["stamps"][name]
        inside = INSIDE.get(name, name)
        waits = [
            w
            for w in report.waits_of(target.tgid, inside, wait_class)
            if w["syscall"] not in ("vfork", "clone", "clone3")
        ]
        found = for_target(waits, wait_class, want)
        count, seconds = (sum(w["count"] for w in found), sum(w["seconds"]["sum"] for w in found))
        told = sorted({(w["target"], w["syscall"], w["count"]) for w in waits}, key=str)
        # one or two may have had no need to wait, for locks some more
        if wait_class not in ("disk", "lock") and count < len(stamps) - 2:
            yield f"{name}: {count} waits for {want} of {len(stamps)}; there are {told}"
        if count < (len(stamps) / 2 if wait_class == "lock" else 1):
            yield f"{name}: {count} waits for {want}; there are {told}"
        # others that share the peer and the function's name are in there as well
        if name not in INSIDE and seconds > 1.1 * sum(stamps) / 1e9:
            yield f"{name}: {seconds:.4f} s for {want}, stamps say {sum(stamps) / 1e9:.4f}"


@timing
@limit(60)
@over(*MOST)
def test_each_target_is_named(lab, py):
    target = lab.target(py, "io_waits.py", "targets")
    result, report = lab.run(target, "--overhead", "0")
    check_none(target_problems(report, target, result), f"losses {report['losses']}")
    waits = report.waits_of(target.tgid)
    listening = [w for w in waits if (w["target"] or "").startswith("listening on ")]
    check(listening and all(w["idle"] for w in listening), f"not idle: {listening}")
    synced = report.waits_of(target.tgid, "sync_file", "disk")
    check(all(w["block_io"] <= w["count"] for w in waits), "more block I/O than waits")
    check(not any(w["block_io"] for w in waits if w["class"] in ("net", "pipe", "child")), "block I/O")
    check(synced, "no wait for the disk")
    classes = ("lock", "sleep", "runq", "gil")
    nothing = [
        w
        for w in waits
        if w["class"] in classes and w["syscall"] not in ("flock", "fcntl") and w["target"]
    ]
    check(not nothing, f"these wait for nothing that has a name: {nothing}")


def services(protocol):
    """[(port, name)] of this machine's that are nobody's by chance, as its C library has them."""
    found = []
    for port in range(1024, 32768):
        try:
            found.append((port, socket.getservbyport(port, protocol)))
        except OSError:
            pass
    check(found, f"/etc/services has no {protocol} port")
    return found


@timing
@limit(60)
@over(*MOST)
def test_other_kinds_are_named(lab, py):
    master, tty = os.openpty()  # the interpreter's file system has none
    lab.undo += [lambda: os.close(master), lambda: os.close(tty)]
    settings = {"tty": [master, tty, os.ttyname(tty)]}
    settings.update(tcp=services("tcp"), udp=services("udp"))
    target = lab.target(py, "io_kinds.py", "kinds", json.dumps(settings), pass_fds=(master, tty))
    result, report = lab.run(target, "--overhead", "0")
    check(len(result["targets"]) == 9, f"{result['targets']}")
    check_none(target_problems(report, target, result), f"losses {report['losses']}")


@timing
@limit(60)
@over(*MOST)
def test_block_io(lab, py):
    """What is written to a disk is waited for there; a lock on the same file is not."""
    inside, ours = lab.folder_in(py)
    disk = LoopDisk(lab, ours / "disk")
    target = lab.target(py, "io_kinds.py", "block", inside / "disk", prefix=disk.prefix)
    result, report = lab.run(target, "--overhead", "0")
    synced = report.waits_of(target.tgid, "sync_block", "disk")
    count, blocks = (sum(w[key] for w in synced) for key in ("count", "block_io"))
    # mostly one each, for its pages; that the journal is written is waited for otherwise
    words = f"{blocks} of {count} waits in {result['syncs']} syncs were for the device"
    check(0.5 * result["syncs"] <= blocks <= count, words)
    check({w["target"][-12:] for w in synced} == {"/disk/synced"}, f"{synced}")
    locked = report.waits_of(target.tgid, "want_lock", "lock")
    count, blocks = (sum(w[key] for w in locked) for key in ("count", "block_io"))
    rounds = len(result["waited"])
    check(rounds - 2 <= count <= rounds, f"{count} waits for a lock of {rounds}: {locked}")
    check(not blocks, f"{blocks} waits for a lock were for a block device")
    seconds = sum(w["seconds"]["sum"] for w in locked)
    want = sum(result["waited"])
    check(0.5 * want < seconds < 1.01 * want, f"{seconds} s of locks, by its clock {want}")


@timing
@limit(60)
@over(*MOST)
def test_more_targets_than_there_is_room_for(lab, py):
    more = 300
    target = lab.target(py, "io_kinds.py", "crowd", more)
    result, report = lab.run(target)
    everything, asked = report.waits_of(target.tgid), report.waits_of(target.tgid, "ask_one", "net")
    others = [w for w in everything if w["target"] == "(other targets)"]
    names = {w["target"] for w in everything if w["target"]} - {"(other targets)"}
    check(len(names) == result["room"], f"{len(names)} have a name of their own")
    # each peer once a time, of which some may have had no need to wait
    told, total = sum(w["count"] for w in asked), result["asked"] + 2 * result["again"]
    check(0.9 * total <= told <= total, f"{told} waits, asked {total} times")
    told, total = sum(w["count"] for w in others), 2 * more + result["again"]
    check(0.9 * total <= told <= 1.5 * total, f"{told} waits for others, asked {total} times")
    lost = report.loss("targets_full")
    check(told <= lost <= told + 2, f"targets_full {lost}, and {told} waits for others")
    first = sum(w["count"] for w in asked if w["target"] == result["first"])
    check(result["again"] <= first <= result["again"] + 2, f"{first} waits for the first")
    # those that have no name are not one and the same
    repeated = report.function(target, "ask_all")["repeated_target"]
    check(repeated["target"] in names and not repeated["many"], f"ask_all: {repeated}")
    repeated = report.function(target, "ask_again")["repeated_target"]
    check(repeated["target"] == result["first"], f"ask_again: {repeated}")


@timing
@limit(60)
@over(*MOST)
def test_the_slow_peer_of_four(lab, py):
    target = lab.target(py, "io_waits.py", "peers")
    result, report = lab.run(target, "--overhead", "0")
    waits = report.waits_of(target.tgid, "ask", "net")
    problems = []
    for name in result["all"]:
        found = for_target(waits, "net", name)
        want = 0.020 if name == result["slow"] else 0.002
        count, seconds = (sum(w["count"] for w in found), sum(w["seconds"]["sum"] for w in found))
        if count < 38 or not near(seconds / count, want, 0.15, 0.0007):
            problems.append(f"{name}: {count} waits, {seconds:.4f} s; 40 of {want} s each")
    check_none(problems)
    diagnosis = report.process(target.tgid)["diagnosis"]
    check(diagnosis["verdict"] == "net", f"{diagnosis}")
    check(diagnosis["target"] == result["slow"], f"not {result['slow']}: {diagnosis}")
    check(result["slow"] in diagnosis["summary"], f"{diagnosis['summary']}")


@timing
@limit(60)
@over(*MOST, "pyenv-3.8", "pyenv-3.12")
def test_waits_in_a_call(lab, py):
    """One query a row is found, in the function that makes them and not in what calls it."""
    target = lab.target(py, "io_waits.py", "repeats")
    result, report = lab.run(target)
    problems = []
    for name, want in result["waits"].items():
        f = report.function(target, name)
        got, repeated = f["waits_per_call"], f["repeated_target"]
        # a peer that is fast enough is not waited for
        if not near(got, want, 0.03, 0.05):
            problems.append(f"{name}: {got} waits a call, it does {want}")
        want = result["repeated"][name]
        if not repeated or repeated["target"] != result["target"] or repeated["class"] != "net":
            problems.append(f"{name}: {repeated}, it is {result['target']}")
        elif not near(repeated["per_call"], want, 0.03, 0.05):
            problems.append(f"{name}: {repeated['per_call']} for it a call, it does {want}")
    many = {
        f["function"].rsplit(".", 1)[-1]
        for f in report.functions_of(target)
        if f["repeated_target"] and f["repeated_target"]["many"]
    }
    if many != set(result["many"]):
        problems.append(f"many: {many}, it is {result['many']}")
    check_none(problems, f"losses {report['losses']}")


@timing
@limit(60)
@over(*MOST)
def test_event_loops_are_idle(lab, py):
    target = lab.target(py, "io_waits.py", "loop")
    result, report = lab.run(target, "--overhead", "0")
    waits = [w for w in report.waits_of(target.tgid) if w["event_loop"]]
    check(sum(w["count"] for w in waits) >= 20, f"{waits}")
    check(all(w["idle"] for w in waits), f"not idle: {waits}")
    # three connections and what wakes the loop, then one
    names = {w["target"] for w in waits}
    check({"epoll of 4 fds", result["peer"]} & names, f"{names}")
    verdict = report.process(target.tgid)["diagnosis"]["verdict"]
    check(verdict not in ("net", "lock"), f"the verdict is {verdict}")


@limit(60)
@over("debian-3.13")
def test_targets_in_text(lab, py):
    target = lab.target(py, "io_waits.py", "repeats")
    tracer = lab.tracer("-p", target.tgid).attached()
    target.release()
    result = target.result()
    text = tracer.finish().out.text()
    line = f"list_orders() does 48 waits on {result['target']} per call (3 calls)"
    check(line in text, text)
    check(text.count(" per call (") == len(result["many"]), text)
