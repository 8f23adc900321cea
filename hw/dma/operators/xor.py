"""Inverts the bits of a stream where a pattern has ones."""

from amaranth.hdl import Module, Value

from .beat_map import BeatMap

__all__ = ["PATTERN_BITS", "Xor"]

PATTERN_BITS = 32


class Xor(BeatMap):
    """Passes a stream with byte k of every BD combined, by exclusive or, with byte ``k mod 4`` of
    its word, the lowest first.

    On a BD whose bytes a guard excludes all, so that each is the pad byte 0 and memory is not read,
    this is a fill with a pattern of four bytes. A word of 0 changes nothing. Timing, members and
    `width`, a multiple of 32, are those of :class:`~weft.hw.dma.operators.beat_map.BeatMap`.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__(width=width, unit=PATTERN_BITS)

    def changed(self, m: Module, word: Value, content: Value) -> Value:
        return content ^ word.replicate(self.width // PATTERN_BITS)
