"""Where the operands of a convolution stand in the scratchpad, and how much of them a tile takes.

Pure functions of the configuration and the problem. The image stands there as a list of pixels, as
in DRAM: row after row, each pixel its channels in whole K steps of the array. Where rows are walked
as one there are zeros between them, and of a windowed problem what windows share stands in each.

Weights are [row][column][channel][filter] in DRAM, the order in which A walks: as a matrix they are
the B of a matrix product, tiles of ku channels x nu filters, and need no transposition. D has
planes of nu filters, so that a pixel's row in a plane follows that of the pixel before it; and so
has E.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..hw.config import AcceleratorConfig, MoverConfig
from .blocked import BlockedLayout, beat_bytes, spread_words
from .conv_tile import ConvShape, ConvTile
from .convolution import Convolution, Reach
from .gemm_layout import GemmForm, GemmLayouts, TileShape
from .placement import Placement, Region, bound_mover
from .repeat import keeps
from .transfer import DmaPair

__all__ = ["ConvLayouts", "ImageTile"]


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


class ConvLayouts:
    """The layouts of a convolution for one configuration and placement.

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
        self._row_lengths: dict[ConvShape, int | None] = {}
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

    def cycles(self, shape: ConvShape) -> int:
        """Cycles of the array for a tile: a beat of the result takes mu to come out."""
        steps = self.steps(shape)
        return max(steps, steps // self.depth(shape) * self.array.mu)

    def fetches(self, shape: ConvShape) -> int:
        """Beats of A that come from the banks for a tile; the others its repeater gives again."""
        depth = self.depth(shape)
        return self.beats(shape) * depth if keeps(self.a, depth) else self.steps(shape)

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
        if shape not in self._row_lengths:
            self._row_lengths[shape] = self._row_length(shape)
        return self._row_lengths[shape]

    def _row_length(self, shape: ConvShape) -> int | None:
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
        """Whether operands and result of a tile fit their regions, wherever it lies.

        Where D has none the tile goes through the whole kernel, so that there is no partial D.
        """
        placement, problem = self.placement, self.problem
        kernel = (problem.rows.kernel, problem.columns.kernel, problem.channels)
        if not placement.d[0].size and (shape.down, shape.across, shape.channels) != kernel:
            return False
        results = self.layout_row_c(shape) if self.gemm.form.row_c else self.layout_d(shape)
        parameters = TileShape(m=1, n=shape.filters, k=1)
        return (
            self._image_layout(shape, self.pixels(shape), 0).bytes <= placement.a[0].size
            and self.layout_b(shape).bytes <= placement.b[0].size
            and self.gemm.sums_fit(results)
            and (not placement.e or self.layout_e(shape).bytes <= placement.e[0].size)
            and (not placement.s or self.gemm.layout_s(parameters).bytes <= placement.s[0].size)
        )

    def folds(self, shape: ConvShape) -> int:
        """Cycles that the banks take for a beat of A.

        The channels fall on so many banks fewer than they are as their stride has factors in common
        with the group.
        """
        return -(-self.array.mu * self.apart(shape) // self.placement.a[0].group)

    def spread(self, shape: ConvShape) -> int:
        """Banks over which the channels of A are spread in the K steps of a pixel."""
        group, apart = self.placement.a[0].group, self.apart(shape)
        return min(group // apart, self.array.mu) * min(apart, self.blocks(shape.channels))

    def apart(self, shape: ConvShape) -> int:
        """Banks from one on which a channel of A may fall to the next of them."""
        group, word = self.placement.a[0].group, self.config.memory.word_bytes
        return math.gcd(group, self.pixel_step(shape) * self._pitch(shape) // word)

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
        return self._planes(self.placement.d[region], self.d, self.gemm.accumulator, shape)

    def layout_e(self, shape: ConvShape, region: int = 0) -> BlockedLayout:
        mover = bound_mover(self.config, "array.e")
        return self._planes(self.placement.e[region], mover, self.gemm.operand, shape)

    def _planes(
        self, where: Region, mover: MoverConfig, size: int, shape: ConvShape
    ) -> BlockedLayout:
        """Planes of nu filters of `size` bytes, an even pitch apart that the reach of the array's
        `mover` allows.

        In a group with room for that a beat of the DMA meets other banks in each.
        """
        width = self.array.nu * size
        rows = self.beats(shape) * self.array.mu
        memory = self.config.memory
        shift = spread_words(memory, mover, row=width)
        beat = math.lcm(self.gemm.beat, width)
        row_bytes = -(-shape.filters * size // beat) * beat
        apart = shift * memory.word_bytes if shift % where.group else 0
        return BlockedLayout(
            base=where.base,
            mode=where.mode,
            tile_rows=rows,
            tile_row_bytes=width,
            tile_pitch=rows * width + apart,
            tiles_down=1,
            tiles_across=row_bytes // width,
        )

    def layout_row_c(self, shape: ConvShape, region: int = 0) -> BlockedLayout:
        """As :meth:`GemmLayouts.layout_row_c`."""
        return self.gemm.row_c_behind(self.layout_d(shape, region), shape.filters)

    def _pitch(self, shape: ConvShape) -> int:
        """Bytes from a pixel to the next."""
        dense, step = self.blocks(shape.channels) * self.block, self.pixel_step(shape)
        if (dense, step) not in self._pitches:
            self._pitches[dense, step] = self._choose_pitch(dense, step)
        return self._pitches[dense, step]

    def _choose_pitch(self, dense: int, step: int) -> int:
        """`dense`, or with some words free between pixels, where the DMA can leave them.

        So that a beat of A does not fold on fewer banks, and so that its banks are spread evenly in
        a group that is larger: then the next K step takes those in between, and leaves these free.
        Where a pixel is one K step the next is a pixel further on: it would be on these again, all
        of them, and channels that the DMA has put out of step would meet there ever after.
        """
        memory, load = self.config.memory, self.load.scratchpad
        group, word = self.placement.a[0].group, memory.word_bytes
        even = max(group // self.array.mu, 1) if dense > self.block else 1
        many = math.lcm(beat_bytes(memory, load), dense) // dense

        def unevenness(pitch: int) -> int:
            return abs(math.gcd(group, step * pitch // word) - even)

        pitches = [
            pitch
            for pitch in range(dense, dense + even * word + 1, word)
            if pitch == dense or self._list(dense, pitch, many, 0).suits(memory, load)
        ]
        return min(pitches, key=unevenness)

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
