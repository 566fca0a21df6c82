# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""C programs with Debian's libpython in them, linked in each way there is."""
import re
import subprocess

from harness import check

PROGRAM = r"""
#include <Python.h>
int main(int argc, char **argv)
{
	return Py_BytesMain(argc, argv);
}
"""
# how it is linked: (flags, suffix of the static library or None, what is done to it afterwards)
KINDS = {
    "shared": (["-pie"], None, []),
    "static-pie": (["-pie"], "-pic.a", []),
    "static": (["-no-pie"], ".a", []),
    "exporting": (["-no-pie", "-rdynamic"], ".a", []),
    "stripped-exporting": (["-pie", "-rdynamic"], "-pic.a", ["strip"]),
    "stripped": (["-no-pie"], ".a", ["strip"]),
    "stripped-pie": (["-pie"], "-pic.a", ["strip"]),
}
LIBRARIES = "expat.so.1 z.so.1 m.so.6 dl.so.2 util.so.1 pthread.so.0 crypt.so.1 c.so.6".split()


def is_pic(kind):
    return KINDS[kind][1] == "-pic.a"


def link(argv):
    return subprocess.run(
        [str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def c_host(lab, py, kind):
    """
    A program that is this Python; its path inside. The machine's compiler links it against the C
    library it will run with.
    """
    flags, archive, afterwards = KINDS[kind]
    inside, ours = lab.folder_in(py)
    version = f"3.{py.minor}"
    arch = py.host_path("/usr/lib/x86_64-linux-gnu")
    folders = [arch, py.host_path("/lib/x86_64-linux-gnu")]
    source, program = ours / "host.c", ours / f"host-{kind}"
    source.write_text(PROGRAM)
    libraries = [
        f"-l:lib{name}"
        for name in LIBRARIES
        if any((folder / f"lib{name}").exists() for folder in folders)
    ]
    if archive:
        config = py.host_path(f"/usr/lib/python{version}/config-{version}-x86_64-linux-gnu")
        libraries.insert(0, config / f"libpython{version}{archive}")
    else:
        libraries.insert(0, f"-l:libpython{version}.so.1.0")
    include = py.host_path("/usr/include")
    argv = ["cc", *flags, "-o", program, source, f"-I{include}/python{version}", f"-I{include}"]
    argv += [f"-I{include}/x86_64-linux-gnu", f"-B{arch}/", *(f"-L{f}" for f in folders)]
    argv += ["-nodefaultlibs", "-Wl,--allow-shlib-undefined,-z,now", *libraries]
    argv += [arch / "libc_nonshared.a", "-lgcc"]
    out = link(argv)
    missing = sorted(set(re.findall(r"undefined reference to `(\w*Hacl_\w+)'", out.stdout)))
    if missing:  # hash functions, which Debian builds into another library and then leaves out
        stubs = ours / "stubs.c"
        stubs.write_text("".join(f"void {name}(void) {{ __builtin_trap(); }}\n" for name in missing))
        out = link([*argv, stubs])
    check(out.returncode == 0, f"the {kind} host program cannot be linked: {out.stdout[-2000:]}")
    for tool in afterwards:
        check(link([tool, program]).returncode == 0, f"{tool} failed")
    return inside / program.name
