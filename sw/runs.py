"""What runs of bytes in DRAM cost."""

from __future__ import annotations

import math

__all__ = ["BURST", "run_cycles"]

BURST = 64
"""Bytes that a DRAM gives at once: runs of fewer would waste it."""

SHORTEST = 1.5
"""Cycles that a run takes at least, however short, with as many as the DMA has under way."""


def run_cycles(length: int, beat: int, *, step: int, padding: int = 0) -> float:
    """Cycles of a run of `length` bytes in beats of `beat` bytes, and of `padding` bytes behind it.

    A beat that a run touches takes a cycle, and what pads it one for each beat of that. Where a run
    begins is known but for multiples of `step` bytes from the border of a beat: it is the mean.
    """
    grain = math.gcd(step, beat)
    touched = (-(-length // grain) * grain + beat - grain) / beat
    return max(touched + -(-padding // beat), SHORTEST)
