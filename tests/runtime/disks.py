# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A file system on a block device of a test's own."""
import os
import subprocess
import tempfile

from outcome import Skipped

MEGABYTES = 8
# in a mount namespace of the command's own: the device goes with the last process in it
MOUNT = 'mount -o loop "$1" "$2" && shift 2 && exec "$@"'


class LoopDisk:
    """`prefix` starts a command that sees it at `folder`, in which nothing else is."""

    def __init__(self, lab, folder):
        handle, image = tempfile.mkstemp(prefix="disk-", dir=lab.dir)
        os.truncate(handle, MEGABYTES << 20)
        os.close(handle)
        folder.mkdir(exist_ok=True)
        self.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, "sh"]
        self.prefix += [image, str(folder)]
        for argv in (["mkfs.ext4", "-q", "-F", image], [*self.prefix, "true"]):
            self.run(argv)

    def run(self, argv):
        try:
            out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        except OSError as e:
            raise Skipped(f"no loop device with a file system can be made here: {e}") from None
        if out.returncode:
            words = " ".join(out.stdout.split())
            raise Skipped(f"no loop device with a file system can be made here: {words}")
