"""How a convolution maps onto the accelerator: layouts, and the loops that are its im2col.

Pure functions of the configuration and the problem. The image stands in the scratchpad as a list of
pixels, as in DRAM: row after row, each pixel its channels in whole K steps of the array. A beat of
A is the same K step of mu neighbouring output pixels, so its channels are `stride` pixels apart;
the loops around it walk the kernel, and guards give zeros where it hangs over the edge. No pixel
stands there twice, and no padding stands anywhere.

Weights are [row][column][channel][filter] in DRAM, the order in which A walks: as a matrix they are
the B of a matrix product, tiles of ku channels x nu filters, and need no transposition. D has
planes of nu filters, so that a pixel's row in a plane follows that of the pixel before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from ..hw.config import AcceleratorConfig
from ..hw.gemm import array_operator
from .blocked import BlockedLayout, affine_strides, beat_bytes
from .convolution import Convolution, Reach
from .descriptor import BufferDescriptor, Guard
from .errors import MappingError
from .gemm_layout import GemmForm, GemmLayouts, TileShape
from .placement import Placement, bound_mover
from .transfer import DmaPair

__all__ = ["ConvMapper", "ConvShape", "ConvTile", "ImageTile"]


@dataclass(frozen=True, kw_only=True)
class ConvShape:
    """Extents of a tile: output rows, columns and filters; rows, columns and channels of the
    kernel."""

    rows: int
    columns: int
    filters: int
    down: int
    across: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class ConvTile:
    """What a pass computes: some outputs, through some of the kernel."""

    rows: range
    columns: range
    filters: range
    down: range
    across: range
    channels: range

    @cached_property
    def shape(self) -> ConvShape:
        return ConvShape(
            rows=len(self.rows),
            columns=len(self.columns),
            filters=len(self.filters),
            down=len(self.down),
            across=len(self.across),
            channels=len(self.channels),
        )


@dataclass(frozen=True, kw_only=True)
class ImageTile:
    """The pixels that a tile needs.

    Parameters
    ----------
    rows, columns
        Which they are.
    width
        Pixels from row to row: the columns, and zeros behind them.
    layout
        The list of them as one row of tiles, row after row.
    pitch
        Bytes from a pixel to the next.
    """

    rows: Reach
    columns: Reach
    width: int
    layout: BlockedLayout
    pitch: int


class ConvMapper:
    """The mapping of a convolution for one configuration and placement.

    Parameters
    ----------
    config
        A system with an array and a DMA.
    placement
        Where tiles stand.
    problem
        The convolution.
    row_c
        Whether C is one row, a number a filter.

    Raises
    ------
    MappingError
        The configuration lacks one of them, or C's mover what `row_c` asks for.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        placement: Placement,
        problem: Convolution,
        *,
        row_c: bool = False,
    ) -> None:
        self.gemm = GemmLayouts(config, placement, GemmForm(row_c=row_c))
        self.config = config
        self.array = self.gemm.array
        self.placement = placement
        self.problem = problem
        self.block = self.array.ku * self.gemm.operand
        """Bytes of a K step of a pixel."""
        self._pitches: dict[tuple[int, int], int] = {}
        self.a = bound_mover(config, "array.a")
        self.b = bound_mover(config, "array.b")
        self.d = bound_mover(config, "array.d")
        self.load = DmaPair.find(config, "mm2s")
        self.store = DmaPair.find(config, "s2mm")

    # What a tile takes.

    def blocks(self, channels: int) -> int:
        """K steps of a tap."""
        return -(-channels // self.array.ku)

    def depth(self, shape: ConvShape) -> int:
        """K steps of an output."""
        return shape.down * shape.across * self.blocks(shape.channels)

    def steps(self, shape: ConvShape) -> int:
        """Steps that the array needs for a tile, bubbles excluded."""
        return self.beats(shape) * -(-shape.filters // self.array.nu) * self.depth(shape)

    def beats(self, shape: ConvShape) -> int:
        """Beats of mu output pixels."""
        rows, columns = self.grid(shape)
        return rows * -(-columns // self.array.mu)

    def row_length(self, shape: ConvShape) -> int | None:
        """Pixels from row to row where A walks all rows of a tile as one; None where it does not.

        An output's pixels are as far from those of the output before it in the next row as in its
        own, if outputs are pixel by pixel, and rows of the image stand as far apart as rows of
        outputs. Where a kernel hangs over the end of a row it meets the next: between them stand as
        many zeros as it covers. That takes fewer beats where whole beats fit rows badly.
        """
        columns, rows, mu = self.problem.columns, self.problem.rows, self.array.mu
        _, down, _ = rows.steps(shape.rows, shape.down)
        _, across, _ = columns.steps(shape.columns, shape.across)
        if down > 1 or across > 1:
            return None
        if columns.kernel == 1 and columns.before == columns.after == 0:
            length = shape.columns
        elif (shape.columns, shape.across) == (columns.outputs, columns.kernel):
            reach = columns.reach(range(columns.outputs), range(columns.kernel))
            last = reach.start + (shape.columns - 1) * across + (shape.across - 1) * reach.tap_step
            zeros = max(-reach.start, last - (reach.count - 1), 0)
            length = max(reach.count + zeros, shape.columns)
        else:
            return None
        beats = -(-((shape.rows - 1) * length + shape.columns) // mu)
        return length if beats < shape.rows * -(-shape.columns // mu) else None

    def grid(self, shape: ConvShape) -> tuple[int, int]:
        """Output rows and columns as A walks them; see `row_length`."""
        length = self.row_length(shape)
        if length is None:
            return shape.rows, shape.columns
        return 1, (shape.rows - 1) * length + shape.columns

    def pixel_step(self, shape: ConvShape) -> int:
        """Pixels in the scratchpad from one channel of A to the next."""
        if self.row_length(shape) is not None:
            return 1
        return max(self.problem.columns.steps(shape.columns, shape.across)[1], 1)

    def pixels(self, shape: ConvShape) -> int:
        """Pixels in the scratchpad that no tile of this shape needs more than."""
        rows, columns = self.problem.rows, self.problem.columns
        width = self.row_length(shape) or columns.most(shape.columns, shape.across)
        return rows.most(shape.rows, shape.down) * width

    def fits(self, shape: ConvShape) -> bool:
        """Whether operands and result of a tile fit their regions, wherever it lies."""
        placement = self.placement
        results = self.layout_row_c(shape) if self.gemm.form.row_c else self.layout_d(shape)
        return (
            self._image_layout(shape, self.pixels(shape), 0).bytes <= placement.a[0].size
            and self.layout_b(shape).bytes <= placement.b[0].size
            and results.base + results.bytes <= placement.d[0].base + placement.d[0].size
        )

    def folds(self, shape: ConvShape) -> int:
        """Cycles that the banks take for a beat of A.

        The channels fall on so many banks fewer than they are as their stride has factors in common
        with the group.
        """
        group, word = self.placement.a[0].group, self.config.memory.word_bytes
        stride = self.pixel_step(shape) * self._pitch(shape) // word
        return -(-self.array.mu * math.gcd(group, stride) // group)

    # Where it stands.

    def image(self, tile: ConvTile, region: int = 0) -> ImageTile:
        rows = self.problem.rows.reach(tile.rows, tile.down)
        columns = self.problem.columns.reach(tile.columns, tile.across)
        width = self.row_length(tile.shape) or columns.count
        return ImageTile(
            rows=rows,
            columns=columns,
            width=width,
            layout=self._image_layout(tile.shape, rows.count * width, region),
            pitch=self._pitch(tile.shape),
        )

    def layout_b(self, shape: ConvShape, region: int = 0) -> BlockedLayout:
        k = self.depth(shape) * self.array.ku
        return self.gemm.layout_b(TileShape(m=1, n=shape.filters, k=k), region)

    def layout_d(self, shape: ConvShape, region: int = 0) -> BlockedLayout:
        """Planes of nu filters, an even pitch apart that the reach of the array's mover allows.

        In a group that is larger than that reach a beat of the DMA meets other banks in each.
        """
        where, array = self.placement.d[region], self.array
        width = array.nu * self.gemm.accumulator
        rows = self.beats(shape) * array.mu
        shift = max(bound_mover(self.config, "array.d").reach, 1)
        beat = math.lcm(self.gemm.beat, width)
        row_bytes = -(-shape.filters * self.gemm.accumulator // beat) * beat
        word = self.config.memory.word_bytes
        return BlockedLayout(
            base=where.base,
            mode=where.mode,
            tile_rows=rows,
            tile_row_bytes=width,
            tile_pitch=rows * width + (shift * word if shift % where.group else 0),
            tiles_down=1,
            tiles_across=row_bytes // width,
        )

    def layout_row_c(self, shape: ConvShape, region: int = 0) -> BlockedLayout:
        """As :meth:`GemmLayouts.layout_row_c`."""
        return self.gemm.row_c_behind(self.layout_d(shape, region), shape.filters)

    # Who walks it.

    def streams(
        self,
        tile: ConvTile,
        *,
        with_c: bool,
        first: bool = True,
        regions: tuple[int, int, int] = (0, 0, 0),
    ) -> dict[str, BufferDescriptor]:
        """As :meth:`GemmMapper.streams`."""
        memory, shape = self.config.memory, tile.shape
        beats, across = self.beats(shape), -(-shape.filters // self.array.nu)
        b, d = self.layout_b(shape, regions[1]), self.layout_d(shape, regions[2])
        walk_d = ((across, d.tile_pitch), (beats, self.array.mu * d.tile_row_bytes))
        walk_b = ((self.depth(shape), b.row_pitch), (across, b.tile_pitch), (beats, 0))
        walks = {"array.b": (b, walk_b), "array.d": (d, walk_d)}
        if with_c:
            walks = {"array.c": (d, walk_d)} | walks
        streams = {
            port: layout.by_tiles(memory, bound_mover(self.config, port), loops)
            for port, (layout, loops) in walks.items()
        }
        if with_c and first and self.gemm.form.row_c:
            c = self.layout_row_c(shape, regions[2])
            streams["array.c"] = c.by_tiles(
                memory,
                bound_mover(self.config, "array.c"),
                ((across, c.tile_pitch), (beats, 0)),
                extensions=("broadcaster",),
                channels=self.gemm.row_c_channels,
            )
        word = array_operator().const({"c_present": with_c}).as_bits()
        streams["array.a"] = self._walk_a(tile, self.image(tile, regions[0]), word)
        ports = ("array.c", "array.a", "array.b", "array.d")
        return {port: streams[port] for port in ports if port in streams}

    def by_pixels(self, tile: ConvTile, pair: DmaPair, region: int) -> BufferDescriptor:
        """The descriptor with which the DMA takes or gives the outputs, pixel after pixel."""
        shape, mu = tile.shape, self.array.mu
        length = self.row_length(shape) or -(-shape.columns // mu) * mu
        layout = self.layout_d(shape, region)
        return layout.by_rows(
            self.config.memory, pair.scratchpad, rows=((shape.columns, 1), (shape.rows, length))
        )

    def _walk_a(self, tile: ConvTile, image: ImageTile, operator: int) -> BufferDescriptor:
        shape, mu, pitch, block = tile.shape, self.array.mu, image.pitch, self.block
        rows, columns, width = image.rows, image.columns, image.width
        step, word = self.pixel_step(shape), self.config.memory.word_bytes
        high, wide = self.grid(shape)
        merged = self.row_length(shape) is not None
        # Of each loop: bound, byte stride, and what it adds to the pixel's place in the list, of
        # which the row is guarded, and to its column, which is where rows are not walked as one.
        tap, beat = columns.tap_step, mu * step
        kernel = [
            (self.blocks(shape.channels), block, 0, 0),
            (shape.across, tap * pitch, tap * merged, tap * (not merged)),
            (shape.down, rows.tap_step * width * pitch, rows.tap_step * width, 0),
        ]
        outputs = [
            (-(-shape.filters // self.array.nu), 0, 0, 0),
            (-(-wide // mu), beat * pitch, beat * merged, beat * (not merged)),
            (high, rows.output_step * width * pitch, rows.output_step * width, 0),
        ]
        kernel = [loop for loop in kernel if loop[0] > 1] or kernel[:1]
        loops = [*kernel, *(loop for loop in outputs if loop[0] > 1)]
        along_rows = _window(
            offset=rows.start * width + columns.start * merged,
            limit=rows.count * width,
            loops=[(bound, down) for bound, _, down, _ in loops],
            coefficient=1 if merged else 0,
            channels=mu,
        )
        along_columns = _window(
            offset=0 if merged else columns.start,
            limit=columns.count,
            loops=[(bound, across) for bound, _, _, across in loops],
            coefficient=0 if merged else step,
            channels=mu,
        )
        guards = [each for each in (along_rows, along_columns) if each is not None]
        if any(guard.coefficient for guard in guards) and self.a.spatial_bounds[-1] != mu:
            raise MappingError(
                f"{self.a.name} has spatial bounds {self.a.spatial_bounds}: a guard needs the last "
                f"of them to be the array's {mu} rows"
            )
        dimension = len(self.a.spatial_bounds) - 1
        return BufferDescriptor(
            base=image.layout.base + (rows.start * width + columns.start) * pitch,
            bounds=tuple(loop[0] for loop in loops),
            strides=tuple(loop[1] for loop in loops),
            mark_level=len(kernel) - 1,
            mode=image.layout.mode,
            operator=operator,
            spatial_strides=affine_strides(
                self.a,
                lambda channel: channel * word // block * step * pitch + channel * word % block,
            ),
            guards=tuple(
                Guard(
                    offset=guard.offset,
                    limit=guard.limit,
                    strides=guard.strides,
                    coefficient=guard.coefficient,
                    dimension=dimension if guard.coefficient else 0,
                )
                for guard in guards
            ),
        )

    def _pitch(self, shape: ConvShape) -> int:
        """Bytes from a pixel to the next.

        Where a beat of A would fold on fewer banks, and the DMA can leave a word free between
        pixels, it does.
        """
        dense, step = self.blocks(shape.channels) * self.block, self.pixel_step(shape)
        if (dense, step) not in self._pitches:
            self._pitches[dense, step] = self._choose_pitch(dense, step)
        return self._pitches[dense, step]

    def _choose_pitch(self, dense: int, step: int) -> int:
        group, word = self.placement.a[0].group, self.config.memory.word_bytes
        spread = dense + word
        if math.gcd(group, step * spread // word) >= math.gcd(group, step * dense // word):
            return dense
        beat = beat_bytes(self.config.memory, self.load.scratchpad)
        layout = self._list(dense, spread, math.lcm(beat, dense) // dense, 0)
        return spread if layout.suits(self.config.memory, self.load.scratchpad) else dense

    def _image_layout(self, shape: ConvShape, pixels: int, region: int) -> BlockedLayout:
        dense, pitch = self.blocks(shape.channels) * self.block, self._pitch(shape)
        beat = beat_bytes(self.config.memory, self.load.scratchpad)
        if pitch == dense:
            return self._list(beat, beat, -(-pixels * dense // beat), region)
        many = math.lcm(beat, dense) // dense
        return self._list(dense, pitch, -(-pixels // many) * many, region)

    def _list(self, each: int, pitch: int, count: int, region: int) -> BlockedLayout:
        where = self.placement.a[region]
        return BlockedLayout(
            base=where.base,
            mode=where.mode,
            tile_rows=1,
            tile_row_bytes=each,
            tile_pitch=pitch,
            tiles_down=1,
            tiles_across=count,
        )


def _window(
    *,
    offset: int,
    limit: int,
    loops: list[tuple[int, int]],
    coefficient: int,
    channels: int,
) -> Guard | None:
    """The guard of an index that `loops` (bound, step) and channels move; None if it never leaves.

    No step is negative.
    """
    most = offset + sum((bound - 1) * step for bound, step in loops) + (channels - 1) * coefficient
    if offset >= 0 and most < limit:
        return None
    return Guard(
        offset=offset,
        limit=limit,
        strides=tuple(step for _, step in loops),
        coefficient=coefficient,
    )
