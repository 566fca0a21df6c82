# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Real programs at real work, small enough to be traced call by call.

PROGRAMS[name].prepare() imports, makes the input and returns the work: a function without
arguments. Nothing but the standard library is imported before that: the host reads this file too.
"""
import argparse
import asyncio
import os
import sys
import time
import types

PROGRAMS = {}


class Program:
    def __init__(self, name, needs, prepare):
        self.name = name
        self.needs = needs  # packages, as tests/packages has them
        self.prepare = prepare


def program(name, *needs):
    def declare(prepare):
        PROGRAMS[name] = Program(name, needs, prepare)
        return prepare

    return declare


# --- pyperformance's benchmarks


class Runner:
    """Takes the place of pyperf's: remembers what is to be measured instead of doing so."""

    benchmarks = []

    def __init__(self, *_, add_cmdline_args=None, **__):
        self.argparser = argparse.ArgumentParser()
        self.argparser._check_help = lambda action: None  # 3.14 finds faults with one
        self.metadata = {}
        self.args = None

    def parse_args(self, *_):
        self.args = self.argparser.parse_args(ARGUMENTS)
        return self.args

    def bench_func(self, name, function, *args, **_):
        if self.args is None:
            self.parse_args()
        self.benchmarks.append(("once", function, args))

    def bench_time_func(self, name, function, *args, **_):
        if self.args is None:
            self.parse_args()
        self.benchmarks.append(("loops", function, args))

    def bench_async_func(self, name, function, *args, **_):
        self.benchmarks.append(("async", function, args))


ARGUMENTS = []


def load_benchmark(name, constants, arguments):
    import pyperformance

    stub = types.ModuleType("pyperf")
    stub.Runner = Runner
    stub.perf_counter = time.perf_counter
    stub.python_implementation = lambda: "cpython"
    sys.modules["pyperf"] = stub
    folder = os.path.dirname(pyperformance.__file__)
    folder = os.path.join(folder, "data-files", "benchmarks", "bm_" + name)
    path = os.path.join(folder, "run_benchmark.py")
    with open(path, encoding="utf-8") as file:
        code = compile(file.read(), path, "exec")
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module  # for pickle and dataclasses
    sys.path.insert(0, folder)
    ARGUMENTS[:] = arguments
    sys.argv = [path, *arguments]
    exec(code, module.__dict__)
    for constant, value in constants.items():
        assert constant == "range" or constant in module.__dict__, f"{path} has no {constant}"
        module.__dict__[constant] = value


def benchmark(name, *arguments, needs=(), args=None, loops=1, label=None, **constants):
    """One of pyperformance's, with its command line, or arguments, or constants made smaller."""

    def prepare():
        load_benchmark(name, constants, arguments)

        def work():
            for kind, function, own_args in Runner.benchmarks:
                given = own_args if args is None else args
                if kind == "loops":
                    function(loops, *given)
                elif kind == "once":
                    function(*given)
                else:
                    asyncio.run(function(*given))

        return work

    program(f"pyperformance/{label or name}", "pyperformance", *needs)(prepare)


