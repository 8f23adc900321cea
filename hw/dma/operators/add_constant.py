"""Adds a constant to every element of a stream."""

from amaranth.hdl import Module, Value

from ...bus.elements import LONG_BYTES, add_constant_word, add_elements, spread
from .beat_map import BeatMap

__all__ = ["AddConstant"]


class AddConstant(BeatMap):
    """Adds the BD's constant to each element of 1, 2, 4 or 8 bytes, modulo its range.

    The BD's word is :func:`~weft.hw.bus.elements.add_constant_word`. Elements are little-endian and
    lie densely from the BD's first byte on; one that the BD's end cuts is the low bytes of a sum. A
    constant of 0 changes nothing. Timing, members and `width`, a multiple of 64, are those of
    :class:`~weft.hw.dma.operators.beat_map.BeatMap`.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__(width=width, unit=8 * LONG_BYTES)

    def changed(self, m: Module, word: Value, content: Value) -> Value:
        given = add_constant_word()(word)
        long = spread(m, given.constant, given.size)
        addend = long.replicate(self.width // len(long))
        return add_elements(m, content, addend, given.size)
