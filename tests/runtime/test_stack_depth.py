# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What the kernel side needs of the 512 bytes of stack that BPF programs have.

Linux 6.1 adds up what is needed along each chain of calls, bpf_loop()'s callbacks included, each in
steps of 32 bytes, and takes no chain of more than 8 (check_max_stack_depth(), kernel/bpf/verifier.c).
Newer kernels give some programs a stack for each function: they do not tell when it is too much.
"""
import struct

from harness import TREE, check, check_none

STACK_BYTES, STEP, FRAMES = 512, 32, 8
LDDW, CALL, ADD_IMM, MOV_REG = 0x18, 0x85, 0x07, 0xBF
LOAD, STORE_IMM, STORE = 1, 2, 3  # instruction classes
PSEUDO_CALL, FRAME_POINTER = 1, 10
SYMTAB, REL, FUNC, SECTION = 2, 9, 2, 3
EXECUTABLE = 4


def string(table, at):
    return table[at : table.index(b"\0", at)].decode()


class Object:
    """A BPF object file: its functions, by (section, offset), and what its code refers to."""

    def __init__(self, path):
        data = path.read_bytes()
        (table,) = struct.unpack_from("<Q", data, 40)
        size, count, named = struct.unpack_from("<HHH", data, 58)
        sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
        contents = [data[s[4] : s[4] + s[5]] for s in sections]
        text = [i for i, s in enumerate(sections) if string(contents[named], s[0]) == ".text"]
        symbols, names = next(
            (contents[i], contents[s[6]]) for i, s in enumerate(sections) if s[1] == SYMTAB
        )
        symbols = list(struct.iter_unpack("<IBBHQQ", symbols))
        self.functions, self.targets = {}, {}
        for name, info, _, section, value, length in symbols:
            if info & 15 == FUNC:
                code = contents[section][value : value + length]
                code = list(struct.iter_unpack("<BBhi", code))
                self.functions[section, value] = string(names, name), code
        for i, (_, kind, _, _, _, _, _, of, _, _) in enumerate(sections):
            if kind == REL and sections[of][2] & EXECUTABLE:
                for at, about in struct.iter_unpack("<QQ", contents[i]):
                    _, info, _, section, value, _ = symbols[about >> 32]
                    self.targets[of, at] = section, value, info & 15 == SECTION
        self.programs = [at for at in self.functions if at[0] not in text]

    def uses(self, at):
        """(Bytes of stack that the function at that place needs itself, whom it calls.)"""
        (section, start), (_, code) = at, self.functions[at]
        bytes_, calls, copies = 0, [], set()
        for i, (op, registers, offset, value) in enumerate(code):
            to, by = registers & 15, registers >> 4
            if op == MOV_REG:
                copies = copies | {to} if by == FRAME_POINTER else copies - {to}
            elif op == ADD_IMM and to in copies:
                bytes_ = max(bytes_, -value)
            elif (op & 7 == LOAD and by == FRAME_POINTER) or (
                op & 7 in (STORE, STORE_IMM) and to == FRAME_POINTER
            ):
                bytes_ = max(bytes_, -offset)
            target = self.targets.get((section, start + 8 * i))
            if op == CALL and by == PSEUDO_CALL:
                if not target:
                    calls.append((section, start + 8 * (i + 1 + value)))
                else:
                    calls.append((target[0], 8 * (value + 1) if target[2] else target[1]))
            elif op == LDDW and target:
                calls.append((target[0], target[1] + value))
        return bytes_, [c for c in calls if c in self.functions]

    def deepest(self, at):
        """[(name, bytes)] of the chain of calls from there that needs most."""
        own, calls = self.uses(at)
        below = max((self.deepest(c) for c in calls), key=total, default=[])
        return [(self.functions[at][0], own), *below]


def total(chain):
    return sum(max(STEP, -(-own // STEP) * STEP) for _, own in chain)


def test_linux_6_1_has_stack_for_all(_lab):
    built = Object(TREE / "build/pytrace.bpf.o")
    chains = [built.deepest(at) for at in built.programs]
    check(len(chains) > 10, f"{len(chains)} programs")
    check(max(map(len, chains)) > 4, "no calls are found")
    check_none(
        f"{total(c)} bytes, {len(c)} frames: {c}"
        for c in chains
        if total(c) > STACK_BYTES or len(c) > FRAMES
    )
