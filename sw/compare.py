"""Two pieces of memory compared by the device: two reads that meet in the stream switch."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

from ..hw.config import AcceleratorConfig, MoverConfig
from .blocked import beat_bytes, contiguous
from .descriptor import BufferDescriptor
from .errors import SequenceError
from .lower import lower
from .memref import MemRef
from .transfer import ScratchpadAddress, Step, joined

__all__ = ["compare_steps"]


def compare_steps(
    config: AcceleratorConfig,
    first: MemRef | ScratchpadAddress,
    second: MemRef | ScratchpadAddress,
    nbytes: int | None = None,
) -> tuple[list[Step], str]:
    """The two tasks that compare the bytes of `first`, in the order of its walk, with `second`'s.

    Parameters
    ----------
    first, second
        In DRAM, or a place in the scratchpad.
    nbytes
        Between two places in the scratchpad, which do not say it; what is read there is whole
        beats.

    Returns
    -------
    list, str
        The tasks, `first`'s and `second`'s, and the name of the mover whose record has the result.

    Raises
    ------
    SequenceError
        There are no movers for it; `nbytes` is missing, not whole beats, or given where an end in
        DRAM says it.
    MappingError
        A walk takes more than one descriptor.
    """
    places = (first, second)
    ends = _movers(config, *places)
    known = [place.nbytes for place in places if isinstance(place, MemRef)]
    if bool(known) != (nbytes is None):
        text = "an end in DRAM says how much is compared, and nothing else does"
        raise SequenceError(f"compare: nbytes = {nbytes}: {text}")
    comparer = next(mover for mover in ends if mover.compares)
    steps = []
    for mover, other, place in zip(ends, ends[::-1], places, strict=True):
        walk = joined(_walk(config, mover, place, nbytes or known[0]), mover, other)
        if mover is comparer:
            walk = replace(walk, extensions=("compare",), record=1)
        steps.append((mover.name, walk))
    return steps, comparer.name


def _movers(
    config: AcceleratorConfig, first: MemRef | ScratchpadAddress, second: MemRef | ScratchpadAddress
) -> tuple[MoverConfig, MoverConfig]:
    """Two sources on the switch, one of which compares."""
    kinds = ["mm2s" if isinstance(place, MemRef) else "read" for place in (first, second)]
    for one, other in permutations(map(config.mover, config.switch_sources), 2):
        if [one.kind, other.kind] == kinds and (one.compares or other.compares):
            return one, other
    raise SequenceError(
        f"compare takes a {kinds[0]} and a {kinds[1]} mover on the switch, one of them with the "
        f"extension 'compare', and configuration {config.name} lacks them"
    )


def _walk(
    config: AcceleratorConfig, mover: MoverConfig, place: MemRef | ScratchpadAddress, nbytes: int
) -> BufferDescriptor:
    """One descriptor that reads `nbytes` at `place`."""
    if isinstance(place, MemRef):
        return lower(mover, place)
    beat = beat_bytes(config.memory, mover)
    if nbytes <= 0 or nbytes % beat:
        text = f"must be a positive multiple of the {beat} bytes of a beat of {mover.name}"
        raise SequenceError(f"compare: nbytes = {nbytes}: {text}")
    return contiguous(config.memory, mover, base=place.offset, length=nbytes)