def fewer(stop):
    """Instead of range(): what loops 100 000 times goes on to do so 5 000 times."""
    return range(stop // 20 if stop > 1000 else stop)


benchmark("async_generators", range=fewer)
benchmark("async_tree", "none", NUM_RECURSE_LEVELS=4, NUM_RECURSE_BRANCHES=5)
benchmark("chaos", "--iterations", "300", "--width", "64", "--height", "64")
benchmark("comprehensions", loops=50)
benchmark("coroutines")
benchmark("deepcopy")
benchmark("deltablue")
benchmark(
    "django_template", needs=("django", "asgiref", "sqlparse", "typing_extensions"), DEFAULT_SIZE=20
)
benchmark("fannkuch", args=(7,))
benchmark("float", args=(5000,))
benchmark("generators", range=fewer)
benchmark("go")
benchmark("hexiom", "--level", "10")
benchmark("html5lib", needs=("html5lib", "six", "webencodings"))
benchmark("logging", loops=2)
benchmark("meteor_contest")
benchmark("nqueens", args=(6,))
benchmark("pickle", "--pure-python", "pickle", label="pickle_pure_python")
benchmark("pickle", "--pure-python", "unpickle", label="unpickle_pure_python")
benchmark("pyflate")
benchmark("raytrace", "--width", "25", "--height", "25")
benchmark("regex_compile")
benchmark("richards")
benchmark("richards_super")
benchmark("scimark", "monte_carlo")
benchmark("spectral_norm", DEFAULT_N=40)
benchmark("sqlglot", "parse", needs=("sqlglot",))
benchmark("typing_runtime_protocols", loops=2)
benchmark("xml_etree", "--no-accelerator", "process")


# --- command-line tools and libraries

TEXT = """\
Reading list
============

A *short* text with `links <a.html>`_, **emphasis** and ``code``; see also note [1]_.

* one item
* another item

  1. with numbers
  2. in it

.. [1] The note.

===== =======
Name  Figure
===== =======
one   1
two   2
===== =======
"""

MARKDOWN = """\
# Reading list

A *short* text with [links](a.html "Title"), **emphasis** and `code`.

* one item
* another item
    1. with numbers
    2. in it

> A quotation
> of two lines

```python
def f(x):
    return x
```

| Name | Figure |
| ---- | ------ |
| one  | 1      |
"""

SOURCE = '''\
"""A module to look at."""
import os, sys
from typing import Dict, Iterator, List, Optional


class Account:
    """Money of somebody."""

    def __init__(self, owner: str, balance: int = 0) -> None:
        self.owner = owner
        self.balance = balance
        self.history: List[int] = []

    def deposit(self, amount: int) -> int:
        if amount < 0: raise ValueError("negative: %d" % amount)
        self.balance += amount
        self.history.append(amount)
        return self.balance

    def large(self, limit: int = 100) -> Iterator[int]:
        for amount in self.history:
            if amount > limit:
                yield amount


def by_owner(accounts: List[Account]) -> Dict[str, int]:
    return {account.owner: account.balance for account in accounts if account.balance}


def first(accounts: List[Account], name: str) -> Optional[Account]:
    try:
        return next(a for a in accounts if a.owner == name)
    except StopIteration:
        return undefined_name
    finally:
        unused = [x*2 for x in range(10)]


if __name__ == "__main__":
    print(by_owner([Account('a', 1), Account("b")]), sum(Account("c").large()) )
'''

# what the tools get to read: large, and of the standard library, the same for both runs
LIBRARY_FILES = ("textwrap.py", "shlex.py", "heapq.py")


def library_source(name):
    with open(os.path.join(os.path.dirname(os.__file__), name), encoding="utf-8") as file:
        return file.read()


def scratch_file(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def called(main, *args, **kw):
    """The work of a command's main(), which likes to end by SystemExit."""

    def work():
        try:
            main(*args, **kw)
        except SystemExit:
            pass

    return work


@program("black", "black", "click", "mypy_extensions", "pathspec", "platformdirs", "packaging",
         "tomli", "typing_extensions")  # fmt: skip
def _():
    import black

    mode = black.Mode(line_length=70)
    return lambda: [black.format_str(SOURCE, mode=mode), black.format_str(
        library_source("bisect.py"), mode=mode)]  # fmt: skip


@program("docutils", "docutils")
def _():
    import docutils.core

    def work():
        for writer in ("html5", "latex", "pseudoxml"):
            docutils.core.publish_string(
                TEXT * 3, writer_name=writer, settings_overrides={"report_level": 5}
            )

    return work


@program("html5lib", "html5lib", "six", "webencodings")
def _():
    import html5lib

    page = "<table><tr><td>a<b>b<i>c</b>d</i><p>e<ul><li>f<li>g &amp; &lt;</ul></table>" * 30
    return lambda: html5lib.serialize(html5lib.parse(page), omit_optional_tags=False)


@program("isort", "isort")
def _():
    import isort

    text = library_source("asyncio/base_events.py")
    return lambda: [isort.code(text), isort.code("import b, a\nfrom c import *\nimport os\n" * 20)]


@program("jinja2", "jinja2", "markupsafe")
def _():
    import jinja2

    sources = {
        "base": "<title>{% block title %}{% endblock %}</title>{% block body %}{% endblock %}",
        "page": "{% extends 'base' %}{% macro cell(x) %}<td>{{ x|e }}</td>{% endmacro %}"
        "{% block title %}{{ title|upper }}{% endblock %}{% block body %}{% for row in rows "
        "if row.n % 2 recursive %}<tr>{{ loop.index }}{{ cell(row.name) }}{{ cell(row.n * 2) }}"
        "{{ loop(row.children) if row.children }}</tr>{% else %}none{% endfor %}{% endblock %}",
    }

    def work():
        environment = jinja2.Environment(loader=jinja2.DictLoader(sources), autoescape=True)
        rows = [{"name": "<%d>" % n, "n": n, "children": []} for n in range(300)]
        rows[1]["children"] = rows[4:50]
        page = environment.get_template("page")
        for _ in range(10):
            page.render(title="t", rows=rows)
        list(page.generate(title="u", rows=rows[:9]))

    return work


@program("lark", "lark")
def _():
    import lark

    grammar = r"""
        start: statement*
        statement: NAME "=" sum ";"
        ?sum: product | sum "+" product -> add | sum "-" product -> sub
        ?product: atom | product "*" atom -> mul
        ?atom: NUMBER -> number | NAME -> name | "-" atom -> neg | "(" sum ")"
        %import common.CNAME -> NAME
        %import common.NUMBER
        %import common.WS
        %ignore WS
    """
    text = "a = 1 + 2 * (b - -3); long_name = a * (a + 4) - 5;" * 8

    class Count(lark.Transformer):
        def number(self, found):
            return int(found[0])

        def add(self, found):
            return sum(x for x in found if isinstance(x, int))

    def work():
        for parser in ("earley", "lalr"):
            Count().transform(lark.Lark(grammar, parser=parser).parse(text))

    return work


@program("mako", "mako", "markupsafe")
def _():
    import mako.lookup

    base = "<title>${self.title()}</title>${next.body()}<%def name='title()'></%def>"
    page = """
<%inherit file='base'/>
<%def name='title()'>t</%def>
<%def name='cell(x)' filter='h,trim'> ${x} </%def>
% for row in rows:
    % if loop.index % 2:
        ${cell(row)} ${row | u}
    % endif
% endfor
"""

    def work():
        lookup = mako.lookup.TemplateLookup()
        lookup.put_string("base", base)
        lookup.put_string("page", page)
        for _ in range(10):
            lookup.get_template("page").render(rows=["<%d>" % n for n in range(100)])

    return work


@program("markdown", "markdown")
def _():
    import importlib

    import markdown

    names = ("tables", "fenced_code", "toc", "footnotes", "attr_list")
    modules = [importlib.import_module("markdown.extensions." + name) for name in names]
    return lambda: markdown.markdown(
        MARKDOWN * 15, extensions=[module.makeExtension() for module in modules]
    )


@program("mistune", "mistune", "typing_extensions")
def _():
    import mistune

    parse = mistune.create_markdown(plugins=["table", "footnotes", "strikethrough", "url"])
    return lambda: parse(MARKDOWN * 30)


@program("mypy", "mypy", "mypy_extensions", "typing_extensions", "tomli", "pathspec")
def _():
    import mypy.api

    # what it knows of the standard library is in its cache before: ten million calls
    imports = "os sys typing".split()
    options = ["--cache-dir=cache", "--strict", "--no-sqlite-cache"]
    warm = scratch_file("warm.py", "".join(f"import {name}\n" for name in imports))
    mypy.api.run([*options, warm])
    files = [scratch_file("account.py", SOURCE)]
    files.append(scratch_file("copy_of_bisect.py", library_source("bisect.py")))

    def work():
        told, wrong, status = mypy.api.run([*options, *files])
        # it must have come to its checks: there is something wrong with names there
        assert status == 1 and "undefined_name" in told and not wrong, (status, wrong, told)

    return work


@program("networkx", "networkx")
def _():
    import networkx as nx

    def work():
        graph = nx.grid_2d_graph(9, 9)
        nx.shortest_path(graph, (0, 0), (8, 8))
        nx.betweenness_centrality(graph)
        list(nx.connected_components(graph))
        nx.minimum_spanning_tree(graph)
        nx.max_weight_matching(nx.path_graph(40))
        list(nx.topological_sort(nx.DiGraph([(n, n * 2 % 97 + n) for n in range(1, 60)])))
        nx.greedy_color(graph)

    return work


@program("pycodestyle", "pycodestyle")
def _():
    import pycodestyle

    sources = [library_source(name).splitlines(True) for name in LIBRARY_FILES[:2]]
    style = pycodestyle.StyleGuide(quiet=2, max_line_length=70)
    return lambda: [pycodestyle.Checker("x.py", s, style.options).check_all() for s in sources]


@program("pyflakes", "pyflakes")
def _():
    import pyflakes.api

    sources = [SOURCE, *map(library_source, LIBRARY_FILES)]
    return lambda: [pyflakes.api.check(source, "x.py") for source in sources]


@program("pygments", "pygments")
def _():
    import pygments
    import pygments.formatters
    import pygments.lexers

    def work():
        for alias, text in (("python", SOURCE * 5), ("rst", TEXT), ("html+django", "<b>{{ a }}")):
            lexer = pygments.lexers.get_lexer_by_name(alias)
            for formatter in ("html", "latex", "terminal256"):
                formatter = pygments.formatters.get_formatter_by_name(formatter)
                pygments.highlight(text, lexer, formatter)

    return work


@program("pylint", "pylint", "astroid", "isort", "mccabe", "platformdirs", "dill", "tomlkit",
         "tomli", "typing_extensions")  # fmt: skip
def _():
    import pylint.lint

    scratch_file("account.py", SOURCE)
    return called(pylint.lint.Run, ["--rcfile=" + os.devnull, "--persistent=n", "account.py"])


@program("pyparsing", "pyparsing")
def _():
    import pyparsing as pp

    def work():
        number = pp.Word(pp.nums).set_parse_action(lambda found: int(found[0]))
        atom = number | pp.Word(pp.alphas)
        sums = pp.infix_notation(
            atom,
            [("-", 1, pp.OpAssoc.RIGHT), (pp.one_of("* /"), 2, pp.OpAssoc.LEFT),
             (pp.one_of("+ -"), 2, pp.OpAssoc.LEFT)],
        )  # fmt: skip
        statement = pp.Group(pp.Word(pp.alphas) + "=" + sums + pp.Suppress(";"))
        statement[...].parse_string("a = 1 + 2 * (b - -3); c = (a) * 2;" * 4, parse_all=True)

    return work


@program("pytest", "pytest", "toolz", "iniconfig", "pluggy", "packaging", "pygments", "exceptiongroup",
         "tomli", "typing_extensions")  # fmt: skip
def _():
    """The tests that toolz has of itself."""
    import pytest
    import toolz

    folder = os.path.join(os.path.dirname(toolz.__file__), "tests")
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:faulthandler", "--basetemp=tmp"]
    return lambda: pytest.main([*options, "--rootdir=" + folder, folder])


@program("pyyaml", "pyyaml")
def _():
    import yaml

    data = {"list": [1, 2.5, None, True, "text: with colon"], "nested": {"a": ["b", {"c": "d"}]}}
    shared = ["twice"]
    data["shared"] = [shared, shared]
    text = yaml.dump([data] * 3) + "- more: |\n    lines\n    of text\n"
    return lambda: [yaml.dump(yaml.safe_load(text)), yaml.load(text, Loader=yaml.FullLoader)]


@program("rich", "rich", "markdown-it-py", "mdurl", "pygments", "typing_extensions")
def _():
    import io

    import rich.console
    import rich.markdown
    import rich.syntax
    import rich.table
    import rich.tree

    def work():
        console = rich.console.Console(
            file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor"
        )
        table = rich.table.Table(title="[b]Figures[/b]")
        for name in ("name", "figure", "text"):
            table.add_column(name, style="cyan", justify="right")
        for n in range(30):
            table.add_row(str(n), f"[red]{n * n}[/red]", "words " * (n % 7))
        tree = rich.tree.Tree("root")
        tree.add("branch").add(rich.syntax.Syntax(SOURCE, "python"))
        console.print(table, tree, rich.markdown.Markdown(MARKDOWN))

    return work


@program("sqlalchemy", "sqlalchemy", "typing_extensions")
def _():
    import sqlalchemy as sa
    import sqlalchemy.orm as orm

    base = orm.declarative_base()

    class Author(base):
        __tablename__ = "author"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(30))
        books = orm.relationship("Book", back_populates="author", order_by="Book.id")

    class Book(base):
        __tablename__ = "book"
        id = sa.Column(sa.Integer, primary_key=True)
        title = sa.Column(sa.String(30))
        author_id = sa.Column(sa.ForeignKey("author.id"))
        author = orm.relationship(Author, back_populates="books")

    def work():
        engine = sa.create_engine("sqlite://")
        base.metadata.create_all(engine)
        with orm.Session(engine) as session:
            for n in range(40):
                author = Author(name=f"name {n}")
                author.books = [Book(title=f"title {n}.{k}") for k in range(3)]
                session.add(author)
            session.commit()
            query = sa.select(Author).options(orm.selectinload(Author.books))
            for author in session.scalars(query.where(Author.id > 10)):
                author.name = author.name.upper() + str(len(author.books))
            session.commit()
            joined = sa.select(Author.name, sa.func.count(Book.id)).join(Book).group_by(Author.name)
            session.execute(joined).all()
            session.delete(session.get(Book, 1))
            session.rollback()

    return work


@program("sympy", "sympy", "mpmath")
def _():
    import sympy as sp

    def work():
        sp.core.random.seed(1)
        x, y = sp.symbols("x y")
        sp.expand((x + y + 1) ** 8)
        sp.diff(sp.sin(x) ** 3 * sp.exp(x * y), x, 2)
        sp.factor(x**6 - y**6)
        sp.integrate(x * sp.exp(x), x)
        sp.solve([x + y - 3, x - y - 1], [x, y])
        sp.simplify(sp.sin(x) ** 2 + sp.cos(x) ** 2)
        str(sp.Matrix([[1, x], [y, 2]]).det())

    return work
