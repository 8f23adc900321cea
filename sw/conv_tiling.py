"""Into which tiles a convolution is cut, where they stand, and in which order they come.

Every choice is by an estimate of its cycles: the array's steps, with what its banks and the DMA's
beats in them cost, against the beats of the DMA under them; and what nothing overlaps, the first
loads and the last store.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..hw.config import AcceleratorConfig
from .conv import ConvMapper
from .conv_layout import ConvShape, ConvTile
from .convolution import Axis, Convolution
from .errors import MappingError
from .gemm_layout import TileShape
from .placement import Placement, stand_together

__all__ = ["ConvPlan", "plan_convolution"]

PASS_CYCLES = 100
"""About what it takes to push a pass."""

BEATS_A_CYCLE = 8
"""Beats of the DMA, under the array's work, that are worth a cycle of it."""

OUT_OF_STEP = 12
"""Of so many beats of A one is lost where its channels come to its banks at different times."""

COLUMN_LEVELS, ROW_LEVELS = 2, 3
"""Widths and heights of a tile that are tried, from the largest that fits on."""


@dataclass(frozen=True, kw_only=True)
class ConvPlan:
    """A way to run a convolution.

    Parameters
    ----------
    mapper
        The mapping; its problem is the windowed one if `windowed`.
    shape
        Extents of a tile that is not at an edge.
    filters_first
        Whether all outputs of some filters come before those of the next, or all filters of some
        outputs. All of the kernel comes before the next tile of the result.
    windowed
        Whether the DMA puts together what a kernel row covers.
    """

    mapper: ConvMapper
    shape: ConvShape
    filters_first: bool
    windowed: bool

    def tiles(self) -> Iterator[ConvTile]:
        """In order."""
        problem, shape = self.mapper.problem, self.shape
        pixels = list(
            itertools.product(
                _cuts(problem.rows.outputs, shape.rows),
                _cuts(problem.columns.outputs, shape.columns),
            )
        )
        filters = _cuts(problem.filters, shape.filters)
        kernel = list(
            itertools.product(
                _cuts(problem.rows.kernel, shape.down),
                _cuts(problem.columns.kernel, shape.across),
                _cuts(problem.channels, shape.channels),
            )
        )
        if self.filters_first:
            outputs = [(where, which) for which in filters for where in pixels]
        else:
            outputs = [(where, which) for where in pixels for which in filters]
        for ((rows, columns), which), (down, across, channels) in itertools.product(
            outputs, kernel
        ):
            yield ConvTile(
                rows=rows,
                columns=columns,
                filters=which,
                down=down,
                across=across,
                channels=channels,
            )

    @property
    def fits(self) -> bool:
        """Whether every tile does, those at the edges included."""
        problem, shape = self.mapper.problem, self.shape
        lengths = (
            {len(piece) for piece in _cuts(extent, size)[-2:]}
            for extent, size in (
                (problem.rows.outputs, shape.rows),
                (problem.columns.outputs, shape.columns),
                (problem.filters, shape.filters),
                (problem.rows.kernel, shape.down),
                (problem.columns.kernel, shape.across),
                (problem.channels, shape.channels),
            )
        )
        return all(
            self.mapper.fits(
                ConvShape(
                    rows=rows,
                    columns=columns,
                    filters=filters,
                    down=down,
                    across=across,
                    channels=channels,
                )
            )
            for rows, columns, filters, down, across, channels in itertools.product(*lengths)
        )


