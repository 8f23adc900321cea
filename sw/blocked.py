"""Matrices in the scratchpad: blocked layouts, and the descriptors of a DMA's scratchpad end.

A byte stream of rows (each padded to whole beats) on one side, tiles on the other: the scratchpad
mover's loops and spatial strides are the layout change, so it costs no pass over the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..hw.config import MemoryConfig, MoverConfig
from .descriptor import BufferDescriptor
from .errors import MappingError
from .reach import channel_offsets

__all__ = [
    "BlockedLayout",
    "affine_strides",
    "beat_bytes",
    "consecutive",
    "contiguous",
    "spread_pitch",
    "spread_words",
]


def beat_bytes(memory: MemoryConfig, mover: MoverConfig) -> int:
    """Bytes of a scratchpad mover's beat."""
    return mover.channels * memory.word_bytes


def consecutive(memory: MemoryConfig, mover: MoverConfig) -> tuple[int, ...]:
    """Spatial strides that put a beat's channels on consecutive words."""
    return affine_strides(mover, lambda channel: channel * memory.word_bytes)


def contiguous(
    memory: MemoryConfig, mover: MoverConfig, *, base: int, length: int
) -> BufferDescriptor:
    """The descriptor that walks ``ceil(length / beat)`` beats of the linear address space."""
    beat = beat_bytes(memory, mover)
    return BufferDescriptor(
        base=base,
        bounds=(-(-length // beat),),
        strides=(beat,),
        spatial_strides=consecutive(memory, mover),
    )


def spread_words(memory: MemoryConfig, mover: MoverConfig, *, row: int) -> int:
    """Words that set a tile apart from the next: as few as the reach of `mover` allows.

    But no fewer than a tile's row of `row` bytes has: a beat of the DMA takes such a row of each.
    """
    unit = max(mover.reach, 1)
    return max(-(-row // (unit * memory.word_bytes)), 1) * unit


def spread_pitch(
    memory: MemoryConfig, mover: MoverConfig, *, tile: int, row: int, group: int
) -> int:
    """Bytes from a tile of `tile` bytes to the next, so that neighbours begin on other banks.

    Between them are :func:`spread_words`, and none where those would not bring a tile's neighbours
    onto more banks of a group.
    """
    words, shift = tile // memory.word_bytes, spread_words(memory, mover, row=row)
    helps = math.gcd(words + shift, group) < math.gcd(words, group)
    return tile + helps * shift * memory.word_bytes


@dataclass(frozen=True, kw_only=True)
class BlockedLayout:
    """A matrix as tiles, in rows of tiles.

    Byte (row, column) of the matrix is byte ``(row % tile_rows) * tile_row_bytes + column %
    tile_row_bytes`` of tile ``(row // tile_rows, column // tile_row_bytes)``.

    Parameters
    ----------
    base, mode
        Byte address of the first tile, and its addressing mode.
    tile_rows, tile_row_bytes
        Shape of a tile.
    tile_pitch
        Bytes from a tile to the one on its right; may exceed a tile.
    tiles_down, tiles_across
        Tiles in the matrix.
    row_gap
        Bytes between the last tile of a row of tiles and the first of the next.
    """

    base: int
    mode: int
    tile_rows: int
    tile_row_bytes: int
    tile_pitch: int
    tiles_down: int
    tiles_across: int
    row_gap: int = 0

    @property
    def row_pitch(self) -> int:
        """Bytes from a tile to the one below."""
        return self.tiles_across * self.tile_pitch + self.row_gap

    @property
    def rows(self) -> int:
        return self.tiles_down * self.tile_rows

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of the matrix, padding included."""
        return self.tiles_across * self.tile_row_bytes

    @property
    def bytes(self) -> int:
        """Scratchpad bytes taken."""
        return self.tiles_down * self.row_pitch

    def by_rows(
        self,
        memory: MemoryConfig,
        mover: MoverConfig,
        *,
        rows: Sequence[tuple[int, int]] | None = None,
        banded: bool = False,
    ) -> BufferDescriptor:
        """The descriptor with which `mover` takes or gives the matrix row after row.

        `rows` are loops of bound and step, innermost first, over those rows that it is to take
        or give, of a matrix of one row of tiles; by default it is all of them. `banded` it takes
        of each row of tiles a beat of every row, then the next beat of every row.

        Raises
        ------
        MappingError
            A row is no whole number of beats, nor are so many rows of a tile one, or a beat's words
            are no affine function of the mover's channels.
        """
        beat, word = beat_bytes(memory, mover), memory.word_bytes
        together = beat // self.row_bytes if self.row_bytes < beat else 1
        if together * self.row_bytes % beat or self.tile_rows % together:
            raise MappingError(
                f"rows of {self.row_bytes} bytes are not whole beats of {beat} ({mover.name})"
            )
        if self.tile_row_bytes % word:
            raise MappingError(
                f"tile rows of {self.tile_row_bytes} bytes are not whole words of {word}"
            )
        if beat % self.tile_row_bytes and self.tile_row_bytes % beat:
            raise MappingError(
                f"tile rows of {self.tile_row_bytes} bytes and beats of {beat} ({mover.name}): "
                "one must be a multiple of the other"
            )

        def place(channel: int) -> int:
            row, column = divmod(channel * word, self.row_bytes)
            tile, inside = divmod(column, self.tile_row_bytes)
            return row * self.tile_row_bytes + tile * self.tile_pitch + inside

        if together > 1:
            along = []
        elif beat < self.tile_row_bytes:
            along = [
                (self.tile_row_bytes // beat, beat),
                (self.tiles_across, self.tile_pitch),
            ]
        else:
            tiles = beat // self.tile_row_bytes
            along = [(self.tiles_across // tiles, tiles * self.tile_pitch)]
        if rows is None:
            down = [
                (self.tile_rows // together, together * self.tile_row_bytes),
                (self.tiles_down, self.row_pitch),
            ]
        elif self.tiles_down == together == 1:
            down = [(bound, step * self.tile_row_bytes) for bound, step in rows]
        else:
            raise MappingError(f"rows {rows} of {self.tiles_down} rows of tiles, {together} a beat")
        loops = [down[0], *along, *down[1:]] if banded else [*along, *down]
        loops = [(bound, stride) for bound, stride in loops if bound != 1]
        return BufferDescriptor(
            base=self.base,
            bounds=tuple(bound for bound, _ in loops),
            strides=tuple(stride for _, stride in loops),
            spatial_strides=affine_strides(mover, place),
            mode=self.mode,
        )

    def suits(self, memory: MemoryConfig, mover: MoverConfig) -> bool:
        """Whether `mover` can walk it by rows."""
        try:
            self.by_rows(memory, mover)
        except MappingError:
            return False
        return True

    def by_tiles(
        self,
        memory: MemoryConfig,
        mover: MoverConfig,
        loops: tuple[tuple[int, int], ...],
        *,
        operator: int = 0,
        extensions: tuple[str, ...] = (),
        channels: int | None = None,
    ) -> BufferDescriptor:
        """The descriptor with which `mover` walks whole tiles, a beat each.

        `loops` are pairs of bound and byte stride, innermost first; loop 0 ends with a mark.
        """
        return BufferDescriptor(
            base=self.base,
            bounds=tuple(bound for bound, _ in loops),
            strides=tuple(stride for _, stride in loops),
            spatial_strides=consecutive(memory, mover),
            mode=self.mode,
            operator=operator,
            extensions=extensions,
            channels=channels,
        )


def affine_strides(mover: MoverConfig, place: Callable[[int], int]) -> tuple[int, ...]:
    """Spatial strides that put channel c at ``place(c)``; raises `MappingError` where none do."""
    strides, step = [], 1
    for bound in mover.spatial_bounds:
        strides.append(place(step) - place(0) if bound > 1 else 0)
        step *= bound
    offsets = channel_offsets(mover.spatial_bounds, strides)
    if offsets != [place(channel) - place(0) for channel in range(mover.channels)]:
        raise MappingError(
            f"the words of a beat are no affine function of {mover.name}'s channels "
            f"{mover.spatial_bounds}"
        )
    return tuple(strides)
