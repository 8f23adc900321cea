"""An extent in pieces."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["cuts", "even_pieces", "kinds", "largest"]

T = TypeVar("T")


def cuts(extent: int, piece: int) -> list[range]:
    """In pieces of one size, of which the last may be shorter."""
    return [range(start, min(start + piece, extent)) for start in range(0, extent, piece)]


def kinds(extent: int, piece: int) -> list[tuple[int, int]]:
    """The lengths of those pieces, and how many have each."""
    whole, rest = divmod(extent, piece)
    return [(length, count) for length, count in ((piece, whole), (rest, 1)) if length and count]


def even_pieces(extent: int, unit: int) -> list[int]:
    """Sizes of even pieces, in whole units and descending: one, two, three pieces and so on."""
    units = -(-extent // unit)
    sizes = {-(-units // parts) for parts in range(1, units + 1)}
    return sorted({min(size * unit, extent) for size in sizes}, reverse=True)


def largest(descending: Sequence[T], fits: Callable[[T], bool], most: int) -> Sequence[T]:
    """The first that fit, `most` of them; behind one that fits all do."""
    first = bisect.bisect_left(descending, True, key=fits)
    return descending[first : first + most]
