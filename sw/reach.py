"""Whether every word that a scratchpad descriptor would touch is one that its channels can touch.

The check is exact and cheap: the set of a channel's words is a bit a word of the memory, grown
loop by loop by doubling, so its cost does not depend on the number of rows. What guards exclude is
not touched; they are looked at only where the descriptor would be refused without them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..hw.config import MemoryConfig, MoverConfig
from .errors import DescriptorError
from .guard import ExistingRows, Guard

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
    guards: Sequence[Guard] = (),
    channels: int | None = None,
) -> None:
    """Refuse a descriptor that would leave the memory or a channel's banks.

    Of `channels`, a bit each, if they are given, the others are not looked at.

    Raises
    ------
    DescriptorError
        Names the field, or ``address`` for what only their sum shows, and the limit.
    """
    if 0 in bounds:
        return
    try:
        _check_all(memory, mover, base, bounds, strides, spatial_strides, mode)
    except DescriptorError:
        if not guards and channels is None:
            raise
        rows = ExistingRows(mover.name, bounds, strides, guards)
        enabled = -1 if channels is None else channels
        _check_existing(memory, mover, base, rows, spatial_strides, mode, enabled)


def _check_all(
    memory: MemoryConfig,
    mover: MoverConfig,
    base: int,
    bounds: Sequence[int],
    strides: Sequence[int],
    spatial_strides: Sequence[int],
    mode: int,
) -> None:
    """Refuse what any channel would do wrong in any row."""

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
        words = low // word + _touched(high - low, live, (), word)
        for channel, offset in enumerate(offsets):
            _check_reach(memory, mover, channel, words + offset // word, mode)


def _check_existing(
    memory: MemoryConfig,
    mover: MoverConfig,
    base: int,
    rows: ExistingRows,
    spatial_strides: Sequence[int],
    mode: int,
    enabled: int,
) -> None:
    """Refuse what an enabled channel would do wrong in a row in which it exists."""
    # The row addresses that the hardware takes, see hw/agu/spatial.
    first_row, last_row = (-2, 2) if mover.guards else (0, 1)
    word, inner = memory.word_bytes, mover.spatial_bounds
    steps = [(bound - 1) * stride for bound, stride in rows.free]
    first = base + sum(step for step in steps if step < 0)
    last = base + sum(step for step in steps if step > 0)
    for channel, offset in enumerate(channel_offsets(inner, spatial_strides)):
        if not enabled >> channel & 1:
            continue
        counts = [math.prod(inner[:d]) for d in range(len(inner))]
        index = [channel // count % bound for count, bound in zip(counts, inner, strict=True)]
        parts = rows.parts(index)
        if any(part.size == 0 for part in parts):
            continue
        low = first + offset + sum(int(part[0]) for part in parts)
        high = last + offset + sum(int(part[-1]) for part in parts)

        def require(condition: bool, address: int, limit: str, channel: int = channel) -> None:
            if not condition:
                raise DescriptorError(mover.name, "address", address, f"channel {channel} {limit}")

        for address in (low, high):
            inside, row = 0 <= address < memory.bytes, address - offset
            near = first_row * memory.bytes <= row < last_row * memory.bytes
            require(inside, address, f"leaves the scratchpad of {memory.bytes} bytes")
            require(near, address, f"lies in a row at {row}, too far outside the scratchpad")
        # An address of every remainder that there is: the lowest, and one step of a sum from it.
        steps_up = [0] + [abs(stride) for _, stride in rows.free]
        for part in parts:
            _, chosen = np.unique((part - part[0]) % word, return_index=True)
            steps_up += (part[chosen] - part[0]).tolist()
        for step in steps_up:
            require((low + step) % word == 0, low + step, f"is off a word of {word} bytes")
        # The hardware judges the terms of the sum, so that two wrong ones do not make a right one.
        for stride, count, i in zip(spatial_strides, counts, index, strict=True):
            require(
                i == 0 or stride % word == 0,
                low,
                f"lies at a stride of {stride}, off a word of {word} bytes",
            )
            require(
                i == 0 or not mover.reach or (stride // word - count) % mover.reach == 0,
                low,
                f"lies at a stride of {stride}, which is not {count} words modulo {mover.reach}",
            )
        if mover.reach:
            words = low // word + _touched(high - low, rows.free, parts, word)
            _check_reach(memory, mover, channel, words, mode)


def _check_reach(
    memory: MemoryConfig,
    mover: MoverConfig,
    channel: int,
    words: npt.NDArray[np.int64],
    mode: int,
) -> None:
    """Refuse a bank that `channel` does not reach."""
    banks = bank_of(memory, mode, words)
    wrong = np.flatnonzero(banks % mover.reach != channel % mover.reach)
    if wrong.size:
        raise DescriptorError(
            mover.name,
            "address",
            int(words[wrong[0]]) * memory.word_bytes,
            f"channel {channel} only reaches banks that are {channel % mover.reach} modulo "
            f"{mover.reach}, not bank {banks[wrong[0]]}",
        )


def _touched(
    span: int,
    loops: Sequence[tuple[int, int]],
    parts: Sequence[npt.NDArray[np.int64]],
    word: int,
) -> npt.NDArray[np.int64]:
    """Distinct sums, in words above the lowest, of a step of each loop and one of each part."""
    mask = np.zeros(span // word + 1, dtype=np.bool_)
    mask[0] = True
    for part in parts:
        before = mask.copy()
        for step in ((part[1:] - part[0]) // word).tolist():
            mask[step:] |= before[: mask.size - step]
    # From the lowest address every loop climbs, whatever the sign of its stride.
    for bound, stride in loops:
        step, reached = abs(stride) // word, 1
        while step and reached < bound:
            count = min(reached, bound - reached)
            mask[count * step :] |= mask[: mask.size - count * step].copy()
            reached += count
    return np.flatnonzero(mask)
