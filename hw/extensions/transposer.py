"""Turns tiles of bytes."""

from collections.abc import Sequence
from math import isqrt

from ..config import MoverConfig
from .rearrangement import Rearrangement

__all__ = ["Transposer"]


class Transposer(Rearrangement):
    """A beat is a square tile of bytes, row after row; its transpose goes on.

    Byte ``(row, column)`` of the beat becomes byte ``(column, row)``.

    Source: DataMaestro, section III-E (Transposer).
    """

    @classmethod
    def order_of(cls, mover: MoverConfig, word_bytes: int) -> Sequence[int]:
        bits = 8 * mover.channels * word_bytes
        side = isqrt(bits // 8)
        if 8 * side**2 != bits:
            raise ValueError(f"a beat of {bits} bits is no square tile of bytes")
        return [row * side + column for column in range(side) for row in range(side)]
