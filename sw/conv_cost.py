"""What a way to cut a convolution into tiles costs, before anything is mapped.

An estimate of cycles, from what the DMA has to do for each tile and when the array waits for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from .array_cost import ArrayEstimator, Effort, Total
from .conv import ConvMapper
from .conv_moves import ConvMoves
from .conv_tile import ConvShape, ConvTask
from .convolution import Convolution
from .overlap import Course, Moved, Stage

__all__ = ["ConvEstimator"]

FOLDED = 0.2
"""Of the beats of A whose channels fall on fewer banks than they are, what the array loses where
the next K steps of a pixel do not take more banks than that either: those of other pixels do."""

OUT_OF_STEP = 0.08
"""The same where a pixel is one K step, so that the next takes the same banks but one. Channels
that a load has put out of step may meet there ever after."""

UNEVEN = 0.001
"""The same where the next K step takes some of the same banks, for no even pitch suits the DMA."""

AXES = ("rows", "columns", "filters", "down", "across", "channels")


class ConvEstimator:
    """What tiles of one problem cost with one mapper.

    Parameters
    ----------
    mapper
        The mapping.
    problem
        The convolution, of which the mapper's may be the windowed one.
    with_c
        Whether it adds to something that is loaded.
    to_d, to_e
        What its results are.
    """

    def __init__(
        self, mapper: ConvMapper, problem: Convolution, *, with_c: bool, to_d: bool, to_e: bool
    ) -> None:
        self._mapper = mapper
        self._moves = ConvMoves(mapper, problem)
        gemm = mapper.gemm
        self._passes = ArrayEstimator(
            mapper.config,
            mapper.placement,
            with_c=with_c,
            row_c=gemm.row_c_channels.bit_count() if gemm.form.row_c else None,
            to_d=to_d,
            to_e=to_e,
        )
        self._efforts: dict[ConvShape, Effort] = {}
        self._wholes: dict[ConvShape, tuple[Effort, dict[str, Moved], float, float]] = {}

    def cost(self, shape: ConvShape, tasks: Sequence[ConvTask], *, most: float = math.inf) -> float:
        """As :meth:`GemmEstimator.cost`, of tasks of `shape`."""
        whole, _, first, _ = self._whole(shape)
        scale = whole.steps / sum(self._effort(task.tile.shape).steps for task in tasks)
        return self._passes.cost(self._stages(shape, tasks), scale=scale, first=first, most=most)

    def course(
        self, shape: ConvShape, tasks: Sequence[ConvTask], *, most: float = math.inf
    ) -> Course | None:
        """When the array works on `tasks`, and what the DMA does; None above `most` cycles."""
        return self._passes.course(self._stages(shape, tasks), most=most)

    def bound(self, shape: ConvShape, *, filters_first: bool) -> float:
        """What it costs at least, whatever waits for what.

        `filters_first` is as in :class:`~weft.sw.conv_tiling.ConvPlan`.
        """
        problem, placement = self._mapper.problem, self._mapper.placement
        outputs = _count(problem.rows.outputs, shape.rows)
        outputs *= _count(problem.columns.outputs, shape.columns)
        filters = _count(problem.filters, shape.filters)
        kernel = _count(problem.rows.kernel, shape.down)
        kernel *= _count(problem.columns.kernel, shape.across)
        kernel *= _count(problem.channels, shape.channels)
        if filters_first:
            kept_a, kept_b = outputs * kernel, kernel
        else:
            kept_a, kept_b = kernel, filters * kernel
        again = {
            "a": 1 if kept_a <= len(placement.a) else filters,
            "b": 1 if kept_b <= len(placement.b) else outputs,
        }
        effort, moved, first, last = self._whole(shape)
        return self._passes.bound(
            effort,
            {name: Total(each, again.get(name, 1)) for name, each in moved.items()},
            results=outputs * filters,
            first=first,
            last=last,
        )

    def _whole(self, shape: ConvShape) -> tuple[Effort, dict[str, Moved], float, float]:
        """What array and DMA do for all tiles, and cycles of the loads before the first and of the
        stores behind the last."""
        if shape not in self._wholes:
            efforts = [
                (count, self._effort(kind), kind)
                for kind, count in shape.kinds(self._mapper.problem, AXES)
            ]
            passes, moves = self._passes, self._moves
            moved = {name: moves.of_all(name, shape) for name in passes.loads + passes.stores}
            first = sum(moves.of_tile(name, shape.first, shape).least for name in "ab")
            # The last tile is of the last kind.
            _, _, least = efforts[-1]
            last = sum(moves.of_shape(name, least, shape).least for name in passes.stores)
            whole = replace(
                self._effort(shape),
                steps=sum(count * effort.steps for count, effort, _ in efforts),
                lost=sum(count * effort.lost for count, effort, _ in efforts),
            )
            self._wholes[shape] = whole, moved, first, last
        return self._wholes[shape]

    def _stages(self, shape: ConvShape, tasks: Sequence[ConvTask]) -> list[Stage]:
        # Most are alike.
        found: dict[tuple[object, ...], Stage] = {}
        return [self._stage(shape, task, found) for task in tasks]

    def _stage(
        self, shape: ConvShape, task: ConvTask, found: dict[tuple[object, ...], Stage]
    ) -> Stage:
        tile, uses = task.tile, (task.a, task.b, task.d)
        pixels = [each.count for each in self._moves.reach(tile)]
        key = tile.shape, *pixels, *(flag for use in uses for flag in (use.load, use.freed))
        if key not in found:
            found[key] = self._passes.stage(
                self._effort(tile.shape),
                a=task.a,
                b=task.b,
                d=task.d,
                moved=lambda name: self._moves.of_tile(name, tile, shape),
            )
        return found[key]

    def _effort(self, shape: ConvShape) -> Effort:
        if shape not in self._efforts:
            self._efforts[shape] = self._find_effort(shape)
        return self._efforts[shape]

    def _find_effort(self, shape: ConvShape) -> Effort:
        mapper = self._mapper
        cycles, fetches = mapper.cycles(shape), mapper.fetches(shape)
        work = mapper.steps(shape) / cycles
        return Effort(
            steps=cycles,
            lost=max(round(fetches * (1 + self._lost(shape))) - cycles, 0),
            a=mapper.a.channels * fetches / cycles,
            b=mapper.b.channels * work,
            results=work / mapper.depth(shape),
        )

    def _lost(self, shape: ConvShape) -> float:
        """Cycles of a beat of A from the banks, beside the one that it takes."""
        mapper = self._mapper
        if mapper.folds(shape) > 1:
            return FOLDED if mapper.spread(shape) <= mapper.a.channels else 0.0
        if mapper.pixel_step(shape) == mapper.blocks(shape.channels) == 1:
            return OUT_OF_STEP
        return UNEVEN if mapper.apart(shape) == 1 else 0.0


def _count(extent: int, piece: int) -> int:
    return -(-extent // piece)
