"""What the array's movers ask of the banks where operands stand, and leave to the DMA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..hw.config import MemoryConfig
from .placement import Placement, banks_of
from .regions import Region

__all__ = ["Demand"]

MEETING = 0.8
"""Of the words that the array's movers ask of the banks: those that a beat of the DMA meets."""


class Demand:
    """Of a placement, whose operands are called ``a``, ``b``, ``c``, ``d``, ``e`` and ``s``.

    Parameters
    ----------
    memory
        The scratchpad.
    placement
        Where operands stand. Who works on one asks all of its banks alike.
    """

    def __init__(self, memory: MemoryConfig, placement: Placement) -> None:
        regions = {name: getattr(placement, name) for name in "abdes"}
        self._aged = memory.aging + 1
        # Of each operand: the share of a word of each other that falls on a bank of its own.
        self._shares = {
            name: {user: _share(memory, moved, used) for user, used in regions.items() if used}
            for name, moved in regions.items()
            if moved
        }
        for shares in self._shares.values():
            shares["c"] = shares["d"]

    def asked(self, words: Mapping[str, float]) -> dict[str, float]:
        """With so many words of each in a cycle: how much of what the banks where an operand stands
        could give; 1 is all."""
        return {
            name: min(sum(count * shares[user] for user, count in words.items()), 1.0)
            for name, shares in self._shares.items()
        }

    def beat_cycles(self, asked: float) -> float:
        """Cycles of a beat of the DMA where so much is asked.

        Where that is all the beat's requests come in when they have aged.
        """
        return self._aged if asked == 1 else 1 / (1 - MEETING * asked)


def _share(memory: MemoryConfig, moved: Sequence[Region], used: Sequence[Region]) -> float:
    """Of a word in one of the regions `used`, what falls on a bank of one of those `moved`.

    While one region of an operand is used another of them is loaded or stored.
    """
    pairs = [(one, other) for one in moved for other in used if one is not other]
    shares = []
    for one, other in pairs or [(moved[0], used[0])]:
        ours, theirs = banks_of(memory, one), banks_of(memory, other)
        shares.append(len(set(ours) & set(theirs)) / (len(ours) * len(theirs)))
    return sum(shares) / len(shares)
