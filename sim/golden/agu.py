"""What the address generators must give, from the definitions: sums over index vectors.

Loop 0 and spatial dimension 0 are the innermost. Addresses are in bytes; nothing wraps here, a
caller takes the modulus where the hardware has one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft.hw.bus.fault import FaultCode
from weft.hw.config import MemoryConfig

__all__ = [
    "ALL",
    "Window",
    "channel_addresses",
    "deltas",
    "existing",
    "flaws",
    "indices",
    "locate",
    "marks",
    "rows",
]


ALL = -1
"""Every channel is enabled, every byte written."""


def indices(bounds: Sequence[int]) -> NDArray[np.int64]:
    """Every index vector in the order of the loops; one row a step, column l for loop l."""
    steps = np.arange(math.prod(bounds), dtype=np.int64)
    inside = [math.prod(bounds[:level]) for level in range(len(bounds))]
    columns = [steps // size % bound for size, bound in zip(inside, bounds, strict=True)]
    return np.stack(columns, axis=1) if columns else np.zeros((1, 0), np.int64)


def rows(bounds: Sequence[int], strides: Sequence[int], base: int) -> NDArray[np.int64]:
    """``base + sum(index[l] * stride[l])`` of every step; so for a guard."""
    return base + indices(bounds) @ np.array(strides, dtype=np.int64)


def marks(bounds: Sequence[int], level: int) -> NDArray[np.bool_]:
    """Of every step, whether loops 0..`level` are in their last iteration."""
    inner = list(bounds)[: level + 1]
    in_last = indices(bounds)[:, : level + 1] == np.array(inner) - 1
    return np.asarray(in_last.all(axis=1))


def deltas(bounds: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Strides in the coding of a BD: what a step of loop l changes when those inside restart."""
    rewinds = [(bound - 1) * stride for bound, stride in zip(bounds, strides, strict=True)]
    return [stride - sum(rewinds[:level]) for level, stride in enumerate(strides)]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A guard over the channels of a row.

    A channel is inside iff ``0 <= value + coefficient * index < limit``, with its index along
    `dimension`.
    """

    value: int
    limit: int
    coefficient: int = 0
    dimension: int = 0


def existing(
    spatial_bounds: Sequence[int], windows: Sequence[Window], enabled: int = ALL
) -> list[bool]:
    """Which of the `enabled` channels of a row, a bit each, are inside all `windows`."""
    places = indices(spatial_bounds)
    exists = np.array([enabled >> channel & 1 for channel in range(len(places))], np.bool_)
    for window in windows:
        along = window.value + window.coefficient * places[:, window.dimension]
        exists &= (along >= 0) & (along < window.limit)
    return [bool(each) for each in exists]


def locate(memory: MemoryConfig, word: int, group: int) -> tuple[int, int]:
    """Bank and row of a word with banks in groups of `group`: one group fills after the other."""
    which, within = divmod(word, group * memory.rows)
    row, bank = divmod(within, group)
    return which * group + bank, row


def channel_addresses(
    spatial_bounds: Sequence[int], strides: Sequence[int], address: int
) -> list[int]:
    """Byte address of each channel of a row."""
    return [int(value) for value in rows(spatial_bounds, strides, address)]


def flaws(
    memory: MemoryConfig,
    spatial_bounds: Sequence[int],
    strides: Sequence[int],
    address: int,
    group: int,
    reach: int,
    windows: Sequence[Window] = (),
    enabled: int = ALL,
) -> list[FaultCode]:
    """Why each channel of a row may not access its address, or ``NONE``.

    Without `windows` a row address outside the scratchpad takes every channel with it, even one
    that a spatial stride would bring back. The row's address and the strides of the dimensions in
    which a channel has another index than 0 must be whole words; with `reach` g the former a
    multiple of g of them, and the latter as many, modulo g, as there are channels in a step. A
    channel outside the windows, or that is not `enabled`, makes no access, and so has no flaw.
    `group` is no less than `reach`.
    """
    assert group >= reach
    there = existing(spatial_bounds, windows, enabled)
    outside = not windows and not 0 <= address < memory.bytes
    counts = [math.prod(spatial_bounds[:axis]) for axis in range(len(spatial_bounds))]

    def flaw(at: int, index: Sequence[int]) -> FaultCode:
        terms = [(address, 0)]
        terms += [(s, n) for s, n, i in zip(strides, counts, index, strict=True) if i]
        if outside or not 0 <= at < memory.bytes:
            return FaultCode.ADDRESS_RANGE
        if any(term % memory.word_bytes for term, _ in terms):
            return FaultCode.ALIGNMENT
        if reach and any((term // memory.word_bytes - n) % reach for term, n in terms):
            return FaultCode.REACH
        return FaultCode.NONE

    addresses = channel_addresses(spatial_bounds, strides, address)
    return [
        flaw(at, index) if exists else FaultCode.NONE
        for at, index, exists in zip(addresses, indices(spatial_bounds), there, strict=True)
    ]
