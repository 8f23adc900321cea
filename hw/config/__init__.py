"""Design-time parameters: the one place where each is declared and checked.

A configuration is a tree of frozen dataclasses. Construction checks every field and every
combination, and raises :class:`~weft.hw.errors.ConfigError` naming field, value and rule. A
parameter that the gateware does not honour yet is refused, never ignored.

Widths are in bits and depths in entries unless a name says otherwise. A *word* is one bank access
(``memory.bank_bits``); a *beat* is what a mover hands over in one cycle (its channels x a word).
"""

from .array import ARRAY_PORTS, ARRAY_SINKS, PARAMETER_BITS, ArrayConfig
from .dma import BOUNDARY_BYTES, RECORD_BYTES, DmaConfig
from .memory import MemoryConfig
from .mover import MAX_CHANNELS, MAX_DESCRIPTORS, MAX_REPLAY_DEPTH, SWITCH, MoverConfig
from .sequencer import SequencerConfig
from .system import MAX_LOCKS, ROUTE_BITS, AcceleratorConfig

__all__ = [
    "ARRAY_PORTS",
    "ARRAY_SINKS",
    "BOUNDARY_BYTES",
    "MAX_CHANNELS",
    "MAX_DESCRIPTORS",
    "MAX_LOCKS",
    "MAX_REPLAY_DEPTH",
    "PARAMETER_BITS",
    "RECORD_BYTES",
    "ROUTE_BITS",
    "SWITCH",
    "AcceleratorConfig",
    "ArrayConfig",
    "DmaConfig",
    "MemoryConfig",
    "MoverConfig",
    "SequencerConfig",
]
