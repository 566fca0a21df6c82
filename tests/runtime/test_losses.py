# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What cannot be recorded is counted: recorded + lost = truth."""
import signal
import time

from harness import check, check_none, interpreter, over

TINY = ("--ring-bytes", "4096")
PAUSE = 0.7  # the tracer does not run for so long: a ring of 4 KB holds some 250 waits of a kind


def recorded_waits(report, tgid):
    """Waits of any kind: the run queue is none."""
    return sum(w["count"] for w in report.waits_of(tgid) if w["class"] != "runq")


def pause(tracer):
    tracer.signal(signal.SIGSTOP)
    time.sleep(PAUSE)
    tracer.signal(signal.SIGCONT)


@over("debian-3.9", "debian-3.13")
def test_recorded_plus_lost_is_truth(lab, py):
    target = lab.target(py, "sleeps.py", 1, 1000)
    tracer = lab.trace(target, "--overhead", "0", *TINY)
    target.release()
    time.sleep(0.2)
    pause(tracer)
    (truth,) = target.result()
    report = tracer.report()
    lab.note(report.excerpt())
    lost = report.loss("ring_full_wait")
    sleeps, _ = report.wait_sum(target.tgid, "nap", "sleep")
    figures = f"{sleeps} sleeps recorded, {lost} waits lost, {truth['sleeps']} sleeps made"
    check(lost > 100, f"{figures}: the ring was meant to overflow")
    check(sleeps > 200, f"{figures}: hardly anything was recorded")
    check(sleeps <= truth["sleeps"], f"{figures}: more than there were")
    # a wait or two are of other kinds (the handshake, a page fault), and now and then a sleep
    # is over before it has begun: the kernel's count is the truth
    total = recorded_waits(report, target.tgid) + lost
    check(0 <= total - truth["waits"] <= 5, f"{figures}; {total} in all, {truth['waits']} waits")
    check(-5 <= truth["waits"] - sleeps - lost <= 5, f"{figures}; {truth['waits']} waits")


@over("debian-3.9", "debian-3.13")
def test_every_wait_is_recorded(lab, py):
    """With room for all there is nothing lost, and not one wait less than the kernel counted."""
    target = lab.target(py, "sleeps.py", 1, 3000)
    (truth,), report = lab.run(target, "--overhead", "0")
    sleeps, _ = report.wait_sum(target.tgid, "nap", "sleep")
    lost = report.loss("ring_full_wait")
    # a sleep that is over before it has begun is no wait, and a page fault may be one
    check(
        truth["waits"] - 3 <= sleeps <= min(truth["waits"], truth["sleeps"]) and not lost,
        f"{sleeps} sleeps recorded, {lost} waits lost; {truth['sleeps']} sleeps were made "
        f"in {truth['waits']} voluntary context switches",
    )


@over("debian-3.13")
def test_many_processes_and_a_tiny_ring(lab, py):
    target = lab.target(py, "sleeps.py", 6, 400)
    tracer = lab.trace(target, "--overhead", "0", *TINY)
    target.release()
    time.sleep(0.2)
    pause(tracer)
    truth = target.result()
    report = tracer.report()
    lab.note(report.excerpt())
    lost = report.loss("ring_full_wait")
    made = sum(min(t["sleeps"], t["waits"]) for t in truth)
    sleeps = sum(report.wait_sum(t["tgid"], "nap", "sleep")[0] for t in truth)
    check(lost > 100, f"{lost} waits lost: the ring was meant to overflow")
    short_of = made - sleeps - lost
    # each child begins with a wait or two of another kind, and the parent waits for them all
    check(-40 <= short_of <= 0, f"{sleeps} recorded + {lost} lost of {made} sleeps")
    unnamed = [w for w in report["waits"] if w["class"] == "sleep" and not w["function"]]
    check(not unnamed, f"sleeps of no function: {unnamed}")


@over("debian-3.13", "debian-3.14")
def test_names_that_were_late(lab, py):
    """A function whose name found no room gets it as soon as there is."""
    target = lab.target(py, "sleeps.py", 24, 100)
    tracer = lab.trace(target, "--overhead", "0", *TINY)
    tracer.signal(signal.SIGSTOP)
    target.release()
    time.sleep(0.05)
    tracer.signal(signal.SIGCONT)
    truth = target.result()
    report = tracer.report()
    lab.note(report.excerpt())
    check(report.loss("ring_full_code") > 0, "the ring was meant to be full when they begin")
    lost = report.loss("ring_full_wait")
    made = sum(min(t["sleeps"], t["waits"]) for t in truth)
    sleeps = sum(report.wait_sum(t["tgid"], "nap", "sleep")[0] for t in truth)
    check(sleeps + lost >= made, f"{sleeps} naps by name + {lost} lost of {made}")


@over("debian-3.13")
def test_names_survive_a_full_ring(lab, py):
    """A name that found no room is sent again; calls are in the kernel and are never lost."""
    target = lab.target(py, "many.py", 3000)
    tracer = lab.trace(target, *TINY)
    tracer.signal(signal.SIGSTOP)
    truth = target.release().result()
    tracer.signal(signal.SIGCONT)
    report = tracer.report()
    lab.note(report.excerpt())
    calls = sum(f["calls"] or 0 for f in report["functions"] if f["tgid"] == target.tgid)
    check(calls >= truth["calls"], f"{calls} calls, {truth['calls']} were made")
    named = sum(f["calls"] or 0 for f in report["functions"] if f["file"] == truth["file"])
    told = report.loss("ring_full_code")
    check(named == truth["calls"] or told, f"{named} calls have their name, and no loss is told")


@over("debian-3.13")
def test_target_ends_while_the_ring_is_full(lab, py):
    """Even if the end of the target finds no room in the ring, the tracer ends."""
    target = lab.target(py, "sleeps.py", 1, 300)
    tracer = lab.trace(target, "--overhead", "0", *TINY)
    tracer.signal(signal.SIGSTOP)
    target.release().result()
    target.wait()
    tracer.signal(signal.SIGCONT)
    report = tracer.report(timeout=10)
    check(report.loss("ring_full_wait") > 100, f"losses {report['losses']}")


def test_nothing_is_lost_normally(lab):
    """An ordinary run has no losses at all, of any cause."""
    problems = []
    for name in ("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14"):
        target = lab.target(interpreter(name), "threads.py", 20)
        _, report = lab.run(target)
        # The target ends in the middle of done(), and its main() began before the tracer came.
        # These are what the run is, not what went wrong in it.
        of_the_run = {"began_before", "ended_unseen"}
        lost = {k: v for k, v in report["losses"].items() if v and k not in of_the_run}
        if lost:
            problems.append(f"{name}: {lost}")
    check_none(problems)
