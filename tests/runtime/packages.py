# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Packages from PyPI in the interpreters' file systems.

tests/packages has their versions. Each is fetched once, kept in the test cache, and linked from there
into every interpreter's file system that needs it. Of a source package ("sdist") all of it is kept,
its own tests too.
"""
import collections
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import zipfile

from harness import TREE, Failed, check, target_environment

CACHE = pathlib.Path(os.environ.get("PYTRACE_TEST_CACHE") or "/var/cache/pytrace-bpf-tests")
CACHE = CACHE / "packages"
INSIDE = pathlib.Path("/opt/pytrace-packages")  # in an interpreter's file system
PINNED = TREE / "tests/packages"
LIBRARIES = ("libstdc++.so.6", "libgcc_s.so.1")  # what compiled modules are linked with
TRIES = 2  # the network is not always there

Package = collections.namedtuple("Package", "name version kind")  # kind: see KINDS
KINDS = ("", "compiled", "sdist")


def pinned():
    """{name: Package}"""
    found = {}
    for line in PINNED.read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line:
            requirement, _, kind = line.partition(" ")
            check(kind in KINDS, f"{PINNED.name}: {line!r}")
            name, version = requirement.split("==")
            found[name] = Package(name, version, kind)
    return found


def folder_name(package, py):
    minor = f"-3.{py.minor}" if package.kind == "compiled" else ""
    return f"{package.name}-{package.version}{minor}"


def download(packages, minor, into):
    """{lower-case name: wheel or source archive}; all are of one kind"""
    argv = ["/usr/bin/python3", "-m", "pip", "download", "-q", "--no-deps"]
    if packages[0].kind == "sdist":
        argv += ["--no-binary=:all:"]
    else:
        argv += ["--only-binary=:all:", "--python-version", f"3{minor}", "--implementation", "cp"]
        argv += ["--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"]
    argv += ["-d", str(into), *(f"{p.name}=={p.version}" for p in packages)]
    for _ in range(TRIES):
        out = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        if out.returncode == 0:
            return {
                file.name.split("-")[0].lower(): file
                for file in into.iterdir()
                if file.name.endswith((".whl", ".tar.gz"))
            }
    names = " ".join(p.name for p in packages)
    raise Failed(f"{names} cannot be fetched from PyPI: {out.stdout[-1000:]}")


def fetch(packages, py):
    """The folders of these packages in the cache; those that are not there are downloaded."""
    folders = {p: CACHE / folder_name(p, py) for p in packages}
    for kind in KINDS:
        missing = [p for p in packages if p.kind == kind and not folders[p].exists()]
        if not missing:
            continue
        with tempfile.TemporaryDirectory(prefix=".fetch.", dir=CACHE) as work:
            work = pathlib.Path(work)
            # a wheel for one CPython will do where the compiled modules in it are left out
            found = download(missing, py.minor if kind == "compiled" else 11, work)
            for package in missing:
                archive = found[re.sub(r"[-_.]+", "_", package.name)]
                if kind == "sdist":
                    unpack_source(archive, work / package.name)
                else:
                    unpack(archive, work / package.name, kind == "compiled")
                (work / package.name).rename(folders[package])
    return folders.values()


def unpack(wheel, folder, compiled):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(folder, [n for n in names if compiled or not n.endswith(".so")])


def unpack_source(archive, folder):
    """Without the folder all of it is in, so that what it is about can be imported from there."""
    folder.mkdir()
    argv = ["tar", "-xzf", archive, "-C", folder, "--strip-components=1", "--no-same-owner"]
    subprocess.run(argv, stdin=subprocess.DEVNULL, check=True, timeout=60)


def install(py, names):
    """PYTHONPATH for these packages, which are then in the interpreter's file system, compiled."""
    known = pinned()
    packages = [known[name] for name in names]
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for folder in fetch(packages, py):
            # outside a chroot interpreters share a folder; their compiled files have own names
            final = py.host_path(INSIDE / folder.name)
            mark = final / f".compiled-{py.version}"
            if mark.exists():
                continue
            final.parent.mkdir(parents=True, exist_ok=True)
            if not final.exists():
                partial = final.with_name("." + folder.name)
                shutil.rmtree(partial, ignore_errors=True)
                # links cost nothing; they are impossible if somebody moved the cache
                linked = os.stat(folder).st_dev == os.stat(final.parent).st_dev
                copy = os.link if linked else shutil.copy2
                shutil.copytree(folder, partial, copy_function=copy)
                partial.rename(final)
            # templates and test data among them do not compile: no harm
            subprocess.run(
                [*py.argv, "-W", "ignore", "-m", "compileall", "-qq", INSIDE / folder.name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=600,
                env=target_environment(),
            )
            mark.touch()
    return ":".join(str(INSIDE / folder_name(p, py)) for p in packages)


def environment(py, names):
    """What a program that uses these packages needs in its environment."""
    env = {"PYTHONPATH": install(py, names)}
    if py.root and not list(pathlib.Path(py.root).glob(f"usr/lib/*/{LIBRARIES[0]}")):
        env["LD_LIBRARY_PATH"] = str(install_libraries(py))
    return env


def install_libraries(py):
    """This machine's C++ library, for a file system that has none."""
    folder = py.host_path(INSIDE / "lib")
    for name in LIBRARIES:
        if not (folder / name).exists():
            found = list(pathlib.Path("/usr/lib/x86_64-linux-gnu").glob(name))
            check(found, f"{name} is neither in {py.root} nor on this machine")
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f".{name}.{os.getpid()}"
            shutil.copyfile(found[0], partial)
            partial.rename(folder / name)
    return INSIDE / "lib"