def plan_convolution(
    config: AcceleratorConfig,
    problem: Convolution,
    *,
    with_c: bool,
    row_c: bool = False,
    windows: bool = True,
    to_d: bool = True,
    to_e: bool = False,
) -> ConvPlan:
    """The best way to run `problem`.

    Parameters
    ----------
    config
        The system.
    problem
        The convolution.
    with_c
        Whether it adds to something.
    row_c
        Whether that is one row, a number a filter.
    windows
        Whether it may be a windowed one: the operands lie so that the DMA can do it.
    to_d, to_e
        Whether its results are int32, and whether they are int8.

    Raises
    ------
    MappingError
        Not even a tile of one array step fits the scratchpad.
    """
    variants = [(problem, False)]
    other = problem.windowed() if windows else None
    # Without a stride between pixels no beat of A folds, which may be worth the overlap.
    if other is not None and _depth(config, other) < _depth(config, problem) + (
        problem.columns.stride > 1
    ):
        variants.append((other, True))
    found: list[tuple[tuple[float, int], ConvPlan]] = []
    for variant, windowed in variants:
        for placement in Placement.alternatives(config):
            place = placement.quantized if to_e else placement
            mapper = ConvMapper(config, place, variant, row_c=row_c)
            estimator = _Estimator(
                mapper, windowed=windowed, with_c=with_c and not row_c, to_d=to_d, to_e=to_e
            )
            for shape, filters_first in itertools.product(_shapes(mapper), (False, True)):
                cost = estimator.cost(shape, filters_first)
                if cost is not None:
                    plan = ConvPlan(
                        mapper=mapper, shape=shape, filters_first=filters_first, windowed=windowed
                    )
                    found.append((cost, plan))
    found.sort(key=lambda choice: choice[0])
    best = next((plan for _, plan in found if plan.fits), None)
    if best is None:
        array = config.array
        assert array is not None, "the mapper saw to it"
        raise MappingError(
            f"a scratchpad of {config.memory.bytes} bytes holds no tile of "
            f"{array.mu}x{array.nu}x{array.ku} of this convolution"
        )
    return best


