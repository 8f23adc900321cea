"""What runs of bytes in DRAM cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BURST", "Span", "part_cycles", "run_cycles"]

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


@dataclass(frozen=True, kw_only=True)
class Span:
    """What of a dimension of an array in DRAM is moved.

    Parameters
    ----------
    whole
        Indices that the array has.
    count
        Indices that are moved.
    padded
        Indices that the stream has.
    unit
        The first of them is a multiple of that.
    step
        From one to the next.
    """

    whole: int
    count: int
    padded: int
    unit: int = 1
    step: int = 1


def part_cycles(
    spans: Sequence[Span], *, element: int, beat: int, piece: int | None = None
) -> float:
    """Cycles of a part of a dense array of elements of so many bytes, its outermost span first.

    Spans that continue one another are one run. Where runs are taken in pieces of `piece` bytes
    each of these is one.
    """
    stride = length = total = element
    count = padded = 1
    grain, merges = beat, True
    for span in reversed(spans):
        step = span.step if span.count > 1 else 1
        if merges and step == 1:
            length, total = length * span.count, total * span.padded
            merges = span.count == span.whole == span.padded
        else:
            merges = False
            count, padded = count * span.count, padded * span.padded
            grain = math.gcd(grain, stride * step)
        if span.count < span.whole:
            grain = math.gcd(grain, stride * span.unit)
        stride *= span.whole
    if piece is None:
        run = run_cycles(length, beat, step=grain, padding=total - length)
    else:
        lengths = [min(max(length - begin, 0), piece) for begin in range(0, total, piece)]
        run = sum(run_cycles(some, beat, step=grain, padding=piece - some) for some in lengths)
    return count * run + (padded - count) * -(-total // beat)
