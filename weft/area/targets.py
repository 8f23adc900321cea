"""What area is counted for: a Yosys script, and what each kind of its cells amounts to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

__all__ = ["TARGETS", "Area", "Target"]


@dataclass(frozen=True, kw_only=True)
class Area:
    """Resources.

    Parameters
    ----------
    luts, ffs
        Look-up tables (those that serve as memory included) and flip-flops.
    cells
        Cells of every kind, after mapping.
    bram
        Block memories, in those of the target; a half may be used.
    dsps
        Multiplier blocks.
    memory_bits
        Bits of memory that the target has no cells for.
    """

    luts: int = 0
    ffs: int = 0
    cells: int = 0
    bram: float = 0
    dsps: int = 0
    memory_bits: int = 0

    def __add__(self, other: Area) -> Area:
        return Area(**{n: getattr(self, n) + getattr(other, n) for n in self._names()})

    def __mul__(self, instances: int) -> Area:
        return Area(**{name: getattr(self, name) * instances for name in self._names()})

    @classmethod
    def _names(cls) -> list[str]:
        return [field.name for field in fields(cls)]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A technology.

    Parameters
    ----------
    name
        As on the command line.
    title
        For people.
    rule
        How its cells are counted, for people.
    script
        Yosys commands that map a flattened design; ``{top}`` stands for its name.
    no_dsp
        What goes into ``{no_dsp}`` in the script if multipliers are to be logic.
    weights
        Resource, pattern of cell types, and how much of the resource one cell is. The first
        pattern of a resource that matches counts.
    """

    name: str
    title: str
    rule: str
    script: str
    no_dsp: str
    weights: tuple[tuple[str, str, float], ...]

    def commands(self, top: str, *, no_dsp: bool) -> str:
        """The script for a design with module `top`."""
        return self.script.format(top=top, no_dsp=self.no_dsp if no_dsp else "")

    def area(self, cells: Mapping[str, int], memory_bits: int) -> Area:
        """What a mapped design amounts to, from the number of its cells by type."""
        totals = {"luts": 0.0, "ffs": 0.0, "bram": 0.0, "dsps": 0.0}
        for kind, count in cells.items():
            for resource in totals:
                for counted, pattern, weight in self.weights:
                    if counted == resource and re.fullmatch(pattern, kind):
                        totals[resource] += count * weight
                        break
        return Area(
            luts=round(totals["luts"]),
            ffs=round(totals["ffs"]),
            cells=sum(cells.values()),
            bram=totals["bram"],
            dsps=round(totals["dsps"]),
            memory_bits=memory_bits,
        )


# Multiplexers are built of LUTs alone (-nowidelut): given PFUMX or MUXF7 to MUXF9, ABC takes so
# many that banks that differ in nothing but their number cost between 360 and 551 LUTs.

_GENERIC = Target(
    name="generic",
    title="generic 6-input LUTs",
    rule=(
        "LUTs: 6-input tables after ABC; flip-flops: all storage but memories, which are left out "
        "and counted in bits; multipliers are always logic"
    ),
    script=(
        "synth -flatten -top {top} -lut 6 -run begin:fine\n"
        "opt -fast -full\nopt -full\ntechmap\nopt -fast\nabc -lut 6\nopt -fast\nclean\n"
        "memory_unpack"
    ),
    no_dsp="",
    weights=(
        ("luts", r"\$lut", 1),
        ("ffs", r"\$_(S|AL)?DFF\w*_|\$_D?LATCH\w*_", 1),
    ),
)

_ECP5 = Target(
    name="ecp5",
    title="Lattice ECP5",
    rule=(
        "LUT4s, plus 2 for each CCU2C (two bits of carry chain) and 6 for each TRELLIS_DPR16X4 "
        "(4 that hold its data and 2 lost to its write port)"
    ),
    script="synth_ecp5 -nowidelut -top {top}{no_dsp}",
    no_dsp=" -nodsp",
    weights=(
        ("luts", "LUT4", 1),
        ("luts", "CCU2C", 2),
        ("luts", "TRELLIS_DPR16X4", 6),
        ("ffs", "TRELLIS_FF", 1),
        ("bram", "DP16KD|PDPW16KD", 1),
        ("dsps", "MULT18X18D", 1),
    ),
)

_XCUP = Target(
    name="xcup",
    title="AMD UltraScale+",
    rule=(
        "LUT1 to LUT6, plus the LUTs that distributed memories and shift registers occupy (8 for a "
        "RAM32M16 or RAM64M8); inverters and carry chains are free; block memories in RAMB36"
    ),
    script=("synth_xilinx -family xcup -flatten -noiopad -noclkbuf -nowidelut -top {top}{no_dsp}"),
    no_dsp=" -nodsp",
    weights=(
        ("luts", "LUT[1-6]", 1),
        ("luts", "RAM32M16|RAM64M8|RAM32X16DR8|RAM64X8SW|RAM256X1D|RAM512X1S", 8),
        ("luts", "RAM32M|RAM64M|RAM128X1D|RAM256X1S", 4),
        ("luts", "RAM32X1D|RAM64X1D|RAM128X1S", 2),
        ("luts", "RAM32X1S|RAM64X1S|SRL16E|SRLC16E|SRLC32E", 1),
        ("ffs", "FD[RSCP]E(_1)?|LD[CP]E", 1),
        ("bram", "RAMB36E2", 1),
        ("bram", "RAMB18E2", 0.5),
        ("dsps", "DSP48E2", 1),
    ),
)

TARGETS = {target.name: target for target in (_GENERIC, _ECP5, _XCUP)}
"""Targets by name."""
