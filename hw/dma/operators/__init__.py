"""Stream operators of the DMA, on streams of :func:`~weft.hw.bus.streams.switch_beat`.

Each takes one 32-bit word of parameters a BD from its side stream ``operator``, in order; a BD's
word is popped with its last beat. No beat passes before its BD's word is there.
"""

from .add_constant import AddConstant
from .compare import Compare
from .crc32c import Crc32c
from .xor import Xor

__all__ = ["AddConstant", "Compare", "Crc32c", "Xor"]
