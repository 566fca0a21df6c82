# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Deterministic calls of every kind, for counts.py: all but coroutines."""
import functools
import json
import re

ROUNDS = 300  # enough for every call site to be specialised by the interpreter


# --- plain calls


def leaf(x):
    return x


def constant():
    return None


def nested_outer(x):
    return nested_middle(x) + 1


def nested_middle(x):
    return nested_inner(x, scale=2) + leaf(x)


def nested_inner(x, *rest, scale=1, **more):
    return x * scale + len(rest) + len(more)


def with_cells(x):
    total = x

    def add(y):
        nonlocal total
        total += y
        return total

    return add


def decorate(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@decorate
def decorated(x):
    return x + 1


@functools.lru_cache(maxsize=None)
def cached(x):
    return x * 2


def plain_calls():
    add = with_cells(3)
    double = lambda x: x * 2  # noqa: E731
    for i in range(ROUNDS):
        leaf(i)
        constant()
        nested_outer(i)
        nested_inner(i, 1, 2, scale=3, other=4)
        add(i)
        with_cells(i)(1)
        decorated(i)
        cached(i % 10)
        double(i)
        (lambda: leaf(0))()
    for _ in range(20):
        [leaf(x) for x in range(10)]
        {x: leaf(x) for x in range(10)}
        {leaf(x) for x in range(10)}


# --- recursion


def down(n):
    return 0 if n == 0 else 1 + down(n - 1)


def even(n):
    return True if n == 0 else odd(n - 1)


def odd(n):
    return False if n == 0 else even(n - 1)


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def deep_raise(n):
    if n == 0:
        raise KeyError(n)
    return deep_raise(n - 1)


def recursion():
    for _ in range(10):
        down(50)
    for _ in range(3):
        down(900)
    even(100)
    fibonacci(15)
    for depth in (0, 1, 10, 50, 900):
        try:
            deep_raise(depth)
        except KeyError:
            leaf(depth)


# --- generators


def count_up(n):
    for i in range(n):
        yield i


def delegate(n):
    yield from count_up(n)
    return n


def delegate_twice(n):
    result = yield from delegate(n)
    yield result


def echo():
    got = None
    while True:
        got = yield got
        if got == "stop":
            return


def gives_up(n):
    for i in range(n):
        yield i
    raise LookupError("spent")


def generator_that_calls(n):
    for i in range(n):
        yield nested_outer(leaf(i))


class Tree:
    def __init__(self, depth):
        self.children = [Tree(depth - 1) for _ in range(2)] if depth else []

    def __iter__(self):
        yield self
        for child in self.children:
            yield from child


def generators():
    for _ in range(20):
        for x in count_up(10):
            leaf(x)
        list(count_up(10))
        sum(leaf(x) for x in range(10))
        list(delegate(5))
        list(delegate_twice(5))
        max(generator_that_calls(5))
        any(x > 30 for x in count_up(10))
        [pair for pair in ((x, y) for x in count_up(3) for y in count_up(2))]
    for _ in range(10):
        talk = echo()
        next(talk)
        for word in ("a", "b"):
            talk.send(word)
        try:
            talk.send("stop")
        except StopIteration:
            constant()
        try:
            for x in gives_up(5):
                leaf(x)
        except LookupError:
            constant()
    first, *rest = count_up(5)
    one, two = count_up(2)
    dict(zip(range(7), count_up(5)))
    sum(1 for _ in Tree(5))
    count_up(3)  # never started


def left_over(n):
    for i in range(n):
        yield i


def abandon():
    """Generators that are closed where nothing in them handles it."""
    for _ in range(ABANDONED):
        any(x > 3 for x in left_over(10))
        partial = left_over(10)
        next(partial)
        next(partial)
        partial.close()
        dropped = left_over(10)
        next(dropped)
        del dropped
        dict(zip(range(5), left_over(7)))
        raises(lambda x: [bad_key(y) for y in left_over(10)], 0)
        leaf(0)


ABANDONED = 20
CLOSED_UNHANDLED = {"left_over": 5 * ABANDONED, "<genexpr>": ABANDONED}


# --- exceptions


def raise_value(x):
    raise ValueError(x)


def catch_own(x):
    try:
        raise ValueError(x)
    except ValueError:
        return leaf(x)


def pass_on(x):
    return raise_value(x)


def pass_on_twice(x):
    return pass_on(x)


def reraise(x):
    try:
        raise_value(x)
    except ValueError:
        leaf(x)
        raise


def chain(x):
    try:
        raise_value(x)
    except ValueError as e:
        raise RuntimeError from e


def with_finally(x):
    try:
        return raise_value(x)
    finally:
        leaf(x)


def error_in_c(x):
    return int("no number")


def bad_key(x):
    if x == 5:
        raise_value(x)
    return x


class Suppress:
    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        leaf(0)
        return True


def suppressing(x):
    with Suppress():
        raise_value(x)
    return leaf(x)


class FailingInit:
    def __init__(self, x):
        raise_value(x)


def raises(function, x):
    try:
        function(x)
    except Exception:
        return True
    return False


def exceptions():
    for i in range(50):
        for function in (
            raise_value,
            catch_own,
            pass_on,
            pass_on_twice,
            reraise,
            chain,
            with_finally,
            error_in_c,
            suppressing,
            FailingInit,
        ):
            raises(function, i)
            leaf(i)
    for _ in range(20):
        raises(lambda x: sorted(range(10), key=bad_key), 0)
        raises(lambda x: list(map(bad_key, range(10))), 0)
        raises(lambda x: functools.reduce(lambda a, b: raise_value(b), range(3)), 0)
        raises(lambda x: [bad_key(y) for y in range(10)], 0)
        raises(lambda x: list(bad_key(y) for y in range(10)), 0)
        raises(lambda x: re.sub("b", lambda m: raise_value(m), "abc"), 0)
        raises(class_body_fails, 0)
        hasattr(Dynamic(), "nothing")  # the AttributeError dies in C


def class_body_fails(x):
    class Broken:
        raise_value(x)


# --- objects


class Base:
    def __init__(self, x):
        self.x = x

    def __init_subclass__(cls, **kw):
        leaf(1)

    def method(self):
        return leaf(self.x)

    @property
    def size(self):
        return self.x

    @classmethod
    def make(cls, x):
        return cls(x)

    @staticmethod
    def plain(x):
        return x


class Derived(Base):
    def __init__(self, x):
        super().__init__(x)
        self.y = x

    def method(self):
        return super().method() + 1

    def __call__(self, x):
        return self.x + x

    def __getitem__(self, key):
        return key

    def __len__(self):
        return self.x

    def __bool__(self):
        return True

    def __eq__(self, other):
        return self.x == other.x

    def __lt__(self, other):
        return self.x < other.x

    def __hash__(self):
        return hash(self.x)

    def __contains__(self, x):
        return x == self.x

    def __add__(self, other):
        return self.x + other

    def __del__(self):
        leaf(0)


class Dynamic:
    def __getattr__(self, name):
        if name == "nothing":
            raise AttributeError(name)
        return len(name)


class Always:
    def __getattribute__(self, name):
        return name


class Steps:
    def __init__(self, n):
        self.left = n

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.left


def make_class(x):
    class Local(Base):
        value = leaf(x)

        def get(self):
            return self.value

    return Local(x).get()


def objects():
    dynamic, always = Dynamic(), Always()
    for i in range(ROUNDS):
        d = Derived(i)
        d.method()
        d.size
        d(1)
        d[0]
        len(d)
        bool(d)
        d + 1
        i in d
        Base.make(i)
        Base.plain(i)
        dynamic.answer
        always.anything
    things = [Derived(x) for x in (3, 1, 2)]
    things.sort()
    Derived(2) in things
    len({Derived(1), Derived(1), Derived(2)})
    for _ in Steps(20):
        pass
    for i in range(10):
        make_class(i)


# --- called from C


def compare(a, b):
    return a - b


def key_of(x):
    return -x


def callbacks():
    for _ in range(20):
        list(map(leaf, range(10)))
        list(filter(leaf, range(10)))
        sorted(range(10), key=key_of)
        sorted(range(10), key=functools.cmp_to_key(compare))
        min(range(10), key=key_of)
        functools.reduce(compare, range(10))
        functools.partial(nested_inner, 1, scale=2)(3)
        re.sub("[abc]", lambda m: leaf(m.group()), "abcabc")
        json.dumps([object()] * 3, default=lambda o: leaf(1))
        [*map(lambda x: leaf(x), range(3))]
        exec(COMPILED, {"leaf": leaf})


COMPILED = compile("def made():\n    return leaf(1)\nmade()\n", __file__, "exec")


# --- limits


def bottomless(n):
    return bottomless(n + 1)


def limits():
    for _ in range(3):
        try:
            bottomless(0)
        except RecursionError:
            leaf(1)
        down(20)
