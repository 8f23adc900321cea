"""Which tiles of an operand are loaded when, into which of its regions, and which stay there."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

__all__ = ["Use", "residency"]


@dataclass(frozen=True, kw_only=True)
class Use:
    """A pass's use of an operand.

    Parameters
    ----------
    region
        Where its tile stands.
    load
        Whether it has to be brought first.
    freed
        Regions that nobody uses any more after it.
    """

    region: int
    load: bool
    freed: int


def residency(tiles: Sequence[Hashable], regions: int) -> list[Use]:
    """The uses of an operand of which the passes need `tiles`, one a pass, in this order.

    Tiles go round the regions: one that is loaded takes the place of the one that was loaded first.
    So one that is needed again is still there if fewer than `regions` have been loaded since. And
    regions become free in the order in which they were filled, so that a count says which.
    """
    loads: list[int] = []  # Pass that loads, for each load.
    last: list[int] = []  # Pass that is the last to use it.
    users: list[int] = []  # Load that each pass uses.
    for index, tile in enumerate(tiles):
        recent = range(len(loads) - 1, max(len(loads) - regions, 0) - 1, -1)
        found = next((load for load in recent if tiles[loads[load]] == tile), None)
        if found is None:
            found = len(loads)
            loads.append(index)
            last.append(index)
        last[found] = index
        users.append(found)
    freed = [0] * len(tiles)
    latest = 0
    for end in last:
        latest = max(latest, end)
        freed[latest] += 1
    return [
        Use(region=load % regions, load=loads[load] == index, freed=freed[index])
        for index, load in enumerate(users)
    ]
