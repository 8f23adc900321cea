"""The system under test: the small configuration's data movement, with a sequencer."""

from dataclasses import replace

from weft.config import load_config
from weft.hw.config import SequencerConfig

__all__ = ["CONFIG", "MEMORY_BASE", "MEMORY_BYTES"]

_TINY = load_config("tiny")

CONFIG = replace(
    _TINY,
    name="cosim",
    array=None,
    movers=tuple(mover for mover in _TINY.movers if not mover.bind.startswith("array")),
    sequencer=SequencerConfig(),
)

MEMORY_BASE = 0x8000_0000
MEMORY_BYTES = 1 << 16
