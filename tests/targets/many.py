# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Very many functions, and functions with names that are hard to carry.

    many.py COUNT     COUNT distinct functions, each called three times
    many.py COUNT RATE    the same, twice, so many calls a second; another thread naps all the while
    many.py names     names and files with every kind of character, and very long ones
    many.py reused    functions that die and leave their addresses to others
    many.py modules   modules that do, and their file names as well
    many.py naps      functions that sleep for a second and a half, and then do
"""
import gc
import sys
import threading
import time

import target

FILE = "/made/many.py"


def made(count):
    source = "".join(f"def function_{i}(x):\n    return x\n" for i in range(count))
    names = {}
    exec(compile(source, FILE, "exec"), names)
    return [names[f"function_{i}"] for i in range(count)]


def distinct(count):
    functions = made(count)
    target.ready()
    for _ in range(3):
        for f in functions:
            f(0)
    target.done({"file": FILE, "functions": count, "calls": 3 * count})


def nap():
    time.sleep(0.01)


def naps_until(over, naps):
    while not over.is_set():
        nap()
        naps[0] += 1


def in_turn(count, rate):
    functions = made(count)
    over, naps = threading.Event(), [0]
    napping = threading.Thread(target=naps_until, args=(over, naps))
    target.ready()
    napping.start()
    begin = time.monotonic()
    for i, f in enumerate(functions * 2):
        f(0)
        if i % 20 == 0:
            time.sleep(max(0, begin + i / rate - time.monotonic()))
    over.set()
    napping.join()
    target.done({"file": FILE, "functions": count, "calls": 2 * count, "naps": naps[0]})


HARD_NAMES = ("größe", "函数", "имя", "Ω" * 30, "n" * 100, "𝐱" * 20 + "y", "n" * 300)
HARD_FILES = (
    "/made/plain.py",
    "/made/with blank.py",
    '/made/with"quote\\and.py',
    "/made/line\nbreak\ttab.py",
    "/made/\x1b[31mred\x1b[0m.py",
    "/made/naïve/文件.py",
    "/made/\U0001f40d.py",
    "/made/" + "d" * 400 + ".py",
)


def hard_names():
    functions = []
    told = []
    for name in HARD_NAMES:
        made = {}
        exec(compile(f"def {name}(x):\n    return x\n", "/made/names.py", "exec"), made)
        # the parser normalises some letters, so ask the function itself
        function = next(f for n, f in made.items() if n != "__builtins__")
        functions.append(function)
        told.append([function.__name__, "/made/names.py"])
    for file in HARD_FILES:
        made = {}
        exec(compile("def in_file(x):\n    return x\n", file, "exec"), made)
        functions.append(made["in_file"])
        told.append(["in_file", file])
    target.ready()
    for f in functions:
        f(0)
    target.done({"functions": told})


def reused():
    """Each function is dropped before the next is made: code objects share addresses."""
    target.ready()
    addresses = set()
    for i in range(300):
        made = {}
        exec(compile(f"def made_{i}(x):\n    return x\n", FILE, "exec"), made)
        function = made[f"made_{i}"]
        addresses.add(id(function.__code__))
        for _ in range(i % 7 + 1):
            function(0)
        del function, made
        gc.collect()
    calls = {f"made_{i}": i % 7 + 1 for i in range(300)}
    target.done({"file": FILE, "calls": calls, "addresses": len(addresses)})


def modules():
    """As doctest has them: all are called <module>, and begin in line 1."""
    target.ready()
    addresses = set()
    for i in range(300):
        code = compile("x = 1", f"/made/example_{i:03}.py", "exec")
        addresses.add((id(code), id(code.co_filename)))
        for _ in range(i % 7 + 1):
            exec(code)
        del code
        gc.collect()
    calls = {f"/made/example_{i:03}.py": i % 7 + 1 for i in range(300)}
    target.done({"calls": calls, "addresses": len(addresses)})


def naps():
    """Each is known for long before it is gone."""
    target.ready()
    taken, addresses = {}, set()
    for i in range(4):
        made = {"sleep": time.sleep, "now": time.monotonic}
        source = f"def made_{i}(end, n=0):\n while now() < end:\n  sleep(0.002)\n  n += 1\n return n\n"
        exec(compile(source, FILE, "exec"), made)
        function = made[f"made_{i}"]
        addresses.add(id(function.__code__))
        taken[f"made_{i}"] = function(time.monotonic() + 1.5)
        del function, made
        gc.collect()
    target.done({"naps": taken, "addresses": len(addresses)})


def main():
    what = sys.argv[1]
    if what == "names":
        hard_names()
    if what == "reused":
        reused()
    if what == "modules":
        modules()
    if what == "naps":
        naps()
    if len(sys.argv) > 2:
        in_turn(int(what), int(sys.argv[2]))
    distinct(int(what))


if __name__ == "__main__":
    main()
