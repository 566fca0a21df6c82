# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Real servers under load: their access logs and their own clocks against our counts and times."""
import collections
import itertools
import json
import re
import signal
import time

import servers
from harness import START_TIMEOUT, check, check_none, limit, over, timing, wait_until

# paths, and for how many milliseconds in turn
WSGI = {
    "/cpu": (4, 5, 6, 7),
    "/sleeps": (20, 25, 30, 22, 90),
    "/asks": (20, 22, 24, 70),
    "/raises": (5,),
    "/streams": (16, 24),
}
ASGI = {
    "/cpu": (4, 5, 6, 7),
    "/mixed": (8, 12),
    "/sleeps": (10, 15, 40),
    "/asks": (10, 12, 30),
    "/streams": (8, 16),
    "/raises": (5,),
    "/times_out": (10,),
}
LIMIT = 150  # what is not in the cache yet is downloaded


def wsgi_problems(report, server, requests, parts):
    """What is wrong with the figures of servers_wsgi.py."""
    names = ("cpu", "sleeps", "asks", "streams", "raises", "fail", "pause", "step", "application")
    f = {name: servers.Function(report, server.inside, name) for name in names}
    n = requests.count
    for name in ("cpu", "sleeps", "asks"):
        yield from f[name].count_problems(calls=n[name], segments=n[name], exceptions=0)
        yield from f[name].histogram_problems(requests.own[name])
        yield from f[name].sum_problems(requests.own[name])
    # by the server's own timing, which is of all it does for a request
    for name in ("sleeps", "asks"):
        yield from f[name].quantile_problems(requests.server[name])
        yield from f[name].part_problems(parts[name])
    yield from f["streams"].count_problems(calls=n["streams"], segments=5 * n["streams"])
    yield from f["streams"].sum_problems(requests.own["streams"], suspended=True)
    for name in ("raises", "fail"):
        yield from f[name].count_problems(calls=n["raises"], exceptions=n["raises"])
    yield from f["pause"].count_problems(calls=n["sleeps"] + n["raises"] + 4 * n["streams"])
    yield from f["step"].count_problems(calls=200 * n["cpu"] + n["sleeps"])
    yield from f["application"].count_problems(calls=sum(n.values()), exceptions=n["raises"])
    for function in f.values():
        yield from function.count_problems(ended_unseen=0)


def tell(lab, report):
    lab.note(f"losses { {k: v for k, v in report['losses'].items() if v} }")


@limit(LIMIT)
@timing
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14", "pyenv-3.10", "pyenv-3.12")
def test_gunicorn_with_gevent(lab, py):
    """Two workers that were there, then two that are forked by a reload, under load."""
    server = servers.gunicorn(lab, py)
    old = server.workers()
    pids = ",".join(map(str, [server.process.pid, *old]))
    tracer = lab.tracer("-p", pids, "--format", "json").attached()
    servers.Load(server.port, servers.mix(120, WSGI)).over()
    server.process.signal(signal.SIGHUP)
    new = server.workers(gone=old)
    servers.Load(server.port, servers.mix(60, WSGI)).over()
    server.end(signal.SIGTERM)
    report = tracer.report()
    tell(lab, report)
    requests = servers.Requests(server.access_log())
    check(set(requests.count.values()) == {180}, f"the log has {requests.count}")
    for workers in (old, new):
        calls = [servers.Function(report, server.inside, "cpu", [pid]).calls for pid in workers]
        check(sum(calls) == (60 if workers is new else 120), f"cpu() was called {calls} times")
    switched_out = {"sleeps": "other", "asks": "other"}
    check_none(wsgi_problems(report, server, requests, switched_out))


@limit(LIMIT)
@over("debian-3.11", "debian-3.14")
def test_gunicorn_attached_under_load(lab, py):
    """What is only asked for once we are attached is exact, among calls that began before."""
    server = servers.gunicorn(lab, py)
    pids = ",".join(map(str, [server.process.pid, *server.workers()]))
    go_on = True

    def endless():
        for path in itertools.cycle(servers.mix(20, {k: WSGI[k] for k in ("/asks", "/streams")})):
            if not go_on:
                return
            yield path

    around = servers.Load(server.port, endless())
    try:
        time.sleep(0.5)
        begin = time.monotonic()
        tracer = lab.tracer("-p", pids, "--format", "json").attached()
        attached = time.monotonic()
        late = {k: WSGI[k] for k in ("/cpu", "/sleeps", "/raises")}
        servers.Load(server.port, servers.mix(100, late)).over()
    finally:
        go_on = False
    around.over()
    server.end(signal.SIGTERM)
    report = tracer.report()
    tell(lab, report)
    requests = servers.Requests(server.access_log())
    problems = []
    for name in ("cpu", "sleeps"):
        f = servers.Function(report, server.inside, name)
        problems += f.count_problems(calls=100, segments=100, exceptions=0, ended_unseen=0)
        problems += f.histogram_problems(requests.own[name])
    f = servers.Function(report, server.inside, "raises")
    raised = requests.count["raises"]
    problems += f.count_problems(calls=raised, exceptions=raised, ended_unseen=0)
    for name in ("asks", "streams"):
        f = servers.Function(report, server.inside, name)
        least, most = (sum(b > t for b in requests.began[name]) for t in (attached, begin))
        if not least <= f.calls <= most:
            problems.append(f"{name}(): expected {least} to {most} calls, got {f.calls}")
        problems += f.count_problems(exceptions=0, ended_unseen=0)
    check(report.loss("began_before"), "no call was going on when the tracer attached")
    check_none(problems)


