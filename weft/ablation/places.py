"""Where the operands of a pass stand: side by side over all banks, or where they meet least."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from ..hw.config import ARRAY_PORTS, AcceleratorConfig, MoverConfig
from ..sw.array_pass import ArrayPass
from ..sw.conflicts import Stream, predict
from ..sw.descriptor import BufferDescriptor
from ..sw.errors import MappingError
from ..sw.placement import Placement, bound_mover
from ..sw.reach import channel_offsets
from ..sw.regions import Region
from ..sw.transfer import DmaPair

__all__ = ["apart", "beats_a_tile", "interleaved", "together"]

Make = Callable[[Placement], ArrayPass]
"""The pass for a placement; raises `MappingError` where it does not fit."""

Walk = tuple[MoverConfig, BufferDescriptor]

CYCLES = 256
"""Of the traffic that are modelled, or fewer where the array could be done in fewer."""


def interleaved(config: AcceleratorConfig) -> tuple[int, int]:
    """Index and banks of the mode that interleaves over the most banks."""
    group = max(config.memory.groups)
    return config.memory.groups.index(group), group


def together(config: AcceleratorConfig, make: Make) -> tuple[Placement, int]:
    """One operand behind the other in the most interleaved mode; and where the last one ends.

    Raises
    ------
    MappingError
        As `make`, or they do not fit.
    """
    memory = config.memory
    mode, group = interleaved(config)
    whole = Region(base=0, size=memory.bytes, mode=mode, group=group)
    loose = make(Placement(a=(whole,), b=(whole,), d=(whole,)))
    row = group * memory.word_bytes
    regions, base = [], 0
    for ends in _walks(config, loose):
        regions.append(replace(whole, base=base, size=memory.bytes - base))
        base += -(-max(_end(config, mover, walk) for mover, walk in ends) // row) * row
    if base > memory.bytes:
        raise MappingError(f"operands of {base} bytes in a scratchpad of {memory.bytes}")
    a, b, d = regions
    return Placement(a=(a,), b=(b,), d=(d,)), base


def apart(config: AcceleratorConfig, make: Make) -> Placement:
    """The placement, of those in any modes, in which the model of the crossbar takes most steps, or
    as many with the fewest conflicts.

    Raises
    ------
    MappingError
        The pass fits none.
    """
    found: list[tuple[tuple[int, int], Placement]] = []
    for placement in _candidates(config, make):
        try:
            work = make(placement)
        except MappingError:
            continue
        found.append((_modelled(config, work), placement))
    if not found:
        raise MappingError("the operands fit no placement")
    return max(found, key=lambda choice: choice[0])[1]


def beats_a_tile(work: ArrayPass) -> int:
    """Steps of the array for a tile of the result."""
    walk = work.streams["array.a"]
    return math.prod(walk.bounds[: walk.mark_level + 1])


def _candidates(config: AcceleratorConfig, make: Make) -> Iterator[Placement]:
    yield from _own_banks(config)
    for placement in Placement.alternatives(config):
        if len(placement.a) == len(placement.b) == len(placement.d) == 1:
            yield placement
    yield together(config, make)[0]


def _own_banks(config: AcceleratorConfig) -> Iterator[Placement]:
    """Banks of its own for every operand: half of them for D, or for A, of which a stride leaves it
    every other bank."""
    memory = config.memory
    reach = max(mover.reach for mover in config.movers if mover.bind in ARRAY_PORTS)
    for a, b, d in (((0, 4), (1, 4), (1, 2)), ((0, 2), (2, 4), (3, 4))):
        groups = [memory.banks // parts for _, parts in (a, b, d)]
        if not all(reach <= group and group in memory.groups for group in groups):
            continue
        regions = [
            Region(
                base=index * memory.bytes // parts,
                size=memory.bytes // parts,
                mode=memory.groups.index(group),
                group=group,
            )
            for (index, parts), group in zip((a, b, d), groups, strict=True)
        ]
        yield Placement(**{name: (region,) for name, region in zip("abd", regions, strict=True)})


def _modelled(config: AcceleratorConfig, work: ArrayPass) -> tuple[int, int]:
    """Steps; and conflicts, negative."""
    steps = beats_a_tile(work)
    streams = [
        Stream(
            mover=bound_mover(config, port).name,
            walk=walk,
            interval=1 if port in ("array.a", "array.b") else steps,
        )
        for port, walk in work.streams.items()
    ]
    names = [stream.mover for stream in streams]
    found = predict(
        config,
        streams,
        cycles=min(CYCLES, work.steps),
        in_step=names,
        fill_priority=config.memory.fill_priority,
    )
    return found.steps, -sum(found.movers.values())


def _walks(config: AcceleratorConfig, work: ArrayPass) -> Iterator[list[Walk]]:
    """Who goes where in the regions of A, B and D.

    Of A and B that is what is loaded: a guarded walk of A goes farther, but accesses no more.
    """
    load, store = (DmaPair.find(config, kind).scratchpad for kind in ("mm2s", "s2mm"))
    moves = ((load, work.load_a), (load, work.load_b), (load, work.load_c), (store, work.store))
    a, b, c, d = [(mover, move.scratchpad) for mover, move in moves if move is not None]
    array = [(bound_mover(config, port), work.streams[port]) for port in ("array.c", "array.d")]
    yield from ([a], [b], [c, d, *array])


def _end(config: AcceleratorConfig, mover: MoverConfig, walk: BufferDescriptor) -> int:
    """Behind the last byte that `mover` touches; no stride is negative."""
    rows = sum((b - 1) * s for b, s in zip(walk.bounds, walk.strides, strict=True))
    last = max(channel_offsets(mover.spatial_bounds, walk.spatial_strides))
    return walk.base + rows + last + config.memory.word_bytes
