# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""One query a row, against a real PostgreSQL and by a real driver: found where the queries are made."""
import postgres
from harness import DEBIAN, check, check_none, limit, near, over, short, timing

CALLS = {"show_orders": 5, "list_orders": 5, "list_orders_joined": 30, "list_items": 4, "list_bound": 3}
MANY = ["bound", "list_bound", "list_items", "list_orders"]


def statement_problems(result):
    """What the server says it was asked, against what the target is written to ask."""
    rows, items = result["rows"], result["items"]
    wanted = {
        "orders": CALLS["list_orders"],
        "order": CALLS["list_orders"] * rows,
        "joined": CALLS["list_orders_joined"],
        "items": CALLS["list_items"],
        "item": CALLS["list_items"] * items,
        "bound": CALLS["list_bound"] * items,
    }
    got = result["statements"]
    if got != wanted:
        yield f"the server was asked {got}, not {wanted}"


def wait_problems(report, target, result):
    """An answer that is there at once is not waited for: some may have been, on a busy machine."""
    tcp, unix = f"127.0.0.1:{target.server.port}", f"unix:{target.server.socket}"
    asked = result["statements"]
    orders = (asked["orders"] + asked["order"]) / CALLS["list_orders"]
    items = (asked["items"] + asked["item"]) / CALLS["list_items"]
    bound = asked["bound"] / CALLS["list_bound"]
    wanted = {  # function: (where, least, most)
        "show_orders": (tcp, orders, orders),
        "list_orders": (tcp, orders, orders),
        "list_orders_joined": (tcp, 1, 1),
        "order": (tcp, 1, 1),
        "list_items": (unix, items, items),
        "item": (unix, 1, 1),
        # seven parts of an answer, of which one takes time; the others may come together
        "list_bound": (unix, bound, 7 * bound),
    }
    for name, (where, least, most) in wanted.items():
        f = report.function(target, name)
        got, repeated = f["waits_per_call"], f["repeated_target"]
        if name in CALLS and f["calls"] != CALLS[name]:
            yield f"{name}: {f['calls']} calls, not {CALLS[name]}"
        if not 0.95 * least <= got <= 1.05 * most:
            yield f"{name}: {got} waits a call, not {least} to {most}"
        if not repeated or (repeated["target"], repeated["class"]) != (where, "net"):
            yield f"{name}: {repeated}, it is {where}"
        elif not near(repeated["per_call"], got, 0.01, 0.05):
            yield f"{name}: {repeated['per_call']} for it of {got} waits a call"


@timing
@limit(60)
@over(*DEBIAN)
def test_one_query_a_row(lab, py):
    target = postgres.client(lab, py, "counts")
    result, report = lab.run(target)
    problems = [*statement_problems(result), *wait_problems(report, target, result)]
    # of all functions, the driver's and the library's too; of one row's parts there may be five
    many = [
        short(f["function"])
        for f in report["functions"]
        if f["tgid"] == target.tgid and f["repeated_target"] and f["repeated_target"]["many"]
    ]
    if sorted(set(many) | {"bound"}) != MANY or len(set(many)) < len(many):
        problems.append(f"many: {many}")
    check_none(problems, f"losses {report['losses']}")
    diagnosis = report.process(target.tgid)["diagnosis"]
    check(diagnosis["verdict"] == "net", f"{diagnosis}")


@timing
@limit(60)
@over("debian-3.11", "debian-3.14")
def test_one_query_a_row_in_text(lab, py):
    target = postgres.client(lab, py, "counts")
    tracer = lab.tracer("-p", target.tgid).attached()
    target.release()
    result = target.result()
    text = tracer.finish().out.text()
    queries = 1 + result["rows"]
    where = f"127.0.0.1:{target.server.port}"
    check(f"list_orders() does {queries} waits on {where} per call (5 calls)" in text, text)
    lines = [line for line in text.splitlines() if " waits on " in line and " per call (" in line]
    told = sorted(line.split("()")[0].split(".")[-1].split()[-1] for line in lines)
    check(sorted(set(told) | {"bound"}) == MANY, text)
