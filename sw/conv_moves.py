"""What the DMA has to do for the tiles of a convolution, in cycles and beats."""

from __future__ import annotations

import math
from functools import lru_cache

from ..hw.config import PARAMETER_BITS
from .bands import crowding
from .conv import ConvMapper
from .conv_tile import ConvShape, ConvTile
from .convolution import Axis, Convolution, Reach
from .gemm_layout import TileShape
from .overlap import Moved
from .pieces import cuts
from .runs import Span, part_cycles, run_cycles

__all__ = ["ConvMoves"]

OUTPUTS = ("rows", "columns", "filters")
KERNEL = ("down", "across", "channels")
AXES = {
    "a": ("rows", "columns", *KERNEL),
    "b": ("filters", *KERNEL),
    **dict.fromkeys("csde", OUTPUTS),
}
"""Those along which tiles of an operand differ."""


class ConvMoves:
    """The loads and stores of one problem.

    Operands are called as in :class:`~weft.sw.array_cost.ArrayEstimator`. Arrays are counted on to
    lie densely in DRAM, from the border of a beat on.

    Parameters
    ----------
    mapper
        The mapping.
    problem
        The convolution, of which the mapper's may be the windowed one.
    """

    def __init__(self, mapper: ConvMapper, problem: Convolution) -> None:
        self._mapper = mapper
        self._problem = problem
        self._windowed = mapper.problem is not problem
        self._reaches: dict[tuple[str, int, int, int, int], Reach] = {}
        self._images: dict[tuple[int, int, ConvShape, ConvShape], Moved] = {}
        self._sums: dict[tuple[str | int, ...], Moved] = {}
        self._found: dict[tuple[str, ConvShape, ConvShape], Moved] = {}

    def of_tile(self, name: str, tile: ConvTile, piece: ConvShape) -> Moved:
        """For an operand of a tile; all tiles begin at multiples of `piece`."""
        if name != "a":
            return self.of_shape(name, tile.shape, piece)
        rows, columns = self.reach(tile)
        key = rows.count, columns.count, tile.shape, piece
        if key not in self._images:
            self._images[key] = self._image(rows, columns, tile.shape, piece)
        return self._images[key]

    def reach(self, tile: ConvTile) -> tuple[Reach, Reach]:
        """The rows and columns of the image that a tile needs."""
        problem = self._mapper.problem
        return (
            self._reach(problem.rows, tile.rows, tile.down),
            self._reach(problem.columns, tile.columns, tile.across),
        )

    def _reach(self, axis: Axis, outputs: range, taps: range) -> Reach:
        key = axis.name, outputs.start, outputs.stop, taps.start, taps.stop
        if key not in self._reaches:
            self._reaches[key] = axis.reach(outputs, taps)
        return self._reaches[key]

    def of_shape(self, name: str, shape: ConvShape, piece: ConvShape) -> Moved:
        """As `of_tile`, for what does not depend on where the tile is."""
        key = name, shape, piece
        if key not in self._found:
            match name:
                case "b":
                    moved = self._weights(shape, piece)
                case "s":
                    moved = self._parameters(shape, piece)
                case _:
                    moved = self._outputs(name, shape, piece)
            self._found[key] = moved
        return self._found[key]

    def of_all(self, name: str, piece: ConvShape) -> Moved:
        """For an operand of every tile once, C, S and the results of every result."""
        key = name, *(getattr(piece, axis) for axis in AXES[name])
        if key not in self._sums:
            cycles, beats = 0.0, 0
            if name == "a":
                cycles = beats = self._pixels(piece)
            else:
                for shape, count in piece.kinds(self._mapper.problem, AXES[name]):
                    moved = self.of_shape(name, shape, piece)
                    cycles += count * moved.least
                    beats += count * moved.beats
            self._sums[key] = Moved("d" if name == "c" else name, cycles, beats)
        return self._sums[key]

    def _pixels(self, piece: ConvShape) -> int:
        """Beats of the pixels of all tiles, at least."""
        mapper, problem = self._mapper, self._mapper.problem
        pixels = _loaded(problem.rows, piece.rows, piece.down)
        pixels *= _loaded(problem.columns, piece.columns, piece.across)
        blocks = sum(
            count * mapper.blocks(shape.channels)
            for shape, count in piece.kinds(problem, ["channels"])
        )
        return pixels * blocks * mapper.block // mapper.gemm.beat

    def _image(self, rows: Reach, columns: Reach, shape: ConvShape, piece: ConvShape) -> Moved:
        mapper, problem, beat = self._mapper, self._mapper.problem, self._mapper.gemm.beat
        channels = mapper.blocks(shape.channels) * mapper.array.ku
        width = mapper.row_length(shape) or columns.count
        if self._windowed:
            # A run an output.
            original = self._problem
            pixel = original.channels
            grain = math.gcd(
                pixel * math.gcd(original.columns.stride, original.columns.before),
                pixel * original.columns.size,
                piece.channels if piece.channels < problem.channels else 0,
            )
            run = run_cycles(channels, beat, step=grain)
            cycles = rows.count * shape.columns * run
        else:
            cycles = part_cycles(
                [
                    Span(
                        whole=problem.rows.size,
                        count=rows.count,
                        padded=rows.count,
                        step=rows.step,
                    ),
                    Span(
                        whole=problem.columns.size,
                        count=columns.count,
                        padded=width,
                        step=columns.step,
                    ),
                    Span(
                        whole=problem.channels,
                        count=shape.channels,
                        padded=channels,
                        unit=piece.channels,
                    ),
                ],
                element=mapper.gemm.operand,
                beat=beat,
            )
        return Moved("a", cycles, -(-rows.count * width * channels * mapper.gemm.operand // beat))

    def _weights(self, shape: ConvShape, piece: ConvShape) -> Moved:
        mapper, problem = self._mapper, self._mapper.problem
        layout, size, beat = mapper.layout_b(shape), mapper.gemm.operand, mapper.gemm.beat
        channels = mapper.blocks(shape.channels) * mapper.array.ku
        extents = (
            (problem.rows.kernel, shape.down, shape.down, piece.down),
            (problem.columns.kernel, shape.across, shape.across, piece.across),
            (problem.channels, shape.channels, channels, piece.channels),
            (problem.filters, shape.filters, layout.row_bytes // size, piece.filters),
        )
        spans = [Span(whole=w, count=n, padded=p, unit=u) for w, n, p, u in extents]
        cycles = part_cycles(spans, element=size, beat=beat)
        # Their tiles stand densely: the beats of a longer row than one meet at few banks.
        crowded = crowding(mapper.config.memory, mapper.load.scratchpad, layout)
        return Moved("b", cycles, math.ceil(layout.rows * layout.row_bytes / beat * crowded))

    def _parameters(self, shape: ConvShape, piece: ConvShape) -> Moved:
        gemm, size = self._mapper.gemm, PARAMETER_BITS // 8
        layout = gemm.layout_s(TileShape(m=1, n=shape.filters, k=1))
        return self._row("s", shape, piece, size, layout.row_bytes)

    def _row(
        self, operand: str, shape: ConvShape, piece: ConvShape, size: int, row_bytes: int
    ) -> Moved:
        """Of elements of so many bytes, one a filter."""
        span = self._filters(shape, piece, row_bytes // size)
        beat = self._mapper.gemm.beat
        return Moved(operand, part_cycles([span], element=size, beat=beat), row_bytes // beat)

    def _filters(self, shape: ConvShape, piece: ConvShape, padded: int) -> Span:
        return Span(
            whole=self._problem.filters, count=shape.filters, padded=padded, unit=piece.filters
        )

    def _outputs(self, name: str, shape: ConvShape, piece: ConvShape) -> Moved:
        mapper, problem, beat = self._mapper, self._mapper.problem, self._mapper.gemm.beat
        if name == "c" and mapper.gemm.form.row_c:
            row_bytes = mapper.layout_row_c(shape).row_bytes
            return self._row("d", shape, piece, mapper.gemm.accumulator, row_bytes)
        layout = mapper.layout_e(shape) if name == "e" else mapper.layout_d(shape)
        size = mapper.gemm.operand if name == "e" else mapper.gemm.accumulator
        extents = (
            (problem.rows.outputs, shape.rows, piece.rows),
            (problem.columns.outputs, shape.columns, piece.columns),
        )
        spans = [Span(whole=whole, count=n, padded=n, unit=unit) for whole, n, unit in extents]
        spans.append(self._filters(shape, piece, layout.row_bytes // size))
        beats = shape.rows * shape.columns * layout.row_bytes // beat
        cycles = part_cycles(spans, element=size, beat=beat)
        return Moved("d" if name == "c" else name, cycles, beats)


@lru_cache(maxsize=1 << 12)
def _loaded(axis: Axis, outputs: int, taps: int) -> int:
    """Indices of the axis that are loaded for all pieces of so many outputs and taps."""
    return sum(
        axis.reach(some, through).count
        for some in cuts(axis.outputs, outputs)
        for through in cuts(axis.kernel, taps)
    )
