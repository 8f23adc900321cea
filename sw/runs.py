"""What runs of bytes in DRAM cost."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["BURST", "run_cycles"]

BURST = 64
"""Bytes that a DRAM gives at once: runs of fewer would waste it."""

SHORTEST = 1.5
"""Cycles that a run takes at least, however short, with as many as the DMA has under way."""


def run_cycles(lengths: Iterable[int], beat: int) -> float:
    """Cycles that runs of so many bytes take, one after the other, in beats of `beat` bytes."""
    return sum(max(-(-length // beat), SHORTEST) for length in lengths)
