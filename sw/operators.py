"""Operator words: what a descriptor tells the stream operator of its mover."""

from __future__ import annotations

from amaranth.hdl import Shape

from ..hw.dma.operators.add_constant import add_constant_word
from ..hw.dma.operators.castagnoli import STATE_BITS
from .errors import MappingError

__all__ = ["add_constant", "crc32c"]

SIZES = (1, 2, 4, 8)


def add_constant(constant: int, size: int) -> int:
    """Have ``add_constant`` add `constant` to every element of `size` bytes, modulo its range.

    Raises
    ------
    MappingError
        Elements of another size than 1, 2, 4 or 8 bytes, or a constant that its field does not
        hold.
    """
    word = add_constant_word()
    limit = 1 << Shape.cast(word["constant"].shape).width - 1
    for name, value, good, text in (
        ("size", size, size in SIZES, f"must be one of {', '.join(map(str, SIZES))} bytes"),
        ("constant", constant, -limit <= constant < limit, f"must be from {-limit} to {limit - 1}"),
    ):
        if not good:
            raise MappingError(f"add_constant: {name} = {value}: {text}")
    return word.const({"size": SIZES.index(size), "constant": constant}).as_value().value


def crc32c(before: int = 0) -> int:
    """Have ``crc32c`` find the CRC-32C of what passes, behind bytes whose CRC is `before`.

    The result stands in the record of the task.

    Raises
    ------
    MappingError
        `before` is no CRC.
    """
    if not 0 <= before < 1 << STATE_BITS:
        limit = (1 << STATE_BITS) - 1
        raise MappingError(f"crc32c: before = {before}: must be from 0 to {limit}")
    return before
