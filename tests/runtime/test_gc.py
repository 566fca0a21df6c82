# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Pauses of the garbage collector, against what gc.callbacks tells the target."""
import collections

from harness import DEBIAN, check, check_none, over, short, timing


def told(result):
    """{(function, generation): [seconds, ...]}"""
    found = collections.defaultdict(list)
    for function, generation, seconds in result:
        found[function, generation].append(seconds)
    return found


def reported(report, tgid):
    """{(function, generation): entry of gc[]}"""
    return {
        (short(gc["function"]), gc["generation"]): gc for gc in report["gc"] if gc["tgid"] == tgid
    }


def differences(result, report, target):
    """What gc[] has that the target does not know of, and the other way round."""
    want, got = told(result), reported(report, target.tgid)
    return [
        f"{function}, generation {generation}: {got.get(key, {}).get('count', 0)} collections, "
        f"there were {len(want.get(key, ()))}"
        for key in sorted(set(want) | set(got), key=str)
        for function, generation in (key,)
        if got.get(key, {}).get("count", 0) != len(want.get(key, ()))
    ]


def exact(lab, py, method, *args):
    target = lab.target(py, "collects.py", 8, *args)
    result, report = lab.run(target, "--overhead", "0")
    check(len(result) > 60, f"only {len(result)} collections in the target")
    process = report.process(target.tgid)
    told_so = (process["gc_method"], process["gc_reason"])
    check(told_so == (method, None), f"gc_method, gc_reason: {told_so}")
    check(all(gc["method"] == method for gc in report["gc"]), "gc[].method is not the process's")
    check_none(differences(result, report, target))


@over(*DEBIAN)
def test_every_collection_by_tracepoints(lab, py):
    exact(lab, py, "usdt")
