"""Rows for the DRAM ports, as golden values, as payloads and as hypothesis strategies."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from amaranth.lib import data
from hypothesis import strategies as st

from weft.hw.config import AcceleratorConfig, DmaConfig, MemoryConfig, MoverConfig
from weft.sim.golden.dma import Guard, Row

__all__ = ["bds", "dram_config", "row_payload", "rows", "split_bds"]


def dram_config(data_bits: int, *, guards: int = 2, **dma: int) -> AcceleratorConfig:
    """A system of one MM2S and one S2MM channel, each with its scratchpad end."""
    ends = (("Y", "write", "MM2S0"), ("X", "read", "S2MM0"))
    channels = (("MM2S0", "mm2s", "Y"), ("S2MM0", "s2mm", "X"))
    return AcceleratorConfig(
        name="dram",
        memory=MemoryConfig(banks=2, bank_bits=data_bits, rows=16, groups=(2, 1)),
        movers=(
            *(MoverConfig(name=n, kind=k, bind=b, spatial_bounds=(1,)) for n, k, b in ends),
            *(MoverConfig(name=n, kind=k, bind=b, guards=guards) for n, k, b in channels),
        ),
        dma=DmaConfig(data_bits=data_bits, **dma),
    )


def row_payload(shape: data.StructLayout, row: Row) -> Any:
    """`row` as a constant of the port's row layout."""
    settings: dict[str, object] = {"run_length": row.length, "pad": row.pad}
    fields: dict[str, object] = {"address": row.address, "end": row.end, "settings": settings}
    if row.guards:
        fields["guards"] = [guard.value for guard in row.guards]
        settings["limits"] = [guard.limit for guard in row.guards]
        settings["runs"] = [guard.run for guard in row.guards]
    return shape.const(fields)


@st.composite
def rows(draw: Any, *, guards: int = 2, longest: int = 300) -> Row:
    """Runs around page borders and far up, cut by windows that begin and end near their ends."""
    length = draw(st.integers(1, longest))
    near = st.one_of(st.integers(-length - 4, length + 4), st.just(-(1 << 31)))
    room = st.one_of(st.just((1 << 31) - 1), st.integers(0, 2 * length + 4))
    windows = draw(
        st.one_of(
            st.just((Guard(value=0, limit=(1 << 31) - 1, run=True),) * guards),
            st.tuples(
                *[st.builds(Guard, value=near, limit=room, run=st.booleans())] * guards,
            ),
        )
    )
    base = draw(st.sampled_from([0x1000, 0x7FF0, 0x9_0000_0F80, (1 << 63) + 0x2FC0]))
    return Row(
        address=base + draw(st.integers(0, 200)),
        length=length,
        guards=windows,
        pad=draw(st.integers(0, 255)),
    )


@st.composite
def bds(draw: Any, *, guards: int = 2, longest: int = 300) -> list[Row]:
    """A few BDs of a few rows, as one list of rows with their ends marked.

    Every other row goes on where the one before ended.
    """
    group = st.lists(rows(guards=guards, longest=longest), min_size=1, max_size=4)
    found: list[Row] = []
    for drawn in draw(st.lists(group, min_size=1, max_size=4)):
        for k, row in enumerate(drawn):
            touches = k > 0 and draw(st.booleans())
            found.append(
                replace(
                    row,
                    address=found[-1].address + found[-1].length if touches else row.address,
                    pad=drawn[0].pad,
                    end=k == len(drawn) - 1,
                )
            )
    return found


def split_bds(sequence: Sequence[Row]) -> list[list[Row]]:
    """The rows of each BD."""
    groups: list[list[Row]] = [[]]
    for row in sequence:
        groups[-1].append(row)
        if row.end:
            groups.append([])
    return groups[:-1]
