"""Into which tiles a convolution is cut, where they stand, and in which order they come.

Every choice is by an estimate of its cycles (:mod:`weft.sw.conv_cost`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..hw.config import AcceleratorConfig
from .conv import ConvMapper
from .conv_cost import ConvEstimator
from .conv_tile import ConvShape, ConvTask, ConvTile
from .convolution import Convolution
from .errors import MappingError
from .pieces import cuts, even_pieces, largest
from .placement import Placement
from .residency import residency

__all__ = ["ConvPlan", "plan_convolution"]

PASSES = 96
"""Passes of a plan whose course is looked at; what follows is much the same."""

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
                cuts(problem.rows.outputs, shape.rows),
                cuts(problem.columns.outputs, shape.columns),
            )
        )
        filters = cuts(problem.filters, shape.filters)
        kernel = list(
            itertools.product(
                cuts(problem.rows.kernel, shape.down),
                cuts(problem.columns.kernel, shape.across),
                cuts(problem.channels, shape.channels),
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

    def tasks(self, most: int | None = None) -> list[ConvTask]:
        """The array's tasks in order, or the first of them as if there were no more."""
        tiles, placement = list(itertools.islice(self.tiles(), most)), self.mapper.placement
        starts = [
            (t.rows.start, t.columns.start, t.filters.start, t.down[0], t.across[0], t.channels[0])
            for t in tiles
        ]
        images = [(y, x, *kernel) for y, x, _, *kernel in starts]
        weights = [(which, *kernel) for _, _, which, *kernel in starts]
        results = [each[:3] for each in starts]
        uses = zip(
            residency(images, len(placement.a)),
            residency(weights, len(placement.b)),
            residency(results, len(placement.d)),
            strict=True,
        )
        return [
            ConvTask(tile=tile, a=a, b=b, d=d) for tile, (a, b, d) in zip(tiles, uses, strict=True)
        ]

    @property
    def fits(self) -> bool:
        """Whether every tile does, those at the edges included."""
        problem, shape = self.mapper.problem, self.shape
        lengths = (
            {len(piece) for piece in cuts(extent, size)[-2:]}
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
    placements = Placement.alternatives(config)
    if to_e:
        # There may be no sums in memory, unless what is left for E does not do for all of a kernel.
        which = (True,) if to_d or with_c else (False, True)
        placements = [place.quantized(sums=sums) for sums in which for place in placements]
    plans: list[tuple[float, int, ConvEstimator, ConvPlan]] = []
    for variant, windowed in variants:
        for placement in placements:
            mapper = ConvMapper(config, placement, variant, row_c=row_c)
            estimator = ConvEstimator(mapper, problem, with_c=with_c, to_d=to_d, to_e=to_e)
            for shape, filters_first in itertools.product(_shapes(mapper), (False, True)):
                bound = estimator.bound(shape, filters_first=filters_first)
                plan = ConvPlan(
                    mapper=mapper, shape=shape, filters_first=filters_first, windowed=windowed
                )
                plans.append((bound, len(plans), estimator, plan))
    plans.sort(key=lambda each: each[:2])
    least, best = math.inf, None
    for bound, _, estimator, plan in plans:
        if bound >= least:
            break
        if plan.fits:
            cost = estimator.cost(plan.shape, plan.tasks(PASSES), most=least)
            if cost < least:
                least, best = cost, plan
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
    heights = even_pieces(problem.rows.outputs, 1)
    tall, broad = problem.rows.kernel, problem.columns.kernel
    kernels = [(tall, broad)]
    kernels += [(down, broad) for down in even_pieces(tall, 1)[1:]]
    kernels += [(1, across) for across in even_pieces(broad, 1)[1:]]
    for down, across in kernels:
        levels = 0
        for columns in even_pieces(problem.columns.outputs, mapper.array.mu):
            some = False
            for channels, filters in itertools.product(
                even_pieces(problem.channels, mapper.array.ku),
                even_pieces(problem.filters, mapper.array.nu),
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
                tried = largest(shapes, mapper.fits, ROW_LEVELS)
                some = some or bool(tried)
                yield from tried
            levels += some
            if levels == COLUMN_LEVELS:
                break
        if levels:
            return
