"""Which bytes an execution of a descriptor touches, and whether they are anybody's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..hw.config import AcceleratorConfig, MoverConfig
from ..hw.mover.descriptor import Descriptor
from .descriptor import BufferDescriptor
from .errors import DescriptorError

__all__ = ["dram_extent", "misplaced"]

MAX_ROWS = 1 << 20
"""Rows that are looked at one by one; a guarded walk of more is taken as if nothing was guarded."""


def misplaced(
    config: AcceleratorConfig,
    mover: MoverConfig,
    descriptor: BufferDescriptor,
    buffers: Sequence[tuple[int, int]],
) -> str:
    """What is wrong with the addresses of `descriptor`; empty if nothing is.

    Parameters
    ----------
    buffers
        Address and length of each, for a DRAM mover: it is to stay within one of them.
    """
    if mover.is_scratchpad:
        # The encoder looks at every address.
        try:
            descriptor.encode(Descriptor(config, mover))
        except DescriptorError as error:
            return str(error)
        return ""
    low, high = dram_extent(descriptor)
    if low == high:
        return ""
    verb = "reads" if mover.is_source else "writes"
    around = [(start, size) for start, size in buffers if start < high and low < start + size]
    if any(start <= low and high <= start + size for start, size in around):
        return ""
    if not around:
        return f"{verb} {low:#x} to {high:#x}, where no buffer is allocated"
    start, size = around[0]
    return (
        f"{verb} {low:#x} to {high:#x}, which leaves the buffer of {size} bytes at {start:#x} "
        f"(to {start + size:#x})"
    )


def dram_extent(descriptor: BufferDescriptor) -> tuple[int, int]:
    """Lowest byte address that exists in the walk, and the one after the highest."""
    run, base = descriptor.run_length, descriptor.base
    if run == 0 or 0 in descriptor.bounds:
        return base, base
    if not descriptor.guards or math.prod(descriptor.bounds) > MAX_ROWS:
        steps = [
            (bound - 1) * stride
            for bound, stride in zip(descriptor.bounds, descriptor.strides, strict=True)
        ]
        low = base + sum(step for step in steps if step < 0)
        return low, base + sum(step for step in steps if step > 0) + run
    addresses = _walk(descriptor.bounds, descriptor.strides)
    first, last = np.zeros_like(addresses), np.full_like(addresses, run)
    for guard in descriptor.guards:
        strides = [*guard.strides, *[0] * (len(descriptor.bounds) - len(guard.strides))]
        values = guard.offset + _walk(descriptor.bounds, strides)
        if guard.run:
            first, last = np.maximum(first, -values), np.minimum(last, guard.limit - values)
        else:
            last = np.where((values >= 0) & (values < guard.limit), last, 0)
    exists = first < last
    if not exists.any():
        return base, base
    low = int((addresses + first)[exists].min())
    return base + low, base + int((addresses + last)[exists].max())


def _walk(bounds: Sequence[int], strides: Sequence[int]) -> npt.NDArray[np.int64]:
    """Offset of every row."""
    offsets = np.zeros(1, np.int64)
    for bound, stride in zip(bounds, strides, strict=True):
        offsets = (offsets + (np.arange(bound, dtype=np.int64) * stride)[:, None]).reshape(-1)
    return offsets
