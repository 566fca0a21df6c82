# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A WSGI application that tells the server's access log when each handler began and how long it took.

Run by gunicorn, whose log finds it in the environ, and by uWSGI, which is told. PEER_PORT is that of
somebody who answers late. A request's query is how many milliseconds it shall take.
"""
import os
import socket
import time

try:
    import uwsgi
except ImportError:
    uwsgi = None

PEER = ("127.0.0.1", int(os.environ["PEER_PORT"]))
PIECES = 4


def seconds(environ):
    return int(environ["QUERY_STRING"]) / 1000


def tell(environ, begin):
    for name, ns in (("began", begin), ("took", time.monotonic_ns() - begin)):
        if uwsgi:
            uwsgi.set_logvar(name, str(ns))
        else:
            environ[name] = str(ns)


def reply(start_response, body=b"done\n"):
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


def step(x):
    return x * 31 % 65521


def cpu(environ, start_response):
    """Small calls, and a long stretch without any."""
    begin = time.monotonic_ns()
    x = 1
    for _ in range(200):
        x = step(x)
    until = begin + seconds(environ) * 1e9
    while time.monotonic_ns() < until:
        x = sum(range(5000))
    body = reply(start_response)
    tell(environ, begin)
    return body


def pause(duration):
    time.sleep(duration)


def sleeps(environ, start_response):
    """In the middle of two calls when it is switched out."""
    begin = time.monotonic_ns()
    pause(seconds(environ))
    step(1)
    body = reply(start_response)
    tell(environ, begin)
    return body


def ask(wish):
    with socket.create_connection(PEER) as connection:
        connection.sendall(b"%d\n" % wish)
        return connection.recv(100)


def asks(environ, start_response):
    begin = time.monotonic_ns()
    body = reply(start_response, ask(int(environ["QUERY_STRING"])))
    tell(environ, begin)
    return body


def fail(environ):
    pause(seconds(environ))
    raise ValueError("on purpose")


def raises(environ, start_response):
    fail(environ)


def streams(environ, start_response):
    """A generator: the server sends each piece while it is suspended."""
    begin = time.monotonic_ns()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(2 * PIECES))])
    for _ in range(PIECES):
        pause(seconds(environ) / PIECES)
        yield b".\n"
    tell(environ, begin)


HANDLERS = {f"/{f.__name__}": f for f in (cpu, sleeps, asks, raises, streams)}


def application(environ, start_response):
    return HANDLERS[environ["PATH_INFO"]](environ, start_response)