def uvicorn_problems(report, server, n, stamps, left):
    """What is wrong with the figures of servers_asgi.py."""
    names = ("cpu", "mixed", "sleeps", "asks", "ask", "streams", "raises", "times_out", "gone")
    f = {name: servers.Function(report, server.inside, name) for name in names}
    n = dict(n, gone=left, ask=n["asks"])
    for name in names:
        raised = n[name] if name == "raises" else 0
        yield from f[name].count_problems(calls=n[name], exceptions=raised, ended_unseen=0)
        if name == "ask":
            continue
        if len(stamps[name]) != n[name]:
            yield f"{name}(): {len(stamps[name])} stamps for {n[name]} lines of the access log"
        running, total = ([ns / 1e9 for ns in column] for column in zip(*stamps[name]))
        yield from f[name].sum_problems(total, suspended=True)
        # what is thrown into a chain of coroutines runs in the innermost; the others do not run yet
        if name not in ("times_out", "gone"):
            yield from f[name].sum_problems(running, each=2e-4)
        if name in ("cpu", "mixed"):
            yield from f[name].histogram_problems(running)
    # thrown into, after one run
    cancelled = n["times_out"] + left
    victim = servers.Function(report, server.inside, "victim")
    yield from victim.count_problems(
        calls=cancelled, segments=2 * cancelled, exceptions=cancelled, ended_unseen=0
    )
    pieces = servers.Function(report, server.inside, "pieces")
    yield from pieces.count_problems(calls=n["streams"], exceptions=0, ended_unseen=0)
    step = servers.Function(report, server.inside, "step")
    yield from step.count_problems(calls=200 * n["cpu"] + 2 * n["sleeps"] + cancelled)


def uvicorn(lab, py, loop):
    server = servers.uvicorn(lab, py, loop)
    tracer = lab.tracer("-p", server.process.pid, "--format", "json").attached()
    load = servers.Load(server.port, servers.mix(100, ASGI))
    servers.leave(server.port, "/gone?0", 30)
    load.over()
    server.end(signal.SIGTERM)
    report = tracer.report()
    tell(lab, report)
    logged = (re.search(r'"GET /(\w+)\S* HTTP', line) for line in server.process.out.lines)
    n = collections.Counter(match[1] for match in logged if match)
    stamps = json.loads((server.ours / "stamps").read_text())
    check(set(n.values()) == {100}, f"the log has {n}")
    check_none(uvicorn_problems(report, server, n, stamps, 30))
    polls = report.waits_of(server.process.pid, wait_class="poll")
    told = [(w["function"], w["file"], w["syscall"], w["count"]) for w in polls if not w["event_loop"]]
    count = sum(w["count"] for w in polls if w["event_loop"] and w["idle"])
    check(count and not told, f"{count} waits of an event loop, and {told}")


@limit(LIMIT)
@over("debian-3.9", "debian-3.11", "debian-3.13", "debian-3.14")
def test_uvicorn_with_asyncio(lab, py):
    uvicorn(lab, py, "asyncio")


@limit(LIMIT)
@over("debian-3.13")
def test_uvicorn_with_uvloop(lab, py):
    uvicorn(lab, py, "uvloop")


@limit(LIMIT)
@timing
@over("uwsgi-3.11", "uwsgi-3.13")
def test_uwsgi(lab, py):
    """libpython in another program, which forks its workers once it is initialised."""
    server = servers.uwsgi(lab, py)
    pids = [server.process.pid, *server.workers()]
    listed = lab.listed()
    for pid in pids:
        check(py.version in listed.get(pid, ""), f"list says of {pid}: {listed.get(pid)}")
    everything = lab.tracer("--all-python", "--overhead", "0", "-d", "0.2", "--format", "json")
    found = [process["tgid"] for process in everything.report()["processes"]]
    check(set(pids) <= set(found), f"--all-python found {found} but not all of {pids}")
    tracer = lab.tracer("-p", ",".join(map(str, pids)), "--format", "json").attached()
    paths = servers.mix(100, WSGI)
    servers.Load(server.port, paths, keep_alive=False).over()
    # it is logged after it is answered, and a worker told to end does not take the time
    wait_until(lambda: len(server.access_log()) >= len(paths), START_TIMEOUT, "the access log")
    server.end(signal.SIGTERM)
    report = tracer.report()
    tell(lab, report)
    requests = servers.Requests(server.access_log())
    check(set(requests.count.values()) == {100}, f"the log has {requests.count}")
    waits = {"sleeps": "sleep", "asks": "net"}
    check_none(wsgi_problems(report, server, requests, waits))
