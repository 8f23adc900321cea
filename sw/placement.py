"""Where the operands of a product stand in the scratchpad."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from ..hw.config import AcceleratorConfig, MemoryConfig, MoverConfig
from .blocked import BlockedLayout, beat_bytes, spread_pitch
from .conflicts import Stream
from .errors import MappingError
from .reach import bank_of
from .regions import CYCLES, Operand, Region, Traffic, place, resized
from .repeat import replayed
from .transfer import DmaPair

__all__ = ["Placement", "Region", "banks_of", "bound_mover"]

STEPS = 8
"""Steps a tile of D in the traffic for which operands are placed: fewer are seldom."""

DOUBLE = {"a": (2, 6), "b": (2, 6), "d": (2, 4)}
"""Regions of A, B and D, and what sixteenths of the scratchpad these are.

A and B have room in different halves of the banks, where a beat of theirs leaves every other bank
free, and D across all banks above them.
"""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The regions that tiles of A, B and D (which C shares) use in turn, and those of E and S.

    The tiles of an operand go round its regions: with two of them one is filled, or emptied, while
    the array works on the other.
    """

    a: tuple[Region, ...]
    b: tuple[Region, ...]
    d: tuple[Region, ...]
    e: tuple[Region, ...] = ()
    s: tuple[Region, ...] = ()

    def quantized(self, *, sums: bool) -> Placement:
        """With room for E and its parameters, which D gives up: a quarter, and an eighth.

        Without `sums`, where C, D and partial D's never stand in memory, it gives up all.
        """
        parts = [_divided(region, (5, 2, 1) if sums else (0, 7, 1)) for region in self.d]
        d, e, s = zip(*parts, strict=True)
        return replace(self, d=d, e=e, s=s)

    @classmethod
    def single(cls, config: AcceleratorConfig) -> Placement:
        """For a product of one tile: all of the scratchpad, half of it for D, which C shares."""
        return _sized(config, a=(1, 4), b=(1, 4), d=(1, 8))

    @classmethod
    def double(cls, config: AcceleratorConfig) -> Placement:
        """For products of many tiles: two regions an operand.

        What is loaded, or stored, of one region meets what the array does with the others.
        """
        return _sized(config, **DOUBLE)

    @classmethod
    def splits(cls, config: AcceleratorConfig) -> list[Placement]:
        """What is worth trying for a product: room for one tile of an operand or for two in turn,
        and little, more or most of the scratchpad for A and B, which have as much as each other."""
        return [
            _sized(config, a=(a, share), b=(b, share), d=(d, 16 - 2 * share))
            for share in (6, 4, 2)
            for a, b, d in itertools.product((2, 1), repeat=3)
        ]

    @classmethod
    def alternatives(cls, config: AcceleratorConfig) -> list[Placement]:
        """What is worth trying where any operand may be the one that changes most, or that folds.

        Beside the others: more room for D, and for B one region instead of two, for what stays
        there. And quarters of the banks for B, D, and each region of A, or for both of them a half,
        of which a stride leaves it every other bank: so no operand meets another, but what is
        stored of D meets what is written of it.
        """
        choices = [cls.single(config), cls.double(config)]
        choices += [_sized(config, a=(2, 4), b=b, d=(2, 8)) for b in ((1, 4), (2, 4))]
        if not _reaches(config, a=4, b=4, d=4) or not _reaches(config, a=2):
            return choices
        half, quarters = _share(config, 2, 0), [_share(config, 4, index) for index in range(4)]
        b, d = quarters[2], quarters[3]
        choices.append(cls(a=(half,), b=(b,), d=(d,)))
        choices.append(cls(a=(quarters[0],), b=(quarters[1], b), d=d.split(2)))
        for a in ((quarters[0], quarters[1]), half.split(2)):
            choices += [cls(a=a, b=(b,), d=d.split(2)), cls(a=a, b=b.split(2), d=d.split(2))]
        return choices


