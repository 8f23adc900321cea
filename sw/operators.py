"""Parameters, what a descriptor tells the stream operators of its mover; and results."""

from __future__ import annotations

from amaranth.hdl import Shape

from ..hw.agu.row import BOUND_BITS
from ..hw.bus.elements import add_constant_word
from ..hw.config import MAX_REPLAY_DEPTH
from ..hw.dma.operators.castagnoli import STATE_BITS
from ..hw.dma.operators.compare import EQUAL, LAST_OFFSET
from ..hw.extensions.repeater import repeater_parameter
from .errors import MappingError, RecordError
from .records import CompletionRecord

__all__ = ["add_constant", "compare", "crc32c", "elementwise_add", "first_difference", "repeater"]

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


def elementwise_add(size: int) -> int:
    """Have ``elementwise_add`` add up elements of `size` bytes, modulo their range.

    Raises
    ------
    MappingError
        Elements of another size than 1, 2, 4 or 8 bytes.
    """
    if size not in SIZES:
        text = f"must be one of {', '.join(map(str, SIZES))} bytes"
        raise MappingError(f"elementwise_add: size = {size}: {text}")
    return SIZES.index(size)


def repeater(count: int, *, length: int = 1, each: bool = False) -> int:
    """Have ``repeater`` give every `length` beats `count` times, marks on the last or on `each`.

    It must have a ``replay_depth`` of as many beats.

    Raises
    ------
    MappingError
        A count that a loop could not have, or a length that no repeater has.
    """
    for name, value, limit in (
        ("count", count, (1 << BOUND_BITS) - 1),
        ("length", length, MAX_REPLAY_DEPTH),
    ):
        if not 1 <= value <= limit:
            raise MappingError(f"repeater: {name} = {value}: must be from 1 to {limit}")
    word = repeater_parameter(MAX_REPLAY_DEPTH)
    return word.const({"count": count, "each": each, "more": length - 1}).as_value().value


def compare(before: int = 0) -> int:
    """Have ``compare`` find the first byte in which two streams differ, `before` bytes further on.

    :func:`first_difference` finds it in the record of the task.

    Raises
    ------
    MappingError
        `before` is no offset that a result can have.
    """
    if not 0 <= before <= LAST_OFFSET:
        raise MappingError(f"compare: before = {before}: must be from 0 to {LAST_OFFSET}")
    return before


def first_difference(record: CompletionRecord) -> int | None:
    """What ``compare`` found: the offset of the first byte that differs, None where none does.

    An offset of ``2**32 - 2`` is that or a higher one. Where one stream ended before the other they
    differ at its end.

    Raises
    ------
    RecordError
        The record has no result, or a fault spoilt bytes that were compared.
    """
    if record.result is None or record.spoilt:
        text = "has no result" if record.result is None else "compares what a fault spoilt"
        raise RecordError(f"the record of task {record.token} {text}")
    return None if record.result == EQUAL else record.result


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
