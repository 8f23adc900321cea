"""The system under test: the small configuration's data movement, more of it, and a sequencer.

One DRAM mover feeds the scratchpad alone; the others meet in a switch.
"""

from dataclasses import replace

from weft.config import load_config
from weft.hw.config import SWITCH, MoverConfig, SequencerConfig

__all__ = ["CONFIG", "MEMORY_BASE", "MEMORY_BYTES"]

_TINY = load_config("tiny")
assert _TINY.dma is not None


def _switched(name: str, like: str) -> MoverConfig:
    return replace(_TINY.mover(like), name=name, bind=SWITCH)


CONFIG = replace(
    _TINY,
    name="cosim",
    array=None,
    movers=(
        replace(_switched("X", "X"), extensions=("compare",)),
        _TINY.mover("Y"),
        _TINY.mover("MM2S0"),
        replace(_switched("MM2S1", "MM2S0"), descriptors=4),
        _switched("S2MM0", "S2MM0"),
        replace(_switched("S2MM1", "S2MM0"), descriptors=4),
    ),
    dma=replace(_TINY.dma, windows=1, records=True),
    sequencer=SequencerConfig(),
)

MEMORY_BASE = 0x8000_0000
MEMORY_BYTES = 1 << 16