def _sized(config: AcceleratorConfig, **shares: tuple[int, int]) -> Placement:
    """So many regions of each operand, and what sixteenths of the scratchpad these are."""
    memory, found = config.memory, _chosen(config)
    sizes = {
        name: (parts, memory.bytes // 16 * share // parts)
        for name, (parts, share) in shares.items()
    }
    placed = None if found is None else resized(memory, found, sizes)
    if placed is None:
        # One after the other.
        regions = zip("abd", _followers(config), strict=True)
        placed = {name: region.split(sizes[name][0]) for name, region in regions}
    return Placement(**placed)


@cache
def _chosen(config: AcceleratorConfig) -> Mapping[str, tuple[Region, ...]] | None:
    """Regions of `DOUBLE` where operands meet least; None where no tile, or no group, is as small.

    The traffic of a product is modelled (:func:`~weft.sw.regions.place`): what the array does, and
    what is loaded and stored meanwhile.
    """
    memory = config.memory
    movers = {port: bound_mover(config, f"array.{port}") for port in "abcd"}
    load, store = (DmaPair.find(config, kind).scratchpad for kind in ("mm2s", "s2mm"))
    moved = max(load.channels, store.channels)
    users = {"a": (movers["a"],), "b": (movers["b"],), "d": (movers["c"], movers["d"])}
    steps = {"a": 1, "b": 1, "d": STEPS}
    operands = {
        name: Operand(
            size=memory.bytes // 16 * DOUBLE[name][1] // DOUBLE[name][0],
            parts=DOUBLE[name][0],
            reach=max(mover.reach for mover in used),
            words=sum(mover.channels for mover in used) / steps[name],
            high_priority=any(mover.high_priority for mover in used),
            moved=moved,
        )
        for name, used in users.items()
    }

    def layout(name: str, region: Region) -> BlockedLayout:
        """Tiles in two rows of as many as two beats of the DMA meet."""
        mover, array = users[name][-1], config.array
        assert array is not None
        rows = array.ku if name == "b" else array.mu
        tile = mover.channels * memory.word_bytes
        found = BlockedLayout(
            base=region.base,
            mode=region.mode,
            tile_rows=rows,
            tile_row_bytes=tile // rows,
            tile_pitch=spread_pitch(memory, mover, tile=tile, row=tile // rows, group=region.group),
            tiles_down=2,
            tiles_across=-(-2 * beat_bytes(memory, load) // (tile // rows)),
        )
        if found.bytes > region.size:
            raise MappingError(f"{region.size} bytes hold too few tiles of {name}")
        return found

    def traffic(placed: Mapping[str, tuple[Region, ...]]) -> Iterator[Traffic]:
        work = []
        for name, used in users.items():
            here = layout(name, placed[name][0])
            loops = ((here.tiles_across, here.tile_pitch), (2, here.row_pitch), (CYCLES, 0))
            work += [
                Stream(
                    mover=mover.name,
                    walk=replayed(mover, here.by_tiles(memory, mover, loops)),
                    interval=steps[name],
                )
                for mover in used
            ]
        names = [stream.mover for stream in work]

        def move(mover: MoverConfig, name: str) -> Stream:
            walk = layout(name, placed[name][1]).by_rows(memory, mover)
            again = replace(walk, bounds=(*walk.bounds, CYCLES), strides=(*walk.strides, 0))
            return Stream(mover=mover.name, walk=again)

        for name in operands:
            yield Traffic(streams=[*work, move(load, name), move(store, "d")], in_step=names)

    try:
        return place(config, operands, traffic)
    except MappingError:
        return None


def bound_mover(config: AcceleratorConfig, port: str) -> MoverConfig:
    """The mover at an array port; raises `MappingError` where there is none."""
    mover = config.bound_to(port)
    if mover is None:
        raise MappingError(f"configuration {config.name} has no mover for {port}")
    return mover


def banks_of(memory: MemoryConfig, region: Region) -> range:
    """The banks on which it stands."""
    ends = np.array([region.base, region.base + max(region.size, 1) - 1]) // memory.word_bytes
    first, last = (int(bank) // region.group for bank in bank_of(memory, region.mode, ends))
    return range(first * region.group, (last + 1) * region.group)


def _divided(region: Region, eighths: Sequence[int]) -> list[Region]:
    """So many eighths of it, one after the other."""
    eighth = region.size // 8
    starts = itertools.accumulate(eighths, initial=0)
    return [
        replace(region, base=region.base + start * eighth, size=count * eighth)
        for start, count in zip(starts, eighths, strict=False)
    ]


def _reaches(config: AcceleratorConfig, **parts: int) -> bool:
    """Whether the operands' movers can each work in such a fraction of the banks."""
    memory = config.memory
    assert config.array is not None
    regions = {"a": "a", "b": "b"}
    ports = {p: regions.get(p[-1], "d") for p in config.array.ports}
    return all(
        memory.banks // parts[operand] in memory.groups
        and bound_mover(config, port).reach <= memory.banks // parts[operand]
        for port, operand in ports.items()
        if operand in parts
    )


def _share(config: AcceleratorConfig, parts: int, index: int) -> Region:
    """One of `parts` groups of banks."""
    memory = config.memory
    group, size = memory.banks // parts, memory.bytes // parts
    return Region(base=index * size, size=size, mode=memory.groups.index(group), group=group)


def _followers(config: AcceleratorConfig) -> Sequence[Region]:
    """A quarter, a quarter and a half of the addresses, on all banks."""
    memory = config.memory
    group, quarter = max(memory.groups), memory.bytes // 4
    return [
        Region(
            base=base * quarter, size=size * quarter, mode=memory.groups.index(group), group=group
        )
        for base, size in ((0, 1), (1, 1), (2, 2))
    ]
