"""Where the operands of a matrix product lie, in DRAM and in the scratchpad.

A lies in the scratchpad as [M/mu][K/ku] tiles of mu x ku operands, B as [K/ku][N/nu] tiles of
ku x nu, D as [M/mu][N/nu] tiles of mu x nu accumulators. An operand that lies transposed in DRAM
lies so in the scratchpad, A as [K/ku][M/mu] tiles of ku x mu, B as [N/nu][K/ku] tiles of nu x ku,
and its mover's transposer turns each tile. C is loaded where D will be written: the array reads a
tile of C before it can write that tile of D. E lies as D, in tiles of mu x nu bytes, and S as one
row of parameters, nu columns a tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..hw.config import PARAMETER_BITS, AcceleratorConfig, ArrayConfig
from .blocked import BlockedLayout, beat_bytes, spread_pitch
from .errors import MappingError
from .placement import Placement, Region, bound_mover
from .transfer import DmaPair

__all__ = ["GemmForm", "GemmLayouts", "TileShape"]


@dataclass(frozen=True, kw_only=True)
class GemmForm:
    """How the operands lie in DRAM: row after row, or `transposed_a`, `transposed_b`.

    With `row_c`, C is one row, which is added to every row of the result.
    """

    transposed_a: bool = False
    transposed_b: bool = False
    row_c: bool = False


@dataclass(frozen=True, kw_only=True)
class TileShape:
    """Extents of a tile, in elements."""

    m: int
    n: int
    k: int


class GemmLayouts:
    """The layouts of a tile's operands, one for each region of the placement.

    Parameters
    ----------
    config
        A system with an array and a DMA.
    placement
        Where tiles stand; by default :meth:`Placement.single`.
    form
        How the operands lie.

    Raises
    ------
    MappingError
        The configuration lacks one of them, or the form asks for an extension that a mover lacks.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        placement: Placement | None = None,
        form: GemmForm | None = None,
    ) -> None:
        if config.array is None or config.dma is None:
            raise MappingError(f"configuration {config.name} has no array with a DMA to feed it")
        self.config = config
        self.array: ArrayConfig = config.array
        self.beat = config.dma.data_bytes
        self.operand = config.array.operand_bits // 8
        self.accumulator = config.array.accumulator_bits // 8
        self.placement = placement or Placement.single(config)
        self._ends = [DmaPair.find(config, kind).scratchpad for kind in ("mm2s", "s2mm")]
        self._narrow_rows: dict[tuple[int, int], list[int]] = {}
        self.form = form or GemmForm()
        for operand in "ab":
            if self.transposed(operand):
                self._require(operand, "transposer", f"{operand} lies transposed")
        if self.form.row_c:
            self._require("c", "broadcaster", "c is one row")
            self._require("c", "channel_enable", "c is one row")

    def layout_a(self, shape: TileShape, region: int = 0) -> BlockedLayout:
        tile, matrix = (self.array.mu, self.array.ku), (shape.m, shape.k)
        return self._operand_layout("a", self.placement.a[region], tile, matrix)

    def layout_b(self, shape: TileShape, region: int = 0) -> BlockedLayout:
        tile, matrix = (self.array.ku, self.array.nu), (shape.k, shape.n)
        return self._operand_layout("b", self.placement.b[region], tile, matrix)

    def layout_d(self, shape: TileShape, region: int = 0) -> BlockedLayout:
        rows, width = self.array.mu, self.array.nu * self.accumulator
        return self._layout(
            self.placement.d[region], "d", rows, width, shape.m, shape.n * self.accumulator
        )

    def layout_row_c(self, shape: TileShape, region: int = 0) -> BlockedLayout:
        return self.row_c_behind(self.layout_d(shape, region), shape.n)

    def row_c_behind(self, d: BlockedLayout, n: int) -> BlockedLayout:
        """Of C where it is one row: behind D, a piece for each column of tiles.

        The first channels of the array's mover read a piece; so it begins where they reach.
        """
        unit = max(bound_mover(self.config, "array.c").reach, 1) * self.config.memory.word_bytes
        width = self.array.nu * self.accumulator
        whole = math.lcm(self.beat, width)
        return BlockedLayout(
            base=d.base + -(-d.bytes // unit) * unit,
            mode=d.mode,
            tile_rows=1,
            tile_row_bytes=width,
            tile_pitch=-(-width // unit) * unit,
            tiles_down=1,
            tiles_across=-(-n * self.accumulator // whole) * whole // width,
        )

    @property
    def row_c_channels(self) -> int:
        """The channels that read a piece of a C of one row."""
        bounds = bound_mover(self.config, "array.c").spatial_bounds
        return (1 << math.prod(bounds[:-1])) - 1

    def layout_e(self, shape: TileShape, region: int = 0) -> BlockedLayout:
        rows, width = self.array.mu, self.array.nu * self.operand
        return self._layout(
            self.placement.e[region], "e", rows, width, shape.m, shape.n * self.operand
        )

    def layout_s(self, shape: TileShape, region: int = 0) -> BlockedLayout:
        column = PARAMETER_BITS // 8
        return self._layout(
            self.placement.s[region], "s", 1, self.array.nu * column, 1, shape.n * column
        )

    def walk_s(
        self, shape: TileShape, region: int, *, across: int, again: int
    ) -> tuple[BlockedLayout, tuple[tuple[int, int], ...]]:
        """S, and the loops over its beats: `across` columns of tiles, `again` and again."""
        s = self.layout_s(shape, region)
        beat = beat_bytes(self.config.memory, bound_mover(self.config, "array.s"))
        return s, ((s.tile_row_bytes // beat, beat), (across, s.tile_pitch), (again, 0))

    def fits(self, shape: TileShape) -> bool:
        """Whether the tile's operands and results fit their regions, as far as these are there."""
        last = self.layout_row_c(shape) if self.form.row_c else self.layout_d(shape)
        placement = self.placement
        return (
            self.layout_a(shape).bytes <= placement.a[0].size
            and self.layout_b(shape).bytes <= placement.b[0].size
            and self.sums_fit(last)
            and (not placement.e or self.layout_e(shape).bytes <= placement.e[0].size)
            and (not placement.s or self.layout_s(shape).bytes <= placement.s[0].size)
        )

    def sums_fit(self, last: BlockedLayout) -> bool:
        """Whether D, or the row of C behind it, ends in D's region; so it does if there is none."""
        place = self.placement.d[0]
        return not place.size or last.base + last.bytes <= place.base + place.size

    def transposed(self, operand: str) -> bool:
        """Whether ``a`` or ``b`` lies so in DRAM."""
        form = self.form
        return {"a": form.transposed_a, "b": form.transposed_b}.get(operand, False)

    def _require(self, operand: str, part: str, why: str) -> None:
        mover = bound_mover(self.config, f"array.{operand}")
        if part not in mover.extensions and not getattr(mover, part, False):
            raise MappingError(
                f"{why}, and mover {mover.name} of configuration {self.config.name} has no {part}"
            )

    def _operand_layout(
        self, operand: str, region: Region, tile: tuple[int, int], matrix: tuple[int, int]
    ) -> BlockedLayout:
        """Of A or B: tiles of rows x columns operands for a matrix, which may lie transposed."""
        if self.transposed(operand):
            tile, matrix = (tile[1], tile[0]), (matrix[1], matrix[0])
        size = self.operand
        return self._layout(region, operand, tile[0], tile[1] * size, matrix[0], matrix[1] * size)

    def _layout(
        self, region: Region, port: str, rows: int, width: int, height: int, row_bytes: int
    ) -> BlockedLayout:
        """Tiles of `rows` x `width` bytes for a matrix of `height` x `row_bytes`.

        Rows are padded to whole beats of the DMA, or to a part of one where the DMA can put several
        rows of a tile into a beat. A beat that spans several tiles meets the same
        banks in each of them, and so do all beats of a row, unless the pitch shifts them. (Rows of
        one beat need no shift: the channels' FIFOs let several rows be under way.) So where rows
        are longer, and the region has room, tiles are spread. Where tiles are loaded while the
        array works there is no choice: beats that queue at one bank would keep the array from it.

        For the same reason tiles below one another do not begin on the same bank of a group that is
        larger than a tile: who walks down would not leave its banks to others before the next row.
        """
        whole = self._whole_row(rows, width, row_bytes)
        down, across = -(-height // rows), -(-row_bytes // whole) * whole // width
        tile = rows * width
        mover = bound_mover(self.config, f"array.{port}")
        padded = spread_pitch(self.config.memory, mover, tile=tile, row=width, group=region.group)
        spread = width < self.beat < across * width
        roomy = len(self.placement.a) > 1 or down * across * padded <= region.size
        pitch = padded if spread and roomy else tile
        around = region.group * self.config.memory.word_bytes
        stays = tile < around and across * pitch % around == 0
        return BlockedLayout(
            base=region.base,
            mode=region.mode,
            tile_rows=rows,
            tile_row_bytes=width,
            tile_pitch=pitch,
            tiles_down=down,
            tiles_across=across,
            row_gap=tile if stays and down > 1 else 0,
        )

    def _whole_row(self, rows: int, width: int, row_bytes: int) -> int:
        """Bytes of which a row has a whole number."""
        if (rows, width) not in self._narrow_rows:
            self._narrow_rows[rows, width] = [
                tiles * width
                for tiles in range(1, -(-self.beat // width))
                if self._share_beats(rows, width, tiles)
            ]
        whole = math.lcm(self.beat, width)
        return next((row for row in self._narrow_rows[rows, width] if row >= row_bytes), whole)

    def _share_beats(self, rows: int, width: int, tiles: int) -> bool:
        """Whether the DMA can put several rows of so many tiles into a beat, and take them out."""
        narrow = BlockedLayout(
            base=0,
            mode=0,
            tile_rows=rows,
            tile_row_bytes=width,
            tile_pitch=rows * width,
            tiles_down=1,
            tiles_across=tiles,
        )
        return all(narrow.suits(self.config.memory, mover) for mover in self._ends)
