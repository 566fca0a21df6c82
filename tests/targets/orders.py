# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A client of PostgreSQL that asks for a list, and then for each row of it.

    orders.py counts PORT SOCKET    calls each function some times, and tells what that comes to
    orders.py forever PORT SOCKET   one query a row until it is killed

SOCKET is the path of the server's socket, as this process sees it. Each query takes some
milliseconds of the server's, so that its answer has to be waited for.
"""
import sys

import pg8000.native

import target

ROWS = 48
ITEMS = 30
PAUSE = "pg_sleep(0.002)"
PREPARE = (
    "create extension if not exists pg_stat_statements",
    "create table if not exists orders as"
    f" select n as id, n * 7 as customer from generate_series(1, {ROWS}) n",
    "create table if not exists items as"
    f" select n as id, n % 5 as stock from generate_series(1, {ITEMS}) n",
)
# what the server says it was asked: which of the statements is whose
ASKED = """
select calls, query from pg_stat_statements where query like '%/* %'
"""


# --- the data of one row: called once a row, each makes one query


def order(db, number):
    return db.run(f"select /* order */ id, customer from orders, {PAUSE} where id = {number}")[0]


def item(db, number):
    return db.run(f"select /* item */ id, stock from items, {PAUSE} where id = {number}")[0]


def bound(db, number):
    """The driver parses, describes and executes a query with parameters: an answer each."""
    sql = f"select /* bound */ id, stock from items, {PAUSE} where id = :number"
    return db.run(sql, number=number)[0]


# --- lists of them


def list_orders(db):
    rows = db.run(f"select /* orders */ id from orders, {PAUSE}")
    return [order(db, row[0]) for row in rows]


def list_orders_joined(db):
    sql = f"select /* joined */ a.id, b.customer from orders a join orders b using (id), {PAUSE}"
    return db.run(sql)


def list_items(db):
    rows = db.run(f"select /* items */ id from items, {PAUSE}")
    return [item(db, row[0]) for row in rows]


def list_bound(db):
    return [bound(db, number) for number in range(1, ITEMS + 1)]


def show_orders(db):
    return list_orders(db)


def connect(path=None):
    if path:
        return pg8000.native.Connection("postgres", unix_sock=path)
    return pg8000.native.Connection("postgres", host="127.0.0.1", port=int(sys.argv[2]))


def statements(db):
    """{comment in it: how often the server ran it}"""
    found = {}
    for calls, query in db.run(ASKED):
        name = query.partition("/* ")[2].partition(" */")[0]
        found[name] = found.get(name, 0) + calls
    return found


def counts(tcp, unix):
    for _ in range(5):
        if len(show_orders(tcp)) != ROWS:
            raise SystemExit("rows are missing")
    for _ in range(30):
        list_orders_joined(tcp)
    for _ in range(4):
        list_items(unix)
    for _ in range(3):
        list_bound(unix)
    return {"statements": statements(tcp), "rows": ROWS, "items": ITEMS}


def forever(tcp, _):
    while True:
        show_orders(tcp)


if __name__ == "__main__":
    connections = connect(), connect(sys.argv[3])
    for sql in PREPARE:
        connections[0].run(sql)
    target.ready()
    target.done(globals()[sys.argv[1]](*connections))
