# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Reading a report of --format json, and comparing its figures."""
import json
import os

from outcome import Failed, check


def parse_report(text):
    try:
        return Report(json.loads(text))
    except ValueError as e:
        raise Failed(f"the report is not JSON ({e}): {text[:300]!r}") from None


class Report(dict):
    """A report of --format json; the keys are those of docs/json.md."""

    def process(self, tgid):
        found = [p for p in self["processes"] if p["tgid"] == tgid]
        check(
            len(found) == 1,
            f"processes[] has {len(found)} entries for {tgid}, there are "
            f"{[(p['tgid'], p['comm']) for p in self['processes']]}",
        )
        return found[0]

    def functions_of(self, target, tgid=None):
        """functions[] of the target's own files, in that process."""
        tgid = target.tgid if tgid is None else tgid
        folder = os.path.dirname(target.script)
        return [
            f
            for f in self["functions"]
            if f["tgid"] == tgid and os.path.dirname(f["file"]) == folder
        ]

    def function(self, target, name, tgid=None):
        found = [f for f in self.functions_of(target, tgid) if short(f["function"]) == name]
        check(
            len(found) == 1,
            f"functions[] has {len(found)} entries for {name}, there are "
            f"{sorted(f['function'] for f in self.functions_of(target, tgid))}",
        )
        return found[0]

    def calls(self, target, name, tgid=None):
        """Calls of a function, 0 if it is not in the report."""
        functions = self.functions_of(target, tgid)
        return sum(f["calls"] or 0 for f in functions if short(f["function"]) == name)

    def waits_of(self, tgid, name=None, wait_class=None):
        return [
            w
            for w in self["waits"]
            if w["tgid"] == tgid
            and (name is None or short(w["function"] or "") == name)
            and (wait_class is None or w["class"] == wait_class)
        ]

    def wait_sum(self, tgid, name=None, wait_class=None):
        """(count, seconds) of those waits."""
        found = self.waits_of(tgid, name, wait_class)
        return sum(w["count"] for w in found), sum(w["seconds"]["sum"] for w in found)

    def loss(self, cause):
        return self["losses"].get(cause, 0)

    def excerpt(self):
        """What a failure should show of it."""
        lines = [f"duration {self.get('duration_seconds')} losses {self.get('losses')}"]
        for p in self.get("processes", [])[:5]:
            told = {k: v for k, v in p.items() if k not in ("command", "build_id", "diagnosis")}
            lines.append("process " + json.dumps(told)[:500])
        for f in self.get("functions", [])[:12]:
            lines.append("function " + brief(f))
        for w in self.get("waits", [])[:8]:
            lines.append("wait " + json.dumps(w)[:200])
        return "\n".join(lines)


def brief(function):
    """The figures of a functions[] entry that tell most, on one line."""
    counts = {k: function.get(k) for k in ("calls", "segments", "exceptions", "ended_unseen")}
    wall = {k: v for k, v in function.get("wall_seconds", {}).items() if k in ("sum", "p50", "max")}
    parts = {k: round(v, 6) for k, v in function.get("breakdown_seconds", {}).items() if v}
    return f"{function.get('function')}: {counts} wall {wall} parts {parts}"


def short(qualified):
    """The last component of a qualified name; before 3.11 there is nothing else."""
    return qualified.rsplit(".", 1)[-1]


def quantile(values, q):
    """The q-quantile of what a target measured itself."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, int(q * len(ordered) + 0.5) - 1))]


def near(got, want, relative, absolute=0.0):
    return abs(got - want) <= relative * abs(want) + absolute
