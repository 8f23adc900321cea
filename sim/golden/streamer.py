"""What a memory port must do with a BD, from the definitions: which words each row touches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from weft.hw.bus.fault import FaultCode
from weft.hw.config import MemoryConfig

from . import agu

__all__ = ["Guard", "Task", "faulty", "touched"]


@dataclass(frozen=True, kw_only=True)
class Guard:
    """An affine window of a scratchpad mover.

    A channel exists iff ``0 <= offset + sum(index * stride) + coefficient * i < limit``, with i its
    index along spatial `dimension`.
    """

    offset: int
    limit: int
    strides: tuple[int, ...]
    coefficient: int = 0
    dimension: int = 0


@dataclass(frozen=True, kw_only=True)
class Task:
    """One BD of a scratchpad mover; strides in bytes, loop and dimension 0 innermost.

    ``channels`` has a bit for each that is enabled, ``byte_mask`` one for each byte of a word that
    is written.
    """

    base: int
    bounds: tuple[int, ...]
    strides: tuple[int, ...]
    spatial_strides: tuple[int, ...]
    guards: tuple[Guard, ...] = ()
    mode: int = 0
    pad: int = 0
    mark_level: int = 0
    channels: int = agu.ALL
    byte_mask: int = agu.ALL

    @property
    def addresses(self) -> list[int]:
        """Byte address of every row."""
        return [int(row) for row in agu.rows(self.bounds, self.strides, self.base)]

    @property
    def marks(self) -> list[bool]:
        return [bool(mark) for mark in agu.marks(self.bounds, self.mark_level)]

    @property
    def windows(self) -> list[list[agu.Window]]:
        """Of every row, each guard's window over the channels."""
        values = [agu.rows(self.bounds, guard.strides, guard.offset) for guard in self.guards]
        return [
            [
                agu.Window(
                    value=int(value[row]),
                    limit=guard.limit,
                    coefficient=guard.coefficient,
                    dimension=guard.dimension,
                )
                for guard, value in zip(self.guards, values, strict=True)
            ]
            for row in range(len(self.addresses))
        ]


def touched(
    memory: MemoryConfig, spatial_bounds: Sequence[int], reach: int, task: Task
) -> Iterator[list[tuple[int, int] | None]]:
    """Of every row, bank and row of each channel's word, or None if it must not be accessed."""
    group = memory.groups[task.mode]
    flaws = _flaws(memory, spatial_bounds, reach, task)
    for base, windows, codes in zip(task.addresses, task.windows, flaws, strict=True):
        addresses = agu.channel_addresses(spatial_bounds, task.spatial_strides, base)
        exists = agu.existing(spatial_bounds, windows, task.channels)
        yield [
            agu.locate(memory, address // memory.word_bytes, group)
            if there and code == FaultCode.NONE
            else None
            for address, there, code in zip(addresses, exists, codes, strict=True)
        ]


def faulty(
    memory: MemoryConfig, spatial_bounds: Sequence[int], reach: int, task: Task
) -> list[bool]:
    """Of every row, whether a channel that exists must not access its address."""
    return [any(codes) for codes in _flaws(memory, spatial_bounds, reach, task)]


def _flaws(
    memory: MemoryConfig, spatial_bounds: Sequence[int], reach: int, task: Task
) -> Iterator[list[FaultCode]]:
    group = memory.groups[task.mode]
    for base, windows in zip(task.addresses, task.windows, strict=True):
        strides = task.spatial_strides
        yield agu.flaws(memory, spatial_bounds, strides, base, group, reach, windows, task.channels)
