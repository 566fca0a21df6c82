# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""docs/json.md against real reports: every key is there, with its type, and no other."""
import json
import re

from harness import TREE, check, check_none, limit, over

PAGE = TREE / "docs/json.md"
SHAPES = ("histogram", "classes", "parts", "frame")
TYPES = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "object": lambda v: isinstance(v, dict),
    "bound": lambda v: v is None or isinstance(v, (int, float)),
}


class Page:
    """What docs/json.md says: {section: {key: type}}, keys as "a.b[].c" from the section's object."""

    def __init__(self):
        self.sections, section = {}, None
        for line in PAGE.read_text().splitlines():
            if line.startswith("#"):
                section = self.sections.setdefault(line.lstrip("# "), {})
                continue
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            keys = re.findall(r"`([\w.\[\]]+)`", cells[0])
            if not line.startswith("| `") or len(cells) < 2:
                continue
            told = re.sub(r"\[(\w+)\]\(#\w+\)", r"\1", cells[1])
            alone = told if ", or " in told else None
            types = [alone] * len(keys) if alone else told.split(", ")
            if len(types) == 1:
                types *= len(keys)
            check(len(types) == len(keys), f"{PAGE.name}: {line}")
            for key, kind in zip(keys, types):
                check(key not in section, f"{PAGE.name} has {key} twice")
                section[key] = kind

    def keys(self, section, prefix):
        """{name: (type, key)} of what is right below that place of a section."""
        found = {}
        for key, kind in self.sections[section].items():
            rest = key[len(prefix) :]
            if key.startswith(prefix) and rest and not set(rest) & set(".["):
                found[rest] = kind, key
        return found


class Comparison:
    """Of objects with the page. `used` are the keys of the page that were met."""

    def __init__(self, page):
        self.page = page
        self.problems = {}
        self.used = set()

    def problem(self, where, what):
        self.problems.setdefault(f"{where}: {what}", None)

    def object(self, value, where, section, prefix="", shape=None):
        keys = {k: (*v, section) for k, v in self.page.keys(section, prefix).items()}
        if shape:
            keys.update({k: (*v, shape) for k, v in self.page.keys(shape, "").items()})
        for name in value.keys() - keys.keys():
            self.problem(f"{where}.{name}", "not on the page")
        for name, (kind, key, of) in keys.items():
            if name in value:
                self.used.add((of, key))
                self.value(value[name], kind, f"{where}.{name}", of, key)
            elif not kind.endswith(", or absent"):
                self.problem(f"{where}.{name}", "on the page only")

    def value(self, value, kind, where, section, key):
        kind, _, less = kind.partition(", or ")
        if value is None and less == "null":
            return
        if kind.startswith("list of "):
            if not isinstance(value, list):
                self.problem(where, f"{value!r} is no list")
                return
            for one in value:
                self.value(one, kind[len("list of ") :], where + "[]", section, key + "[]")
            return
        if not TYPES["object" if kind in SHAPES else kind](value):
            self.problem(where, f"{value!r} is no {kind}")
        elif isinstance(value, dict):
            own, prefix = section, key + "."
            if section == "The report" and "." not in key and key.strip("[]") in self.page.sections:
                own, prefix = key.strip("[]"), ""  # these have a section of their own
            self.object(value, where, own, prefix, kind if kind in SHAPES else None)

    def told(self):
        check_none(self.problems, f"{PAGE.name} and what is printed differ")

    def missed(self, sections):
        """What of these sections was in no object."""
        wanted = {(s, key) for s in sections for key in self.page.sections[s]}
        return sorted(f"{s}: {key}" for s, key in wanted - self.used)


# What the targets here have no reason for.
UNUSED = {"processes: throttling." + key for key in ("seconds", "count", "cgroup")}


@limit(60)
@over("debian-3.11", "debian-3.13")
def test_report(lab, py):
    page = Page()
    targets = [
        lab.target(py, "tails.py", "gil", 2),
        lab.target(py, "loops.py", "tasks"),
        lab.target(py, "io_waits.py", "repeats"),
        lab.target(py, "collects.py", 2, "plainly"),
    ]
    pids = ",".join(str(target.tgid) for target in targets)
    tracer = lab.tracer("-p", pids, "--format", "json", "--watch", "no_such_name").attached()
    for target in targets:
        target.release()
    comparison = Comparison(page)
    comparison.object(tracer.report(timeout=45), "report", "The report")
    _, report = lab.run(lab.target(py, "budget.py", "mixed", 8), "--overhead", 2, timeout=30)
    comparison.object(report, "report", "The report")
    comparison.told()
    sections = ("The report", *SHAPES, *(s for s in page.sections if s in page.sections["The report"]))
    check_none(set(comparison.missed(sections)) - UNUSED, "in no report here")


@over("debian-3.13")
def test_list_and_dump(lab, py):
    target = lab.target(py, "hung.py")
    comparison = Comparison(Page())
    listed = json.loads(lab.tracer("list", "--format", "json").finish().out.text())
    comparison.object(listed, "list", "list")
    dump = lab.tracer("dump", "-p", target.tgid, "--format", "json").finish().out.text()
    comparison.object(json.loads(dump), "dump", "dump")
    comparison.told()
