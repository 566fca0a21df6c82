# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A Flask application: each request renders, computes, and asks a peer, who answers late one time in 40."""
import itertools
import os
import socket

import flask

PEER = ("127.0.0.1", int(os.environ["PEER_PORT"]))
application = flask.Flask(__name__)
turns = itertools.count()


def render(rows):
    return flask.render_template_string("{% for r in rows %}<p>{{ r }}</p>{% endfor %}", rows=rows)


def ask(wish):
    with socket.create_connection(PEER) as connection:
        connection.sendall(b"%d\n" % wish)
        return connection.recv(100)


@application.route("/")
def order():
    ask(60 if next(turns) % 40 == 0 else 1)
    return render(range(50))
