"""In which order the DMA takes the beats of a matrix: row after row, or bands of rows."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from ..hw.config import MemoryConfig, MoverConfig
from .blocked import BlockedLayout, beat_bytes
from .descriptor import BufferDescriptor
from .reach import bank_of, channel_offsets
from .runs import BURST
from .transfer import DmaPair

__all__ = ["by_bands", "crowding"]

LOOPS = 3
"""Of the DRAM's end: rows of a band, beats of a row, bands."""


def by_bands(memory: MemoryConfig, pair: DmaPair, layout: BlockedLayout) -> bool:
    """Whether `pair` does better to walk the rows of each row of tiles together, a beat of every
    row before the next.

    The words of a beat lie in neighbouring tiles, and where the reach of the array's mover lets
    tiles begin on few banks, so do those of all beats of a row. What its channels have under way is
    as many beats as their FIFOs hold: it is better where it at least halves what of these meets at
    a bank. In DRAM runs are then a beat long, which must not be less than it gives at once, and
    loops three.
    """
    mover = pair.scratchpad
    beat = beat_bytes(memory, mover)
    able = beat >= BURST and pair.dram.loops >= LOOPS
    if not able or layout.row_bytes <= beat or layout.tile_rows == 1:
        return False
    rows, bands = (_first_most(memory, mover, layout, banded=banded) for banded in (False, True))
    return 2 * bands <= rows


def crowding(memory: MemoryConfig, mover: MoverConfig, layout: BlockedLayout) -> float:
    """How many times as many words of the beats that `mover` has under way meet at a bank, row
    after row, as if they were spread over all banks of the group; at least once."""
    even = mover.data_depth * mover.channels / memory.groups[layout.mode]
    return max(_first_most(memory, mover, layout, banded=False) / even, 1.0)


def _first_most(
    memory: MemoryConfig, mover: MoverConfig, layout: BlockedLayout, *, banded: bool
) -> int:
    """As `_most`. The first row of tiles tells, wherever it stands."""
    first = replace(layout, base=0, tiles_down=1, row_gap=0)
    return _most(memory, mover, first.by_rows(memory, mover, banded=banded))


@lru_cache(maxsize=1 << 11)
def _most(memory: MemoryConfig, mover: MoverConfig, walk: BufferDescriptor) -> int:
    """Words at one bank of the first beats that the channels have under way together."""
    offsets = np.array(channel_offsets(mover.spatial_bounds, walk.spatial_strides))
    beats = np.zeros(1, np.int64)
    for bound, stride in zip(walk.bounds, walk.strides, strict=True):
        steps = np.arange(min(bound, mover.data_depth)) * stride
        beats = (steps[:, None] + beats).reshape(-1)[: mover.data_depth]
    words = (walk.base + beats[:, None] + offsets) // memory.word_bytes
    return int(np.bincount(bank_of(memory, walk.mode, words.reshape(-1))).max())
