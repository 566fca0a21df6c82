# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The slow calls of a function: how many, and what they waited for, against what it counts itself."""
from harness import check, check_none, limit, near, over, short, timing

BUCKET = 0.09  # relative width of a bucket: 2^(1/8) - 1
SLACK = 0.0003  # what a probe, a timer or a wakeup may add

PYTHONS = ("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "debian-3.15", "pyenv-3.12")

# the class of the slow calls' waits, and how much else than that class (and the CPU) is in a call
MODES = {
    "sleep": ("sleep", 0),
    "lock": ("lock", 0),
    "queue": ("lock", 0),
    "gil": ("gil", 0.001),
    "net": ("net", 0),
}


def judged_calls(result, tail):
    """Calls of work() come one after the other: those that were judged are the last."""
    return result["calls"][-tail["of_calls"] :]


def tail_problems(result, f, wait_class, other):
    tail = f["tail"]
    judged = judged_calls(result, tail)
    slow = [ns / 1e9 for ns, is_slow in judged if is_slow]
    near_it = sum(ns / 1e9 > tail["above_seconds"] - 20e-6 for ns, _ in judged)
    parts = tail["breakdown_seconds"]
    if not len(slow) <= tail["calls"] <= near_it + 2:
        yield (
            f"{tail['calls']} slow of {tail['of_calls']}; it made {len(slow)} slow ones, and "
            f"{near_it} that took {tail['above_seconds']} s or nearly"
        )
    fast = tail["calls"] - len(slow)  # interrupted, or else just above the threshold
    if fast > 0.05 * tail["of_calls"]:
        yield f"{fast} calls are among the slow that are not, of {tail['of_calls']}"
    if not near(sum(parts.values()), tail["wall_seconds"], 0.001, 1e-6):
        yield f"{tail['wall_seconds']} s wall, its parts {sum(parts.values())}"
    slack = SLACK * len(slow) + 0.0004 * fast + parts["runq"]
    if not near(tail["wall_seconds"], sum(slow), 0.02, slack):
        yield f"{tail['wall_seconds']:.4f} s wall, its clock says {sum(slow):.4f}"
    lost = parts["oncpu"] + parts["runq"]
    want = sum(slow) - other * len(slow) - lost
    if not near(parts[wait_class], want, BUCKET, slack):
        yield f"{parts[wait_class]:.4f} s of {wait_class}, it is {want:.4f}: {parts}"


def run(lab, py, mode, seconds, *args):
    target = lab.target(py, "tails.py", mode, seconds)
    result, report = lab.run(target, *args)
    return result, report.function(target, "work")


# the function that is to blame for the slow calls' waits: none for sleeping, nor where a peer is
BLAMED = {"sleep": None, "lock": "disturb", "queue": "disturb", "gil": "compute", "net": None}


def check_causes(result, tail, mode):
    """Most slow calls waited for one thing, and longer than for anything else, if not for a CPU."""
    slow = sum(is_slow for _, is_slow in judged_calls(result, tail))
    wait_class = MODES[mode][0]
    causes = tail["causes"]
    check(causes, "no cause of the slow calls")
    told = {
        (c["class"], c["function"] and short(c["function"]), c["target"]): c["calls"] for c in causes
    }
    right = told.get((wait_class, BLAMED[mode], result.get("peer")), 0)
    slow -= told.get(("runq", None, None), 0)  # the machine has other things to do
    check(right >= 0.7 * slow, f"{right} of {slow} slow calls, causes: {told}")
    check(sum(told.values()) <= tail["calls"] + 1, f"{tail['calls']} slow calls, causes: {told}")
    seconds = sum(c["seconds"] for c in causes if c["class"] == wait_class)
    most = tail["breakdown_seconds"][wait_class]
    check(0.3 * most <= seconds <= 1.01 * most, f"{seconds} s of {most} s of {wait_class} have a cause")


def check_tail(lab, py, mode):
    result, f = run(lab, py, mode, 2.8)
    tail = f["tail"]
    check(tail, f"no tail in {len(result['calls'])} calls")
    check(f["calls"] == len(result["calls"]), f"{f['calls']} calls of {len(result['calls'])}")
    check(tail["of_calls"] <= f["calls"], f"{tail['of_calls']} judged of {f['calls']}")
    blind = (result["ends"][-tail["of_calls"]] - result["begin"]) / 1e9
    check(blind < 1.4, f"nothing was judged in the first {blind:.3f} s")
    check_none(list(tail_problems(result, f, *MODES[mode])), str(tail))
    check_causes(result, tail, mode)


@timing
@limit(30)
@over(*PYTHONS)
def test_slow_calls_that_sleep(lab, py):
    check_tail(lab, py, "sleep")


@timing
@limit(30)
@over(*PYTHONS)
def test_slow_calls_that_want_a_lock(lab, py):
    check_tail(lab, py, "lock")


@timing
@limit(30)
@over(*PYTHONS)
def test_slow_calls_that_want_an_item(lab, py):
    check_tail(lab, py, "queue")


@timing
@limit(30)
@over(*PYTHONS)
def test_slow_calls_that_want_the_gil(lab, py):
    check_tail(lab, py, "gil")


@timing
@limit(30)
@over("debian-3.9", "debian-3.13", "debian-3.15")
def test_slow_calls_that_ask_a_peer(lab, py):
    check_tail(lab, py, "net")


@timing
@limit(30)
@over("debian-3.13")
def test_slow_calls_of_each_window(lab, py):
    """From the second window on every call is judged; over all windows, the slow are as many."""
    target = lab.target(py, "tails.py", "sleep", 3.5)
    tracer = lab.trace(target, "-i", "1")
    result = target.release().result()
    found = [r.function(target, "work") for r in tracer.reports()]
    check(len(found) >= 3, f"{len(found)} windows")
    problems = []
    for i, f in enumerate(found[1:], 1):
        tail = f["tail"]
        if not tail or tail["of_calls"] != f["wall_seconds"]["count"]:
            problems.append(f"window {i}: {f['wall_seconds']['count']} calls ended, tail {tail}")
    check_none(problems)
    tails = [f["tail"] for f in found if f["tail"]]
    judged = sum(t["of_calls"] for t in tails)
    slow = sum(is_slow for _, is_slow in result["calls"][-judged:])
    told = sum(t["calls"] for t in tails)
    check(slow <= told <= slow + 0.05 * judged, f"{told} slow of {judged}, it made {slow}")
