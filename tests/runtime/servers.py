# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Real HTTP servers: starting them, loading them, and their own figures against ours."""
import collections
import http.client
import itertools
import math
import os
import re
import socket
import threading
import time

import packages
from harness import (
    START_TIMEOUT,
    check,
    children_of,
    near,
    quantile,
    short,
    target_environment,
    wait_until,
)

GUNICORN = ("gunicorn", "packaging", "gevent", "greenlet", "zope.event", "zope.interface")
UVICORN = ("uvicorn", "click", "h11", "typing_extensions")
WORKERS = 2
CONNECTIONS = 8
ACCESS = "access.log"
UWSGI_ACCESS = "request: "


def said(lines, pattern, timeout=START_TIMEOUT):
    """The match of the first line, of those that a process writes, in which the pattern is found."""
    compiled = re.compile(pattern)
    found = []

    def look():
        found.extend(filter(None, map(compiled.search, list(lines.lines))))
        return found or lines.over

    wait_until(look, timeout, f"the server does not say {pattern!r}")
    check(found, f"the server ended without saying {pattern!r}")
    return found[0]


class Server:
    """A server, with its workers, that listens on a port of its own choice."""

    def __init__(self, lab, py, argv, env=None):
        self.inside, self.ours = lab.folder_in(py)
        peer = lab.start(["/usr/bin/python3", self.ours / "servers_peer.py"])
        self.peer_port = said(peer.out, r"^port (\d+)")[1]
        env = dict(target_environment(), PEER_PORT=self.peer_port, **(env or {}))
        env["PYTHONPATH"] = f"{self.inside}:{env.get('PYTHONPATH', '')}"
        self.process = lab.start([*py.argv, *argv], env=env)

    def listening(self, lines, pattern):
        self.port = int(said(lines, pattern)[1])
        return self

    def workers(self, gone=()):
        """Its workers, once all are there and those that shall be gone are."""
        found = []

        def there():
            found[:] = children_of(self.process.pid)
            return len(found) == WORKERS and not set(found) & set(gone)

        wait_until(there, START_TIMEOUT, f"{WORKERS} workers")
        return sorted(found)

    def access_log(self):
        """Its lines: in a file, or among what else the server says."""
        log = self.ours / ACCESS
        if log.exists():
            return log.read_text().splitlines()
        # pieces of another thread's traceback may come before it on its line
        parts = (line.partition(UWSGI_ACCESS) for line in list(self.process.err.lines))
        return [line for _, found, line in parts if found]

    def end(self, number, timeout=START_TIMEOUT):
        self.process.signal(number)
        check(self.process.ends_within(timeout), "the server does not end")
        for lines in (self.process.out, self.process.err):
            lines.text()  # all of them


def gunicorn(lab, py):
    """gunicorn with gevent workers, logging as Requests reads it."""
    inside, _ = lab.folder_in(py)
    argv = ["-m", "gunicorn", "-k", "gevent", "-w", WORKERS, "-b", "127.0.0.1:0"]
    argv += ["--keep-alive", "60", "--graceful-timeout", "5", "--access-logfile", inside / ACCESS]
    argv += ["--access-logformat", "%({raw_uri}e)s %(D)s %({began}e)s %({took}e)s", "servers_wsgi:application"]
    server = Server(lab, py, argv, packages.environment(py, GUNICORN))
    return server.listening(server.process.err, r"Listening at: http://127.0.0.1:(\d+)")


def uwsgi(lab, py):
    """uWSGI with two threads a worker, logging likewise."""
    inside, _ = lab.folder_in(py)
    argv = ["--plugin", f"python3{py.minor}", "--master", "--die-on-term", "--processes", WORKERS]
    argv += ["--enable-threads", "--threads", "2", "--http-socket", "127.0.0.1:0"]
    argv += ["--pythonpath", inside, "--module", "servers_wsgi"]
    argv += ["--log-format", UWSGI_ACCESS + "%(uri) %(micros) %(began) %(took)"]
    server = Server(lab, py, argv)
    return server.listening(server.process.err, r"TCP address 127.0.0.1:(\d+)")


def uvicorn(lab, py, loop):
    """uvicorn; its log goes to standard output, its application's stamps to a file."""
    inside, _ = lab.folder_in(py)
    argv = ["-m", "uvicorn", "--host", "127.0.0.1", "--port", "0", "--loop", loop, "--http", "h11"]
    argv += ["--timeout-keep-alive", "60", "servers_asgi:application"]
    needs = UVICORN + (("uvloop",) if loop == "uvloop" else ())
    env = dict(packages.environment(py, needs), STAMPS=str(inside / "stamps"))
    server = Server(lab, py, argv, env)
    return server.listening(server.process.err, r"running on http://127.0.0.1:(\d+)")


# --- load


class Load:
    """Requests, one for each path, over some connections at once, which are kept alive or not."""

    def __init__(self, port, paths, connections=CONNECTIONS, keep_alive=True):
        self.port = port
        self.keep_alive = keep_alive
        self.statuses = collections.Counter()
        self.paths = iter(paths)
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run) for _ in range(connections)]
        for thread in self.threads:
            thread.start()

    def next_path(self):
        with self.lock:
            return next(self.paths, None)

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        for path in iter(self.next_path, None):
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
                if not self.keep_alive:
                    connection.close()  # which uWSGI has done, without a word
            except (OSError, http.client.HTTPException) as e:
                connection.close()
                status = type(e).__name__
            with self.lock:
                self.statuses[path.partition("?")[0], status] += 1
        connection.close()

    def over(self):
        """Wait until all are answered; uWSGI has none for a handler that raises."""
        for thread in self.threads:
            thread.join()
        bad = {k: n for k, n in self.statuses.items() if k[0] != "/raises" and k[1] != 200}
        check(not bad, f"requests that failed: {bad}")


