"""Turns tiles of bytes."""

from math import isqrt

from amaranth.hdl import Cat, Module, Value

from .mapper import Mapper

__all__ = ["Transposer"]


class Transposer(Mapper):
    """A beat is a square tile of bytes, row after row; its transpose goes on.

    Byte ``(row, column)`` of the beat becomes byte ``(column, row)``. Wires only.

    Parameters
    ----------
    width
        Bits of a beat: 8 times a square.

    Source: DataMaestro, section III-E (Transposer).
    """

    def __init__(self, *, width: int) -> None:
        self._side = isqrt(width // 8)
        if 8 * self._side**2 != width:
            raise ValueError(f"a beat of {width} bits is no square tile of bytes")
        super().__init__(width=width)

    @property
    def side(self) -> int:
        """Rows and columns of a tile."""
        return self._side

    def changed(self, m: Module, content: Value) -> Value:
        side = self._side
        return Cat(
            content.word_select(row * side + column, 8)
            for column in range(side)
            for row in range(side)
        )
