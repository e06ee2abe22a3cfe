# SPDX-License-Identifier: MIT
"""gdb commands for fibers: coroutines and tasks, parked ones included.

    (gdb) source async/tools/moirai-gdb.py
    (gdb) moirai fibers              list them, with the function that each waits in
    (gdb) moirai bt ADDRESS          back-trace of the one whose block is at ADDRESS
    (gdb) moirai bt all              of every suspended one

A fiber that is free has sp == NULL; one that runs has some thread's stack pointer in its region. For
the others the three words of the switch are the registers. bt sets them for a moment, so it needs a
live process; in a core file, `moirai fibers` works and shows where each one stands.
"""
import gdb

CLASSES = 4


def number(value):
    return int(value.cast(gdb.lookup_type("unsigned long")))


def registers():
    arch = gdb.selected_frame().architecture().name()
    return ("sp", "x29", "pc") if "aarch64" in arch else ("rsp", "rbp", "rip")


def stack_pointers():
    """Thread number by stack pointer of each thread."""
    found = {}
    selected = gdb.selected_thread()
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        found[number(gdb.parse_and_eval("$sp"))] = thread.num
    selected.switch()
    return found


def fibers():
    """(class, region base, region size, fiber) of each fiber that is out of its pool."""
    pool = gdb.parse_and_eval("'registry.c'::pools")
    while pool:
        block = (int(pool["attr"]["block_size"]) + 63) & ~63
        for size_class in range(CLASSES):
            slab = pool["slabs"][size_class]
            size, base = int(slab["region_bytes"]), number(slab["base"])
            for index in range(int(slab["carved"])):
                address = base + (index + 1) * size - index % 16 * 64 - block
                kind = gdb.lookup_type("struct moirai__fiber").pointer()
                fiber = gdb.Value(address).cast(kind)
                if fiber["words"]["sp"]:
                    yield base + index * size, size, fiber
        pool = pool["next"]


def where(fiber):
    pc = number(fiber["words"]["pc"])
    text = gdb.execute("info symbol 0x%x" % pc, to_string=True).split(" in section")[0].strip()
    line = gdb.find_pc_line(pc)
    return text + (" (%s:%d)" % (line.symtab.filename, line.line) if line.symtab else "")


def listing():
    """(fiber, thread number or None, text)"""
    running = stack_pointers()
    for base, size, fiber in fibers():
        thread = next((n for sp, n in running.items() if base <= sp < base + size), None)
        state = "running on thread %d" % thread if thread else where(fiber)
        room = number(fiber["stack_high"]) - number(fiber["words"]["sp"])
        yield fiber, thread, "0x%x  %4d KiB, %6d B used  %s" % (
            number(fiber), size >> 10, room, state)


def backtrace(fiber):
    names = registers()
    saved = [number(gdb.parse_and_eval("$" + name)) for name in names]
    words = [number(fiber["words"][key]) for key in ("sp", "frame", "pc")]
    try:
        for name, value in zip(names, words):
            gdb.execute("set $%s = 0x%x" % (name, value), to_string=True)
        gdb.execute("bt")
    finally:
        gdb.execute("select-frame 0", to_string=True)
        for name, value in zip(names, saved):
            gdb.execute("set $%s = 0x%x" % (name, value), to_string=True)


class Moirai(gdb.Command):
    """Commands for the Moirai runtime: fibers, bt."""

    def __init__(self):
        super().__init__("moirai", gdb.COMMAND_STACK, prefix=True)


class Fibers(gdb.Command):
    """moirai fibers: lists coroutines and tasks that have a stack."""

    def __init__(self):
        super().__init__("moirai fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        count = 0
        for _, _, text in listing():
            print(text)
            count += 1
        print("%d fibers" % count)


class Backtrace(gdb.Command):
    """moirai bt ADDRESS|all: back-trace of a suspended fiber, or of all of them."""

    def __init__(self):
        super().__init__("moirai bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        wanted = None if argument == "all" else number(gdb.parse_and_eval(argument))
        for fiber, thread, text in listing():
            if thread or wanted not in (None, number(fiber)):
                continue
            print(text)
            backtrace(fiber)


Moirai()
Fibers()
Backtrace()
