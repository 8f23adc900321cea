"""What a memory port must do with a BD, from the definitions: which words each row touches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from weft.hw.bus.fault import FaultCode
from weft.hw.config import MemoryConfig

from . import agu

__all__ = ["Task", "touched"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One BD of a scratchpad mover; strides in bytes, loop and dimension 0 innermost."""

    base: int
    bounds: tuple[int, ...]
    strides: tuple[int, ...]
    spatial_strides: tuple[int, ...]
    mode: int = 0
    pad: int = 0
    mark_level: int = 0

    @property
    def addresses(self) -> list[int]:
        """Byte address of every row."""
        return [int(row) for row in agu.rows(self.bounds, self.strides, self.base)]

    @property
    def marks(self) -> list[bool]:
        return [bool(mark) for mark in agu.marks(self.bounds, self.mark_level)]


def touched(
    memory: MemoryConfig, spatial_bounds: Sequence[int], reach: int, task: Task
) -> Iterator[list[tuple[int, int] | None]]:
    """Of every row, bank and row of each channel's word, or None if it must not be accessed.

    A row whose own address lies outside the scratchpad takes all its channels with it.
    """
    group = memory.groups[task.mode]
    for base in task.addresses:
        addresses = agu.channel_addresses(spatial_bounds, task.spatial_strides, base)
        yield [
            agu.locate(memory, address // memory.word_bytes, group)
            if 0 <= base < memory.bytes
            and agu.flaw(memory, address, group, reach, channel) == FaultCode.NONE
            else None
            for channel, address in enumerate(addresses)
        ]