def leave(port, path, times):
    """Ask, and do not wait for the answer."""
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            time.sleep(0.01)


def mix(rounds, durations):
    """Paths in turn, each with durations (in milliseconds) of its own in turn."""
    turns = {path: itertools.cycle(times) for path, times in durations.items()}
    return [f"{path}?{next(turns[path])}" for _ in range(rounds) for path in durations]


# --- figures


class Requests:
    """
    What an access log says of the requests of each path. A line is: path, microseconds by the
    server, monotonic nanoseconds at the handler's beginning, nanoseconds by the handler itself.
    """

    def __init__(self, lines):
        self.count = collections.Counter()
        self.server = collections.defaultdict(list)  # seconds
        self.own = collections.defaultdict(list)
        self.began = collections.defaultdict(list)
        for line in lines:
            path, micros, began, took = line.split()
            name = path.partition("?")[0].strip("/")
            self.count[name] += 1
            if took != "-":
                self.server[name].append(int(micros) / 1e6)
                self.own[name].append(int(took) / 1e9)
                self.began[name].append(int(began) / 1e9)


class Function:
    """A function's figures in all processes of a server together."""

    def __init__(self, report, folder, name, tgids=None):
        found = [
            f
            for f in report["functions"]
            if os.path.dirname(f["file"]) == str(folder)
            and short(f["function"]) == name
            and (tgids is None or f["tgid"] in tgids)
        ]
        self.name = name
        self.buckets = collections.Counter()
        for key in ("calls", "segments", "exceptions", "ended_unseen"):
            setattr(self, key, sum(f[key] for f in found))
        self.suspended = sum(f["suspended_seconds"] for f in found)
        self.probes = sum(f["probe_seconds"] for f in found)
        self.wall = sum(f["wall_seconds"]["sum"] for f in found)
        self.parts = collections.Counter()
        for f in found:
            self.parts.update(f["breakdown_seconds"])
            buckets = f["wall_seconds"]["buckets"]
            for i, n in enumerate(buckets["counts"]):
                self.buckets[buckets["offset"] + i] += n

    def count_problems(self, **wanted):
        for key, n in wanted.items():
            if getattr(self, key) != n:
                yield f"{self.name}(): {key}: expected {n}, got {getattr(self, key)}"

    def sum_problems(self, seconds, suspended=False, each=1e-4):
        """
        The sum of what the server measured itself, our probes in it, against ours; `each` is for
        what is between its stamps and ours, which is interrupted now and then.
        """
        ours = self.wall + self.probes + (self.suspended if suspended else 0)
        if not near(ours, sum(seconds), 0.02, each * len(seconds)):
            yield (
                f"{self.name}(): expected {sum(seconds):.4f} s in all, got {ours:.4f}: wall "
                f"{self.wall:.4f}, probes {self.probes:.4f}, suspended {self.suspended:.4f}"
            )

    def part_problems(self, part, share=0.75):
        """Most of its time is that part of the breakdown; how long the CPU was not free does not matter."""
        if self.parts[part] < share * (self.wall - self.parts["runq"]):
            told = {k: round(v, 4) for k, v in self.parts.items() if v}
            yield f"{self.name}(): expected mostly {part} of {self.wall:.4f} s, got {told}"

    def histogram_problems(self, seconds, stray=0.02):
        """
        The n-th shortest of the server's figures and of ours are at most one bucket apart, for all
        n but few, where the thread was interrupted between its stamp and ours. The server's have our
        probes in them: their mean is taken off.
        """
        theirs, ours = self.in_buckets(seconds)
        if len(ours) != len(theirs):
            yield f"{self.name}(): expected {len(theirs)} latencies, got {len(ours)}"
            return
        apart = [(a, b) for a, b in zip(theirs, ours) if abs(a - b) > 1]
        if len(apart) > stray * len(ours):
            shown = ", ".join(f"{bound(a):.6f} got {bound(b):.6f}" for a, b in apart[:5])
            yield (
                f"{self.name}(): {len(apart)} of {len(ours)} latencies are more than a bucket "
                f"apart: expected {shown}"
            )

    def quantile_problems(self, seconds, quantiles=(0.5, 0.95, 0.99)):
        """The same, for these only: for figures that are taken around more than the function."""
        theirs, ours = self.in_buckets(seconds)
        for q in quantiles if ours else ():
            wanted, got = quantile(theirs, q), quantile(ours, q)
            if abs(wanted - got) > 1:
                yield f"{self.name}(): p{q * 100:g}: expected {bound(wanted)}, got {bound(got)}"

    def in_buckets(self, seconds):
        probes = self.probes / max(1, self.calls)
        return sorted(bucket(s - probes) for s in seconds), sorted(self.buckets.elements())


def bucket(seconds):
    """Which of the report's buckets that is in."""
    return math.ceil(8 * math.log2(max(seconds, 1e-9))) - 1


def bound(index):
    return 2 ** ((index + 1) / 8)
