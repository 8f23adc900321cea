"""What a way to cut a matrix product into tiles costs, before anything is mapped.

An estimate of cycles, from what the DMA has to do for each tile and when the array waits for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from .array_cost import ArrayEstimator, Effort, Total
from .gemm import GemmMapper, GemmProblem, GemmTask
from .gemm_layout import TileShape
from .gemm_moves import GemmMoves
from .overlap import Course, Stage
from .pieces import cuts
from .placement import bound_mover
from .repeat import keeps

__all__ = ["GemmEstimator"]


class GemmEstimator:
    """What tiles of one problem cost with one mapper.

    Parameters
    ----------
    mapper
        The mapping.
    problem
        The product.
    """

    def __init__(self, mapper: GemmMapper, problem: GemmProblem) -> None:
        self._mapper = mapper
        self._problem = problem
        self._moves = GemmMoves(mapper, problem)
        self._passes = ArrayEstimator(
            mapper.config,
            mapper.placement,
            with_c=problem.with_c,
            row_c=mapper.row_c_channels.bit_count() if mapper.form.row_c else None,
            to_d=problem.to_d,
            to_e=problem.to_e,
        )
        self._a, self._b = (bound_mover(mapper.config, f"array.{name}") for name in "ab")

    def cost(self, tile: TileShape, tasks: Sequence[GemmTask], *, most: float = math.inf) -> float:
        """Cycles, and more for each time that the array runs dry; infinite above `most`.

        `tasks` are those of the product in tiles of `tile`, in their order, or the first of them.
        What is looked at is held to go on as it is, but for the first loads.
        """
        first = sum(self._moves.of_tile(name, tile, tile).least for name in "ab")
        scale = self._steps(tile) / sum(self._mapper.cycles(task.shape) for task in tasks)
        return self._passes.cost(self._stages(tile, tasks), scale=scale, first=first, most=most)

    def course(
        self, tile: TileShape, tasks: Sequence[GemmTask], *, most: float = math.inf
    ) -> Course | None:
        """When the array works on `tasks`, and what the DMA does; None above `most` cycles."""
        return self._passes.course(self._stages(tile, tasks), most=most)

    def bound(self, tile: TileShape, *, columns_first: bool) -> float:
        """What it costs at least, whatever waits for what.

        `columns_first` is as in :class:`~weft.sw.gemm_tiling.GemmPlan`.
        """
        whole, placement = self._problem.shape, self._mapper.placement
        down, across, deep = (
            -(-extent // piece)
            for extent, piece in ((whole.m, tile.m), (whole.n, tile.n), (whole.k, tile.k))
        )
        kept_a, kept_b = (down * deep, deep) if columns_first else (deep, across * deep)
        again = {
            "a": 1 if kept_a <= len(placement.a) else across,
            "b": 1 if kept_b <= len(placement.b) else down,
        }
        names = self._passes.loads + self._passes.stores
        least = replace(tile, m=whole.m - (down - 1) * tile.m, n=whole.n - (across - 1) * tile.n)
        return self._passes.bound(
            self._effort(tile, self._steps(tile)),
            {name: Total(self._moves.of_all(name, tile), again.get(name, 1)) for name in names},
            results=down * across,
            first=sum(self._moves.of_tile(name, tile, tile).least for name in self._passes.loads),
            last=sum(self._moves.of_tile(name, least, tile).least for name in self._passes.stores),
        )

    def _steps(self, tile: TileShape) -> int:
        """Cycles of the array."""
        whole, array = self._problem.shape, self._mapper.array
        return (
            _units(whole.m, tile.m, array.mu)
            * _units(whole.n, tile.n, array.nu)
            * _units(whole.k, tile.k, array.ku, array.mu)
        )

    def _stages(self, tile: TileShape, tasks: Sequence[GemmTask]) -> list[Stage]:
        return [self._stage(tile, task) for task in tasks]

    def _stage(self, tile: TileShape, task: GemmTask) -> Stage:
        return self._passes.stage(
            self._effort(task.shape, self._mapper.cycles(task.shape)),
            a=task.a,
            b=task.b,
            d=task.d,
            moved=lambda name: self._moves.of_tile(name, task.shape, tile),
        )

    def _effort(self, shape: TileShape, steps: int) -> Effort:
        """Of so many steps in tiles of `shape`."""
        array = self._mapper.array
        deep, across = -(-shape.k // array.ku), -(-shape.n // array.nu)
        # A's beats of a row of tiles are fetched once, if its repeater keeps them.
        again = across if keeps(self._a, deep) else 1
        return Effort(
            steps=steps,
            lost=0,
            a=self._a.channels / again,
            b=self._b.channels,
            results=1 / max(deep, array.mu),
        )


@lru_cache(maxsize=1 << 12)
def _units(extent: int, piece: int, unit: int, least: int = 1) -> int:
    """Of all pieces together, where each has so many at least."""
    return sum(max(-(-len(part) // unit), least) for part in cuts(extent, piece))