def _depth(config: AcceleratorConfig, problem: Convolution) -> int:
    """K steps of an output."""
    assert config.array is not None, "the mapper saw to it"
    kernel = problem.rows.kernel * problem.columns.kernel
    return kernel * -(-problem.channels // config.array.ku)


def _shapes(mapper: ConvMapper) -> Iterator[ConvShape]:
    """Shapes worth an estimate, all of which fit.

    As little of the kernel's extent is cut as must be, and not many times as many columns.
    """
    problem = mapper.problem
    heights = _splits(problem.rows.outputs, 1)
    tall, broad = problem.rows.kernel, problem.columns.kernel
    kernels = [(tall, broad)]
    kernels += [(down, broad) for down in _splits(tall, 1)[1:]]
    kernels += [(1, across) for across in _splits(broad, 1)[1:]]
    for down, across in kernels:
        levels = 0
        for columns in _splits(problem.columns.outputs, mapper.array.mu):
            some = False
            for channels, filters in itertools.product(
                _splits(problem.channels, mapper.array.ku),
                _splits(problem.filters, mapper.array.nu),
            ):
                shapes = [
                    ConvShape(
                        rows=rows,
                        columns=columns,
                        filters=filters,
                        down=down,
                        across=across,
                        channels=channels,
                    )
                    for rows in heights
                ]
                # Fewer rows take less, and sooner give the array something to do.
                first = bisect.bisect_left(shapes, True, key=mapper.fits)
                some = some or first < len(shapes)
                yield from shapes[first : first + ROW_LEVELS]
            levels += some
            if levels == COLUMN_LEVELS:
                break
        if levels:
            return


class _Estimator:
    """What plans of one mapper cost.

    Parameters
    ----------
    mapper
        The mapping.
    windowed
        Whether its problem is a windowed one.
    with_c
        Whether it adds to something that is loaded for each result.
    to_d, to_e
        What its results are.
    """

    def __init__(
        self, mapper: ConvMapper, *, windowed: bool, with_c: bool, to_d: bool, to_e: bool
    ) -> None:
        self._mapper = mapper
        self._beat = mapper.gemm.beat
        self._moves_d, self._to_e = with_c + to_d, to_e
        # Words of a step of the result: C and D, E and S.
        self._words = self._moves_d * mapper.d.channels
        if to_e:
            word = mapper.config.memory.bank_bits
            self._words += (mapper.array.e_bits + mapper.array.s_bits) // word
        columns = mapper.problem.columns
        self._apart = windowed or columns.steps(columns.outputs, columns.kernel)[0] > 1
        # An array's mover takes all that a group of as many banks as it has channels gives.
        self._crowded_a, self._crowded_b, self._crowded_d = (
            regions[0].group <= mover.channels and stand_together(mapper.config.memory, regions)
            for regions, mover in (
                (mapper.placement.a, mapper.a),
                (mapper.placement.b, mapper.b),
                (mapper.placement.d, mapper.d),
            )
        )

    def cost(self, shape: ConvShape, filters_first: bool) -> tuple[float, int] | None:
        """Cycles, with something for what the DMA takes from others, and passes.

        None where an operand that changes while the array works has but one region.
        """
        mapper, problem, placement = self._mapper, self._mapper.problem, self._mapper.placement
        outputs = _count(problem.rows.outputs, shape.rows)
        outputs *= _count(problem.columns.outputs, shape.columns)
        filters = _count(problem.filters, shape.filters)
        kernel = _count(problem.rows.kernel, shape.down)
        kernel *= _count(problem.columns.kernel, shape.across)
        kernel *= _count(problem.channels, shape.channels)
        # How often all of the image, and all of the weights, are loaded.
        if filters_first:
            kept_a, kept_b = outputs * kernel, kernel
        else:
            kept_a, kept_b = kernel, filters * kernel
        again_a = 1 if kept_a <= len(placement.a) else filters
        again_b = 1 if kept_b <= len(placement.b) else outputs
        passes = outputs * filters * kernel
        for regions, loads in (
            (placement.a, again_a * outputs * kernel),
            (placement.b, again_b * filters * kernel),
            (placement.d, outputs * filters),
        ):
            if len(regions) == 1 and loads > 1:
                return None

        pixels = _loaded(problem.rows, shape.rows, shape.down)
        pixels *= _loaded(problem.columns, shape.columns, shape.across)
        b, d = mapper.layout_b(shape), mapper.layout_d(shape)
        image = again_a * self._image(pixels, problem.channels, shape.channels)
        first_a = self._image(mapper.pixels(shape), shape.channels, shape.channels)
        first_b = -(-b.rows * b.row_bytes // self._beat)
        weights = again_b * filters * kernel * first_b
        row_bytes = self._moves_d * d.row_bytes
        if self._to_e:
            row_bytes += mapper.layout_e(shape).row_bytes
        last = shape.rows * shape.columns * row_bytes // self._beat
        parameters = 0
        if self._to_e:
            s = mapper.gemm.layout_s(TileShape(m=1, n=shape.filters, k=1))
            parameters = -(-s.row_bytes // self._beat)
        results = outputs * filters * (last + parameters)

        steps = passes * mapper.steps(shape) * mapper.folds(shape)
        # Writing results and storing them, with C reading and loading that, in one group of banks.
        beats_d = passes * mapper.steps(shape) // mapper.depth(shape)
        share = self._words // placement.d[0].group
        if self._crowded_d:
            share *= 2
        steps = max(steps, beats_d * share * 9 // 8)
        if self._crowded_a and image > first_a:
            # Channels that a load has put out of step meet at a bank ever after.
            steps += steps // OUT_OF_STEP
        if self._crowded_b:
            steps += weights - first_b
        alone, beats = first_a + first_b + parameters + last, image + weights + results
        cycles = alone + max(steps, beats - alone, PASS_CYCLES * passes)
        return cycles + beats / BEATS_A_CYCLE, passes

    def _image(self, pixels: int, channels: int, piece: int) -> int:
        """Beats of so many pixels in pieces of so many of their channels."""
        width = self._mapper.blocks(piece) * self._mapper.block
        pieces = _count(channels, piece)
        if self._apart or pieces > 1 or piece % self._mapper.array.ku:
            # A run a pixel, for they do not continue one another.
            return pixels * pieces * _count(width, self._beat)
        return _count(pixels * width, self._beat)


@lru_cache(maxsize=1 << 12)
def _loaded(axis: Axis, outputs: int, taps: int) -> int:
    """Indices of the axis that are loaded for all pieces of so many outputs and taps."""
    return sum(
        axis.reach(some, through).count
        for some in _cuts(axis.outputs, outputs)
        for through in _cuts(axis.kernel, taps)
    )


def _cuts(extent: int, piece: int) -> list[range]:
    return [range(start, min(start + piece, extent)) for start in range(0, extent, piece)]


def _count(extent: int, piece: int) -> int:
    return -(-extent // piece)


def _splits(extent: int, unit: int) -> list[int]:
    """Extents of even pieces, in whole units and descending: one, two, three pieces and so on."""
    units = -(-extent // unit)
    sizes = {-(-units // parts) for parts in range(1, units + 1)}
    return sorted({min(size * unit, extent) for size in sizes}, reverse=True)
