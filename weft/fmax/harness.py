"""A part of a netlist between registers, so that it can be placed and routed on its own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Signal

from ..area.netlist import NetlistError, modules

__all__ = ["SUBJECT", "Harness", "enclose"]

SUBJECT = "subject"
"""Instance name of the part in its harness."""

TOP = "harness"
FOLD = 4
_PORT = re.compile(r"^ *wire width (\d+) (input|output) \d+ +(?:signed +)?\\(\S+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Harness:
    """A design whose only pins are clock, reset, one input and one output.

    Parameters
    ----------
    text
        RTLIL.
    top
        Name of its top module.
    luts, ffs
        What it adds to the part: LUT4s and flip-flops.
    """

    text: str
    top: str
    luts: int
    ffs: int


def enclose(netlist: str, module: str) -> Harness:
    """Put `module` between registers.

    Its inputs are the bits of one shift register. Each bit of its outputs goes to a register, and a
    tree of XORs with a register after each, of four inputs at most, makes one pin of them. So every
    path from or to a port has a register at its other end, and all logic beside the module's own
    lies on paths of one LUT.

    Parameters
    ----------
    netlist
        RTLIL as Amaranth writes it.
    module
        Name of a module in it, with ports ``clk`` and ``rst``.

    Raises
    ------
    NetlistError
        There is no such module, or it has no outputs.
    """
    bodies = modules(netlist)
    if module not in bodies:
        raise NetlistError(f"the netlist has no module {module}")
    ports = [(name, kind, int(width)) for width, kind, name in _PORT.findall(bodies[module])]
    inputs = [(n, w) for n, kind, w in ports if kind == "input" and n not in ("clk", "rst")]
    outputs = [(n, w) for n, kind, w in ports if kind == "output"]
    if not outputs:
        raise NetlistError(f"module {module} has no outputs")

    m = Module()
    i, o = Signal(name="i"), Signal(name="o")
    scan = Signal(sum(width for _, width in inputs))
    m.d.sync += scan.eq(Cat(i, scan))
    connections: dict[str, object] = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
    low = 0
    for name, width in inputs:
        connections[f"i_{name}"] = scan[low : low + width]
        low += width
    ffs, luts, values = len(scan), 0, []
    for index, (name, width) in enumerate(outputs):
        port = Signal(width, name=f"port_{index}")
        kept = Signal(width, name=f"kept_{index}", reset_less=True)
        connections[f"o_{name}"] = port
        m.d.sync += kept.eq(port)
        values += list(kept)
    ffs += len(values)
    while len(values) > 1:
        groups = [values[first : first + FOLD] for first in range(0, len(values), FOLD)]
        folded = Signal(len(groups), name=f"folded_{len(groups)}", reset_less=True)
        m.d.sync += folded.eq(Cat(Cat(group).xor() for group in groups))
        values = list(folded)
        ffs += len(groups)
        luts += sum(len(group) > 1 for group in groups)
    m.d.comb += o.eq(values[0])
    m.submodules[SUBJECT] = Instance(module, **connections)

    own = rtlil.convert(m, name=TOP, ports=[i, o], emit_src=False)
    parts = [
        f"module \\{name}\n{body}end"
        for name, body in bodies.items()
        if f"{name}.".startswith(f"{module}.")
    ]
    return Harness(text="\n".join([own, *parts]), top=TOP, luts=luts, ffs=ffs)
