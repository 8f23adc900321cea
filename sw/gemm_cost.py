"""What a way to cut a matrix product into tiles costs, before anything is mapped.

An estimate of cycles: the array's steps, or the beats of the DMA where these take longer than the
array hides; what nothing overlaps, the first loads and the last store; and the array's stops.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..hw.config import PARAMETER_BITS
from .gemm import GemmMapper, GemmProblem
from .gemm_layout import TileShape
from .pieces import cuts
from .runs import run_cycles

__all__ = ["GemmEstimator"]

UNDER_WORK = 2.25
"""Cycles of a beat of the DMA, in or out, while the array works: its ports share banks with A and
B, which take each of theirs in every other cycle."""

ALONE = 1.25
"""Cycles of a beat while it does not."""

STOPS = 2
"""Weight of a cycle in which the array runs dry: others wait for memory, it is what they wait
for."""


@dataclass(frozen=True, kw_only=True)
class _Moved:
    """What the DMA does for an operand: cycles with nothing beside it, and beats."""

    cycles: float = 0
    beats: float = 0

    def __add__(self, other: _Moved) -> _Moved:
        return _Moved(cycles=self.cycles + other.cycles, beats=self.beats + other.beats)

    def __mul__(self, times: float) -> _Moved:
        return _Moved(cycles=self.cycles * times, beats=self.beats * times)


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
        array = mapper.array
        # The last results of a stretch: down the array, and out of it.
        self._latency = 2 * array.mu + array.nu + 1

    def cost(self, tile: TileShape, *, columns_first: bool) -> tuple[float, int]:
        """Cycles, with as much again for those in which the array runs dry, and passes.

        `columns_first` is as in :class:`~weft.sw.gemm_tiling.GemmPlan`.
        """
        whole, placement = self._problem.shape, self._mapper.placement
        down, across, deep = (
            -(-extent // piece)
            for extent, piece in ((whole.m, tile.m), (whole.n, tile.n), (whole.k, tile.k))
        )
        passes, results = down * across * deep, down * across
        # How often all of A, and all of B, are loaded.
        kept_a, kept_b = (down * deep, deep) if columns_first else (deep, across * deep)
        again_a = 1 if kept_a <= len(placement.a) else across
        again_b = 1 if kept_b <= len(placement.b) else down
        loads_a, loads_b = again_a * down * deep, again_b * across * deep
        a = self._operand("a", (whole.m, tile.m), (whole.k, tile.k)) * (1 / (down * deep))
        b = self._operand("b", (whole.k, tile.k), (whole.n, tile.n)) * (1 / (across * deep))
        with_result, stored = (part * (1 / results) for part in self._results(tile, down))
        every = a * loads_a + b * loads_b + (with_result + stored) * results
        kinds = self._kinds(tile)
        steps = sum(length * count for length, count in kinds.items())
        if any(
            len(regions) == 1 and loads > 1
            for regions, loads in (
                (placement.a, loads_a),
                (placement.b, loads_b),
                (placement.d, results),
            )
        ):
            # Nothing is loaded or stored beside the work.
            return every.cycles + steps + STOPS * passes * self._latency, passes

        first = a + b + with_result
        hidden = max(every.beats - first.beats - stored.beats, 0)
        # A pass hides what is moved for another: for one as large as most, at an edge as well.
        moved = hidden * self._mapper.steps(tile) / steps
        cycles, dry = first.cycles + steps + stored.cycles, 0.0
        for length, count in kinds.items():
            cycles += count * max(moved - length / UNDER_WORK, 0) * ALONE
            # The more the DMA has to do, the more often the array waits for a pass.
            dry += count * self._latency * min(UNDER_WORK * moved / length, 1)
        # And for a partial result, which has to be written before a pass goes on with it.
        dry += (passes - results) * self._latency
        if passes > 1:
            # The first pass hides what is loaded for the second, or the array waits for it.
            new_a = deep > 1 or across == 1 or (columns_first and down > 1)
            new_b = deep > 1 or (not columns_first and across > 1) or down == 1
            second = a * new_a + b * new_b + with_result * (deep == 1)
            late = UNDER_WORK * second.beats - self._mapper.steps(tile)
            dry += late + self._latency if late > 0 else 0
        return cycles + STOPS * dry, passes

    def _kinds(self, tile: TileShape) -> Counter[int]:
        """How many passes there are of so many steps; at the edges they are shorter."""
        whole, array = self._problem.shape, self._mapper.array
        kinds = Counter([1])
        for extent, piece, unit in (
            (whole.m, tile.m, array.mu),
            (whole.n, tile.n, array.nu),
            (whole.k, tile.k, array.ku),
        ):
            along = Counter(-(-len(part) // unit) for part in cuts(extent, piece))
            found: Counter[int] = Counter()
            for (some, passes), (units, pieces) in itertools.product(kinds.items(), along.items()):
                found[some * units] += passes * pieces
            kinds = found
        return kinds

    def _operand(self, operand: str, rows: tuple[int, int], columns: tuple[int, int]) -> _Moved:
        """All of A or B once; rows and columns are those of the matrix, and of a tile."""
        if self._mapper.transposed(operand):
            rows, columns = columns, rows
        return self._matrix(rows[0], columns, self._mapper.operand)

    def _results(self, tile: TileShape, down: int) -> tuple[_Moved, _Moved]:
        """Once all that is loaded for results, and all that is stored of them."""
        problem, mapper = self._problem, self._mapper
        rows, columns = problem.shape.m, (problem.shape.n, tile.n)
        loaded, stored = _Moved(), _Moved()
        if problem.with_c:
            c_rows = down if mapper.form.row_c else rows
            loaded += self._matrix(c_rows, columns, mapper.accumulator)
        if problem.to_d:
            stored += self._matrix(rows, columns, mapper.accumulator)
        if problem.to_e:
            loaded += self._matrix(down, columns, PARAMETER_BITS // 8)
            stored += self._matrix(rows, columns, mapper.operand)
        return loaded, stored

    def _matrix(self, rows: int, columns: tuple[int, int], size: int) -> _Moved:
        """`rows` rows of elements of `size` bytes, of which a tile has some columns."""
        lengths: Sequence[int] = [len(part) * size for part in cuts(*columns)]
        beat = self._mapper.beat
        beats = sum(-(-length // beat) for length in lengths)
        return _Moved(cycles=rows * run_cycles(lengths, beat), beats=rows * beats)
