# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Control groups of a test's own, of either version."""
import pathlib

from outcome import Skipped


def hierarchy(controller):
    """(folder that has it, is it version 2?)"""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        where, _, kind = line.partition(" - ")
        folder = pathlib.Path(where.split()[4])
        if kind.startswith("cgroup ") and controller in kind.split()[2].split(","):
            return folder, False
        if kind.startswith("cgroup2 ") and controller in (
            (folder / "cgroup.subtree_control").read_text().split()
        ):
            return folder, True
    raise Skipped(f"no {controller} controller among the control groups here")


class Group:
    """A group that goes with the test."""

    def __init__(self, lab, controller):
        where, self.unified = hierarchy(controller)
        name = f"{lab.name}-{len(lab.undo)}"  # a test may have several
        self.folder = where / name
        self.path = "/" + name
        try:
            self.make(lab, self.folder)
            self.set_up(lab)
        except OSError as e:
            raise Skipped(f"no control group with a limit can be made here: {e}") from None

    def make(self, lab, folder):
        folder.mkdir()
        lab.undo.append(folder.rmdir)
        self.inside = folder  # where its processes are

    def set_up(self, lab):
        raise NotImplementedError

    def prefix(self):
        """Starts a command in the group."""
        return ["sh", "-c", f'echo $$ > {self.inside}/cgroup.procs; exec "$@"', "sh"]


class Quota(Group):
    """With a CPU quota, and one in it without."""

    def __init__(self, lab, share):
        self.share = share
        super().__init__(lab, "cpu")

    def set_up(self, lab):
        self.make(lab, self.folder / "inner")
        if self.unified:
            (self.folder / "cpu.max").write_text(f"{int(self.share * 50000)} 50000")
        else:
            (self.folder / "cpu.cfs_period_us").write_text("50000")
            (self.folder / "cpu.cfs_quota_us").write_text(str(int(self.share * 50000)))

    def throttled(self):
        """(seconds, times)"""
        stat = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
        if self.unified:
            return int(stat["throttled_usec"]) / 1e6, int(stat["nr_throttled"])
        return int(stat["throttled_time"]) / 1e9, int(stat["nr_throttled"])


class MemoryLimit(Group):
    def __init__(self, lab, limit):
        self.limit = limit
        super().__init__(lab, "memory")

    def set_up(self, lab):
        name = "memory.max" if self.unified else "memory.limit_in_bytes"
        (self.folder / name).write_text(str(self.limit))
