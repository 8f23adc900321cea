"""Descriptors of a sequence's copies, in the units and the complaints of the mlir-aie toolchain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..hw.config import AcceleratorConfig, MoverConfig
from .blocked import beat_bytes, contiguous
from .descriptor import BufferDescriptor
from .errors import SequenceError
from .locks import Acquire, Release, locked
from .lower import lower, slices
from .memref import MemRef
from .transfer import DmaPair, ScratchpadAddress, Step, joined, recv_steps, send_steps

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
    route: Sequence[str] = (),
    padding: Sequence[tuple[int, int]] = (),
    pad: int = 0,
) -> list[BufferDescriptor]:
    """The descriptors with which a DRAM mover walks `view`: one where its loops suffice.

    The first acquires, the last releases; `route` is that of each. With `padding`, as
    :func:`~weft.sw.lower.lower` takes it, it has to be one.

    Raises
    ------
    SequenceError
        The mover does not reach DRAM.
    MappingError
        The walk is beyond it.
    """
    if mover.is_scratchpad:
        raise SequenceError(f"dma_memcpy_nd: {mover.name} does not reach DRAM")
    if padding:
        walks = [lower(mover, view, padding=padding, pad=pad)]
    else:
        walks = [lower(mover, piece) for piece in slices(mover, view)]
    walks = [replace(walk, route=tuple(route)) for walk in walks]
    walks[0] = locked(walks[0], acquire=acquire)
    walks[-1] = locked(walks[-1], release=release)
    return walks


def gated_copy(
    config: AcceleratorConfig,
    source: MemRef | ScratchpadAddress,
    target: MemRef | ScratchpadAddress,
    acquire: Acquire | None,
    release: Release | None,
    nbytes: int | None = None,
) -> tuple[list[Step], str]:
    """The tasks of a copy that acquires where it begins and releases where it ends.

    Both happen at the scratchpad's mover if one end is in DRAM and one in the scratchpad; else the
    source's mover acquires and the sink's releases, and the two meet in the switch. So a lock
    at the scratchpad guards what lies there; a source in DRAM reads ahead of it. A piece's task at
    the scratchpad comes before that at DRAM.

    Parameters
    ----------
    nbytes
        Between two places in the scratchpad, which do not say it; whole beats.

    Returns
    -------
    list, str
        The tasks, and the name of the sink's mover.

    Raises
    ------
    SequenceError
        There are no movers for this path; `nbytes` is missing, not whole beats, or given where the
        ends say it; the ends differ in length.
    MappingError
        As :func:`~weft.sw.transfer.send_steps`.
    """
    if nbytes is not None and (isinstance(source, MemRef) or isinstance(target, MemRef)):
        raise SequenceError(f"memcpy: nbytes = {nbytes}: the end in DRAM says how much moves")
    if isinstance(source, MemRef) and isinstance(target, ScratchpadAddress):
        pair = DmaPair.find(config, "mm2s")
        steps = send_steps(config, pair, source, target)
        steps = [step for two in zip(steps[1::2], steps[::2], strict=True) for step in two]
        first = last = sink = pair.scratchpad.name
    elif isinstance(source, ScratchpadAddress) and isinstance(target, MemRef):
        pair = DmaPair.find(config, "s2mm")
        steps = recv_steps(config, pair, source, target)
        first = last = pair.scratchpad.name
        sink = pair.dram.name
    else:
        steps, first, sink = _direct(config, source, target, nbytes)
        last = sink
    for mover, gates in ((first, (acquire, None)), (last, (None, release))):
        own = [index for index, (name, _) in enumerate(steps) if name == mover]
        index = own[0] if gates[0] else own[-1]
        steps[index] = mover, locked(steps[index][1], *gates)
    return steps, sink


def _direct(
    config: AcceleratorConfig,
    source: MemRef | ScratchpadAddress,
    target: MemRef | ScratchpadAddress,
    nbytes: int | None,
) -> tuple[list[Step], str, str]:
    """A copy within DRAM or within the scratchpad: its tasks, its source and its sink."""
    kinds = ("mm2s", "s2mm") if isinstance(source, MemRef) else ("read", "write")
    ends = [
        next((m for m in map(config.mover, names) if m.kind == kind), None)
        for kind, names in zip(kinds, (config.switch_sources, config.switch_sinks), strict=True)
    ]
    giver, taker = ends
    if giver is None or taker is None:
        where = "DRAM" if isinstance(source, MemRef) else "the scratchpad"
        raise SequenceError(
            f"memcpy within {where} takes a {kinds[0]} and a {kinds[1]} mover on the switch, and "
            f"configuration {config.name} lacks them"
        )
    steps: list[Step] = []
    for mover, other, place in ((giver, taker, source), (taker, giver, target)):
        if isinstance(place, MemRef):
            walks = [lower(mover, piece) for piece in slices(mover, place)]
        else:
            beat = beat_bytes(config.memory, mover)
            if nbytes is None or nbytes <= 0 or nbytes % beat:
                text = f"must be a positive multiple of the {beat} bytes of a beat of {mover.name}"
                raise SequenceError(f"memcpy: nbytes = {nbytes}: {text}")
            walks = [contiguous(config.memory, mover, base=place.offset, length=nbytes)]
        steps += [(mover.name, joined(walk, mover, other)) for walk in walks]
    if isinstance(source, MemRef) and isinstance(target, MemRef) and source.nbytes != target.nbytes:
        text = f"{source.nbytes} bytes do not fill {target.nbytes}"
        raise SequenceError(f"memcpy: {text}")
    return steps, giver.name, taker.name
