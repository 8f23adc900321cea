"""Descriptors of a sequence's copies, in the units and the complaints of the mlir-aie toolchain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..hw.config import AcceleratorConfig, MoverConfig
from .descriptor import BufferDescriptor
from .errors import SequenceError
from .locks import Acquire, Release, locked
from .lower import lower, slices
from .memref import MemRef
from .transfer import DmaPair, ScratchpadAddress, Step, recv_steps, send_steps

__all__ = ["gated_copy", "nd_descriptors", "nd_view"]

STEP_LIMIT = 1 << 31
"""A byte stride has 32 bits."""


def nd_view(
    buffer: MemRef,
    offsets: Sequence[int] | None = None,
    sizes: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> MemRef:
    """What ``dma_memcpy_nd`` walks: (i, j, ...) is element ``sum((offset + i) * stride)``.

    Parameters
    ----------
    buffer
        What is walked lies inside it.
    offsets, sizes, strides
        In elements, outermost first; any number of them. A stride may be 0 or negative. Defaults:
        offsets 0; sizes and strides the buffer's own.

    Raises
    ------
    SequenceError
        In the words of mlir-aie's verifier, in which dimension 0 is the innermost.
    """
    sizes = buffer.sizes if sizes is None else sizes
    strides = buffer.strides if strides is None else strides
    offsets = [0] * len(sizes) if offsets is None else offsets
    if not len(offsets) == len(sizes) == len(strides):
        raise SequenceError(
            f"Expected as many offsets ({len(offsets)}) as sizes ({len(sizes)}) and strides "
            f"({len(strides)})."
        )
    for number, size in enumerate(reversed(sizes)):
        if size < 0:
            raise SequenceError(f"Size {number} is {size}: must not be negative.")
    for number, stride in enumerate(reversed(strides)):
        step = stride * buffer.itemsize
        if not -STEP_LIMIT <= step < STEP_LIMIT:
            raise SequenceError(
                f"Stride {number} is {stride} elements * {buffer.itemsize} bytes = {step} bytes, "
                f"which exceeds the [{-STEP_LIMIT}:{STEP_LIMIT - 1}] range."
            )
    first = sum(offset * stride for offset, stride in zip(offsets, strides, strict=True))
    start = buffer.offset + first
    view = replace(buffer, offset=start, sizes=tuple(sizes), strides=tuple(strides))
    (low, high), (least, most) = view.extent, buffer.extent
    if view.elements and not (least <= low and high <= most):
        size, zero = view.itemsize, buffer.first_address
        raise SequenceError(
            f"out of bounds access in buffer, for index {(low - zero) // size} to "
            f"{(high - zero) // size - 1}: it has elements {(least - zero) // size} to "
            f"{(most - zero) // size - 1}"
        )
    return view


def nd_descriptors(
    mover: MoverConfig,
    view: MemRef,
    acquire: Acquire | None = None,
    release: Release | None = None,
) -> list[BufferDescriptor]:
    """The descriptors with which a DRAM mover walks `view`: one where its loops suffice.

    The first acquires, the last releases.

    Raises
    ------
    SequenceError
        The mover does not reach DRAM.
    MappingError
        The walk is beyond it.
    """
    if mover.is_scratchpad:
        raise SequenceError(f"dma_memcpy_nd: {mover.name} does not reach DRAM")
    walks = [lower(mover, piece) for piece in slices(mover, view)]
    walks[0] = locked(walks[0], acquire=acquire)
    walks[-1] = locked(walks[-1], release=release)
    return walks


def gated_copy(
    config: AcceleratorConfig,
    source: MemRef | ScratchpadAddress,
    target: MemRef | ScratchpadAddress,
    acquire: Acquire | None,
    release: Release | None,
) -> tuple[list[Step], str]:
    """The tasks of a copy whose scratchpad end acquires and releases, and the name of its sink.

    A piece's task at the scratchpad comes before that at DRAM.

    Raises
    ------
    SequenceError
        Not one end is in the scratchpad and one in DRAM.
    MappingError
        As :func:`~weft.sw.transfer.send_steps`.
    """
    if isinstance(source, MemRef) and isinstance(target, ScratchpadAddress):
        pair = DmaPair.find(config, "mm2s")
        steps = send_steps(config, pair, source, target)
        steps = [step for two in zip(steps[1::2], steps[::2], strict=True) for step in two]
        sink = pair.scratchpad.name
    elif isinstance(source, ScratchpadAddress) and isinstance(target, MemRef):
        pair = DmaPair.find(config, "s2mm")
        steps = recv_steps(config, pair, source, target)
        sink = pair.dram.name
    else:
        raise SequenceError("memcpy: one end must be in the scratchpad and one in DRAM")
    gated = [index for index, (mover, _) in enumerate(steps) if mover == pair.scratchpad.name]
    for index, first, last in (
        (gated[0], acquire, None),
        (gated[-1], None, release),
    ):
        mover, walk = steps[index]
        steps[index] = mover, locked(walk, first, last)
    return steps, sink
