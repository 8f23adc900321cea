"""Where the operands of a product stand in the scratchpad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..hw.config import AcceleratorConfig, MemoryConfig, MoverConfig
from .errors import MappingError
from .reach import bank_of

__all__ = ["Placement", "Region", "bound_mover", "stand_together"]


@dataclass(frozen=True, kw_only=True)
class Region:
    """A piece of the scratchpad's linear address space in one addressing mode."""

    base: int
    size: int
    mode: int
    group: int
    """Banks a group in that mode."""

    def split(self, parts: int) -> tuple[Region, ...]:
        """`parts` pieces of the same size, one after the other on the same banks."""
        size = self.size // parts
        return tuple(
            Region(base=self.base + index * size, size=size, mode=self.mode, group=self.group)
            for index in range(parts)
        )


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

    @property
    def quantized(self) -> Placement:
        """With room for E and its parameters, which D gives up: a quarter, and an eighth."""
        parts = [_divided(region) for region in self.d]
        d, e, s = zip(*parts, strict=True)
        return replace(self, d=d, e=e, s=s)

    @classmethod
    def single(cls, config: AcceleratorConfig) -> Placement:
        """For a product of one tile: all of the scratchpad.

        A and B get a quarter of the banks each and D a half, so that no two of them meet at a bank;
        without such modes (or with movers that cannot reach so) they follow one another in the most
        interleaved mode.
        """
        if not _reaches(config, a=4, b=4, d=2):
            return cls(**{k: (v,) for k, v in zip("abd", _followers(config), strict=True)})
        return cls(a=(_share(config, 4, 0),), b=(_share(config, 4, 1),), d=(_share(config, 2, 1),))

    @classmethod
    def double(cls, config: AcceleratorConfig) -> Placement:
        """For products of many tiles: two regions an operand.

        The array takes all that the banks under A and B give, so what is loaded for its next tile
        should stand on others. Of four quarters of the banks B, which changes with every tile, gets
        two to itself; A, which changes with every row of tiles, has one, and D and C, which meet
        the array once in a tile of K, the last.
        """
        if not _reaches(config, a=4, b=4, d=4):
            a, b, d = _followers(config)
            return cls(a=a.split(2), b=b.split(2), d=d.split(2))
        return cls(
            a=_share(config, 4, 0).split(2),
            b=(_share(config, 4, 1), _share(config, 4, 2)),
            d=_share(config, 4, 3).split(2),
        )

    @classmethod
    def alternatives(cls, config: AcceleratorConfig) -> list[Placement]:
        """What is worth trying where any operand may be the one that changes most, or that folds.

        Beside the others: for A two quarters of the banks, or a half, of which a stride leaves it
        every other bank; then a quarter each for B and D. Whatever else came to the banks of A or B
        would cost the array a cycle, for a reader never goes faster than the array. A or B may have
        one region instead of two, for what stays there.
        """
        choices = [cls.single(config), cls.double(config)]
        if not _reaches(config, a=4, b=4, d=4) or not _reaches(config, a=2):
            return choices
        half, quarters = _share(config, 2, 0), [_share(config, 4, index) for index in range(4)]
        b, d = quarters[2], quarters[3]
        choices.append(cls(a=(half,), b=(b,), d=(d,)))
        choices.append(cls(a=(quarters[0],), b=(quarters[1], b), d=d.split(2)))
        for a in ((quarters[0], quarters[1]), half.split(2)):
            choices += [cls(a=a, b=(b,), d=d.split(2)), cls(a=a, b=b.split(2), d=d.split(2))]
        return choices


def bound_mover(config: AcceleratorConfig, port: str) -> MoverConfig:
    """The mover at an array port; raises `MappingError` where there is none."""
    mover = config.bound_to(port)
    if mover is None:
        raise MappingError(f"configuration {config.name} has no mover for {port}")
    return mover


def stand_together(memory: MemoryConfig, regions: Sequence[Region]) -> bool:
    """Whether some of the regions of an operand are on the same banks."""
    groups = set()
    for region in regions:
        word = np.array([region.base // memory.word_bytes])
        groups.add(int(bank_of(memory, region.mode, word)[0]) // region.group)
    return len(groups) < len(regions)


def _divided(region: Region) -> tuple[Region, Region, Region]:
    """Five, two and one eighths."""
    eighth = region.size // 8
    starts, sizes = (0, 5 * eighth, 7 * eighth), (5 * eighth, 2 * eighth, eighth)
    d, e, s = (
        replace(region, base=region.base + start, size=size)
        for start, size in zip(starts, sizes, strict=True)
    )
    return d, e, s


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
