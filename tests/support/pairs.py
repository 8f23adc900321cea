"""The DMA of the small system twice on one AXI port, and no array."""

import dataclasses

from weft.config import load_config
from weft.hw.config import AcceleratorConfig

__all__ = ["TINY", "doubled"]

TINY = load_config("tiny")
SECOND = {"X": "X1", "Y": "Y1", "MM2S0": "MM2S1", "S2MM0": "S2MM1"}


def doubled(array: bool = False) -> AcceleratorConfig:
    """Tiny with the DMA's movers once more; the second pair is of the low class."""
    first = [mover for mover in TINY.movers if mover.name in SECOND]
    second = [
        dataclasses.replace(
            mover,
            name=SECOND[mover.name],
            bind=SECOND[mover.bind],
            shares_ports_with=SECOND.get(mover.shares_ports_with, ""),
            high_priority=False,
        )
        for mover in first
    ]
    return dataclasses.replace(
        TINY,
        name="doubled",
        movers=(*(TINY.movers if array else first), *second),
        array=TINY.array if array else None,
    )
