"""Into which tiles a matrix product is cut, where they stand, and in which order they come.

Every choice is by an estimate of its cycles (:mod:`weft.sw.gemm_cost`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..hw.agu.row import BOUND_BITS
from ..hw.config import AcceleratorConfig
from .errors import MappingError
from .gemm import GemmMapper, GemmProblem, GemmTask
from .gemm_cost import GemmEstimator
from .gemm_layout import GemmForm, TileShape
from .pieces import even_pieces, largest
from .placement import Placement
from .residency import residency

__all__ = ["GemmPlan", "plan_product"]

MAX_ROWS = (1 << BOUND_BITS) - 1
"""Rows of a matrix that one descriptor loop walks."""

DEPTH_LEVELS, WIDTH_LEVELS = 4, 2
"""Depths and widths of a tile that are tried, from the largest that fits on."""

PASSES = 96
"""Passes of a plan whose course is looked at; what follows is much the same."""

PLANS = 256
"""Problems whose plans are remembered."""


@dataclass(frozen=True, kw_only=True)
class GemmPlan:
    """A way to run a matrix product.

    Parameters
    ----------
    mapper
        The mapping.
    problem
        The product.
    tile
        Extents of a tile that is not at an edge.
    columns_first
        Whether all tiles of some columns of the result come before the next columns, or all of some
        rows before the next rows. All of K comes before the next tile of the result.
    """

    mapper: GemmMapper
    problem: GemmProblem
    tile: TileShape
    columns_first: bool = False

    def tasks(self, most: int | None = None) -> list[GemmTask]:
        """The array's tasks in order, or the first of them as if there were no more."""
        whole, tile, placement = self.problem.shape, self.tile, self.mapper.placement
        rows, columns = range(0, whole.m, tile.m), range(0, whole.n, tile.n)
        depths = range(0, whole.k, tile.k)
        every: Iterator[tuple[int, int, int]]
        if self.columns_first:
            every = ((m, n, k) for n in columns for m in rows for k in depths)
        else:
            every = itertools.product(rows, columns, depths)
        places = list(itertools.islice(every, most))
        uses = zip(
            residency([(m, k) for m, _, k in places], len(placement.a)),
            residency([(n, k) for _, n, k in places], len(placement.b)),
            residency([(m, n) for m, n, _ in places], len(placement.d)),
            strict=True,
        )
        return [
            GemmTask(
                m=m,
                n=n,
                k=k,
                shape=TileShape(
                    m=min(tile.m, whole.m - m),
                    n=min(tile.n, whole.n - n),
                    k=min(tile.k, whole.k - k),
                ),
                a=a,
                b=b,
                d=d,
            )
            for (m, n, k), (a, b, d) in zip(places, uses, strict=True)
        ]


@lru_cache(maxsize=PLANS)
def plan_product(
    config: AcceleratorConfig, problem: GemmProblem, form: GemmForm | None = None
) -> GemmPlan:
    """The best way to run `problem`, whose matrices lie as `form` says.

    A product that fits the scratchpad is one tile, for which the array never stops.

    Raises
    ------
    MappingError
        Not even a tile of one array step fits the scratchpad, or as :class:`GemmMapper`.
    """
    placements = [Placement.single(config), *Placement.splits(config)]
    if problem.to_e:
        # Without sums in memory there is more room, if a tile takes all of K.
        kinds = (True,) if problem.sums else (True, False)
        placements = [place.quantized(sums=sums) for sums in kinds for place in placements]
    mappers = [GemmMapper(config, placement, form) for placement in dict.fromkeys(placements)]
    whole = problem.shape
    for mapper in mappers:
        if len(mapper.placement.a) == len(mapper.placement.d) == 1 and mapper.fits(whole):
            return GemmPlan(mapper=mapper, problem=problem, tile=whole)
    plans: list[tuple[float, int, GemmEstimator, GemmPlan]] = []
    for mapper in mappers:
        estimator = GemmEstimator(mapper, problem)
        for tile, columns_first in itertools.product(_tiles(mapper, problem), (False, True)):
            bound = estimator.bound(tile, columns_first=columns_first)
            plan = GemmPlan(mapper=mapper, problem=problem, tile=tile, columns_first=columns_first)
            plans.append((bound, len(plans), estimator, plan))
    if not plans:
        array = mappers[0].array
        raise MappingError(
            f"a scratchpad of {config.memory.bytes} bytes holds no tile of "
            f"{array.mu}x{array.nu}x{array.ku} in beats of {mappers[0].beat} bytes"
        )
    plans.sort(key=lambda each: each[:2])
    least, best = math.inf, plans[0][3]
    for bound, _, estimator, plan in plans:
        if bound >= least:
            break
        cost = estimator.cost(plan.tile, plan.tasks(PASSES), most=least)
        if cost < least:
            least, best = cost, plan
    return best


def _tiles(mapper: GemmMapper, problem: GemmProblem) -> Iterator[TileShape]:
    """Tiles worth an estimate, all of which fit: even pieces, and the widest of each height."""
    whole, array = problem.shape, mapper.array
    heights = even_pieces(min(whole.m, MAX_ROWS), array.mu)
    widths = even_pieces(min(whole.n, MAX_ROWS), array.nu)
    depths = even_pieces(min(whole.k, MAX_ROWS), array.ku)
    if not mapper.placement.d[0].size:
        depths = [whole.k]
    levels = 0
    for k in depths:
        some = False
        for m in heights:
            tiles = [TileShape(m=m, n=n, k=k) for n in widths]
            tried = largest(tiles, mapper.fits, WIDTH_LEVELS)
            some = some or bool(tried)
            yield from tried
        levels += some
        if levels == DEPTH_LEVELS:
            return
