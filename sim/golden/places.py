"""Which bytes a descriptor names, from its definition: for any mover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weft.hw.config import AcceleratorConfig, MoverConfig
from weft.sw.descriptor import BufferDescriptor

from .agu import ALL, indices, locate, rows

__all__ = ["NOWHERE", "places", "scratchpad_bytes"]

NOWHERE = -1
"""The place of a byte that is not accessed: a guard or a mask excludes it."""


def places(
    config: AcceleratorConfig, mover: MoverConfig, descriptor: BufferDescriptor
) -> NDArray[np.int64]:
    """For each byte of the stream, in order, its byte address, or NOWHERE."""
    starts = rows(descriptor.bounds, descriptor.strides, descriptor.base)
    if mover.is_scratchpad:
        word = config.memory.word_bytes
        channels = indices(mover.spatial_bounds)
        offsets = channels @ np.array(descriptor.spatial_strides)
        within = (offsets[:, None] + np.arange(word)).reshape(-1)
    else:
        within = np.arange(descriptor.run_length)
    found = starts[:, None] + within
    if mover.is_scratchpad:
        masks = (descriptor.channels, len(channels)), (descriptor.byte_mask, word)
        on = [np.array([ALL if m is None else m]) >> np.arange(size) & 1 for m, size in masks]
        found = np.where(np.outer(*on).reshape(-1) == 1, found, NOWHERE)
    for guard in descriptor.guards:
        strides = (*guard.strides, *[0] * (len(descriptor.bounds) - len(guard.strides)))
        value = rows(descriptor.bounds, strides, guard.offset)[:, None]
        if mover.is_scratchpad:
            along = guard.coefficient * channels[:, guard.dimension]
            value = value + np.repeat(along, word)
        else:
            value = value + guard.run * within
        found = np.where((value >= 0) & (value < guard.limit), found, NOWHERE)
    return found.reshape(-1)


def scratchpad_bytes(
    config: AcceleratorConfig, mode: int, addresses: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where in bank order (bank, row, byte) the bytes of `addresses` in an addressing mode lie."""
    memory = config.memory
    word, byte = np.divmod(addresses, memory.word_bytes)
    group = memory.groups[mode]
    located = np.array([locate(memory, int(each), group) for each in word], np.int64).reshape(-1, 2)
    return (located[:, 0] * memory.rows + located[:, 1]) * memory.word_bytes + byte
