"""Where the operands of a product stand in the scratchpad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..hw.config import AcceleratorConfig, MoverConfig
from .errors import MappingError

__all__ = ["Placement", "Region", "bound_mover"]


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
    """The regions that tiles of A, B and D (which C shares) use in turn.

    The tiles of an operand go round its regions: with two of them one is filled, or emptied, while
    the array works on the other.
    """

    a: tuple[Region, ...]
    b: tuple[Region, ...]
    d: tuple[Region, ...]

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


def bound_mover(config: AcceleratorConfig, port: str) -> MoverConfig:
    """The mover at an array port; raises `MappingError` where there is none."""
    mover = config.bound_to(port)
    if mover is None:
        raise MappingError(f"configuration {config.name} has no mover for {port}")
    return mover


def _reaches(config: AcceleratorConfig, **parts: int) -> bool:
    """Whether the operands' movers can each work in such a fraction of the banks."""
    memory = config.memory
    ports = {"a": "a", "b": "b", "c": "d", "d": "d"}
    return all(
        memory.banks // parts[operand] in memory.groups
        and bound_mover(config, f"array.{port}").reach <= memory.banks // parts[operand]
        for port, operand in ports.items()
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
