# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A PostgreSQL server of the test's own, and what its clients need."""
import itertools
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import packages
from harness import START_TIMEOUT, Failed, Process, check

DRIVER = ("pg8000", "scramp", "python-dateutil", "six", "asn1crypto")
USER = "postgres"  # Debian's package makes it; the server refuses to run as root
AS_USER = ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups")
TRIES = 3  # of a port that is free: somebody else may take it first
SETTINGS = {
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "20",
    "autovacuum": "off",
    "jit": "off",
    "log_min_messages": "error",
    "shared_preload_libraries": "pg_stat_statements",  # the server's own count
}


numbers = itertools.count(1)


def programs():
    """The folder of the newest release's programs."""
    found = sorted(
        pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3])
    )
    check(found, "no PostgreSQL on this machine (tools/deps test)")
    return found[-1].parent


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Postgres(Process):
    """One on loopback and on a socket in `folder`, a path of ours that clients may see otherwise."""

    def __init__(self, lab, folder):
        self.folder = pathlib.Path(folder)
        self.data = lab.dir / folder.name
        for made in (self.folder, self.data):
            made.mkdir()
            shutil.chown(made, USER, USER)
        # quick, not durable; everybody on this machine may come in
        argv = [*AS_USER, programs() / "initdb", "-D", self.data, "-U", USER]
        argv += ["--no-sync", "--auth", "trust", "--locale", "C", "--encoding", "UTF8"]
        made = subprocess.run(
            [str(a) for a in argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=START_TIMEOUT,
            cwd="/",
        )
        check(made.returncode == 0, f"initdb failed: {made.stdout[-1000:]}")
        self.port = free_port()
        settings = dict(SETTINGS, unix_socket_directories=self.folder)
        # who changes its user loses the signal at its parent's death: so it is asked for again
        argv = [*AS_USER, "setpriv", "--pdeathsig", "KILL", "--"]
        argv += [programs() / "postgres", "-D", self.data]
        argv += ["-h", "127.0.0.1", "-p", self.port]
        argv += [word for name in settings for word in ("-c", f"{name}={settings[name]}")]
        super().__init__(argv, cwd="/")

    def is_up(self):
        try:
            status = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(status) > 7 and status[7].strip() == "ready"

    def started_up(self):
        """Whether it did; not if somebody has its port."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self.is_up() and self.code is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.is_up() and self.code is None

    @property
    def socket(self):
        """Its socket's name, as it was bound."""
        return str(self.folder / f".s.PGSQL.{self.port}")

    def kill(self):
        """Its processes have sessions of their own, and it has a segment of shared memory to remove."""
        if self.popen.returncode is None and self.code is None:
            self.signal(signal.SIGINT)
            self.ends_within(10)
        super().kill()


def start(lab, py):
    """A server whose socket is seen in the interpreter's file system: (it, its folder inside)."""
    inside, ours = lab.folder_in(py)
    for _ in range(TRIES):
        name = f"pg{next(numbers)}"
        server = Postgres(lab, ours / name)
        lab.processes.append(server)
        if server.started_up():
            return server, inside / name
        lab.note(f"PostgreSQL on port {server.port}: {server.describe()}")
        server.kill()
        shutil.rmtree(server.data)
    raise Failed("PostgreSQL does not come up")


def driver(lab, py):
    """What a client needs in its environment. The driver is where drivers are: in site-packages."""
    env = packages.environment(py, DRIVER)
    inside, ours = lab.folder_in(py)
    (ours / "site-packages").mkdir(exist_ok=True)
    for folder in env["PYTHONPATH"].split(":"):
        for path in py.host_path(folder).iterdir():
            link = ours / "site-packages" / path.name
            if not path.name.startswith(".") and not link.is_symlink():
                os.symlink(f"{folder}/{path.name}", link)
    return [f"{k}={v}" for k, v in dict(env, PYTHONPATH=inside / "site-packages").items()]


def client(lab, py, mode):
    """A target that talks to a server of its own, which is its .server."""
    server, inside = start(lab, py)
    arguments = (mode, server.port, inside / pathlib.Path(server.socket).name)
    target = lab.target(py, "orders.py", *arguments, prefix=["env", *driver(lab, py)])
    target.server = server
    return target
