"""Whether every word that a scratchpad descriptor would touch is one that its channels can touch.

The check is exact and cheap: the set of first-channel words is a bit a word of the memory, grown
loop by loop by doubling, so its cost does not depend on the number of rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..hw.config import MemoryConfig, MoverConfig
from .errors import DescriptorError

__all__ = ["bank_of", "channel_offsets", "check_scratchpad"]


def bank_of(memory: MemoryConfig, mode: int, words: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Bank of each word address: groups of ``memory.groups[mode]`` banks, filled one by one.

    Consecutive words go round the banks of a group, and a group's rows fill before the next
    group begins (DataMaestro, section III-D).
    """
    group = memory.groups[mode]
    return words // (group * memory.rows) * group + words % group


def channel_offsets(bounds: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Byte offset of every channel, channel 0 first; dimension 0 is the innermost."""
    indices = itertools.product(*(range(bound) for bound in reversed(bounds)))
    return [
        sum(i * stride for i, stride in zip(reversed(index), strides, strict=True))
        for index in indices
    ]


def check_scratchpad(
    memory: MemoryConfig,
    mover: MoverConfig,
    *,
    base: int,
    bounds: Sequence[int],
    strides: Sequence[int],
    spatial_strides: Sequence[int],
    mode: int,
) -> None:
    """Refuse a descriptor that would leave the memory or a channel's banks.

    Raises
    ------
    DescriptorError
        Names the field, or ``address`` for what only their sum shows, and the limit.
    """
    if 0 in bounds:
        return

    def require(condition: bool, field: str, value: object, limit: str) -> None:
        if not condition:
            raise DescriptorError(mover.name, field, value, limit)

    word = memory.word_bytes
    whole = f"must be a multiple of a word of {word} bytes"
    require(base % word == 0, "base", base, whole)
    live = [(bound, stride) for bound, stride in zip(bounds, strides, strict=True) if bound > 1]
    for _, stride in live:
        require(stride % word == 0, "strides", stride, whole)
    for bound, stride in zip(mover.spatial_bounds, spatial_strides, strict=True):
        require(bound == 1 or stride % word == 0, "spatial_strides", stride, whole)

    offsets = channel_offsets(mover.spatial_bounds, spatial_strides)
    steps = [(bound - 1) * stride for bound, stride in live]
    low = base + sum(step for step in steps if step < 0)
    high = base + sum(step for step in steps if step > 0)
    for channel, offset in enumerate(offsets):
        for address in (low + offset, high + offset):
            require(
                0 <= address <= memory.bytes - word,
                "address",
                address,
                f"channel {channel} leaves the scratchpad of {memory.bytes} bytes",
            )
    # The temporal address alone, which is what the hardware steps, must be representable too:
    # channel 0 has offset 0, so it was checked with the channels.
    if mover.reach:
        words = _touched(memory, low, live)
        for channel, offset in enumerate(offsets):
            banks = bank_of(memory, mode, words + offset // word)
            wrong = np.flatnonzero(banks % mover.reach != channel % mover.reach)
            if wrong.size:
                address = int(words[wrong[0]]) * word + offset
                require(
                    False,
                    "address",
                    address,
                    f"channel {channel} only reaches banks that are {channel % mover.reach} modulo "
                    f"{mover.reach}, not bank {banks[wrong[0]]}",
                )


def _touched(
    memory: MemoryConfig, low: int, loops: Sequence[tuple[int, int]]
) -> npt.NDArray[np.int64]:
    """Distinct words of channel 0, ascending."""
    word = memory.word_bytes
    mask = np.zeros(memory.bytes // word, dtype=np.bool_)
    # From the lowest address every loop climbs, whatever the sign of its stride.
    mask[low // word] = True
    for bound, stride in loops:
        step, reached = abs(stride) // word, 1
        while step and reached < bound:
            count = min(reached, bound - reached)
            mask[count * step :] |= mask[: mask.size - count * step].copy()
            reached += count
    return np.flatnonzero(mask)
