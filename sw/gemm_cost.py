"""What a way to cut a matrix product into tiles costs, before anything is mapped.

An estimate of cycles, from what the DMA has to do for each tile and when the array waits for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

from .gemm import GemmMapper, GemmProblem, GemmTask
from .gemm_layout import TileShape
from .gemm_moves import GemmMoves
from .overlap import Course, Moved, Stage, beat_cycles, overlap
from .pieces import cuts
from .placement import bound_mover
from .repeat import keeps

__all__ = ["GemmEstimator"]

STOP = 6
"""Weight of a cycle in which the last results of a stretch of the array's work come out, beside the
cycle itself: a busy array is worth more than the last half per cent of cycles."""


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
        placement = mapper.placement
        self._regions = {name: len(getattr(placement, name)) for name in "abdes"}
        # What is loaded, in this order, and stored.
        self._loads = "s" * problem.to_e + "ab" + "c" * problem.with_c
        self._stores = "d" * problem.to_d + "e" * problem.to_e
        # Words of a beat at the array.
        self._words = {
            name: mover.channels
            for name in "abcde"
            if (mover := mapper.config.bound_to(f"array.{name}")) is not None
        }
        if mapper.form.row_c:
            self._words["c"] = mapper.row_c_channels.bit_count()
        self._mover_a = bound_mover(mapper.config, "array.a")
        # The last results of a stretch: down the array, and out of it.
        self._latency = 2 * mapper.array.mu + mapper.array.nu + 1

    def cost(self, tile: TileShape, tasks: Sequence[GemmTask], *, most: float = math.inf) -> float:
        """Cycles, and more for each time that the array runs dry; infinite above `most`.

        `tasks` are those of the product in tiles of `tile`, in their order, or the first of them.
        What is looked at is held to go on as it is, but for the first loads.
        """
        seen = sum(self._mapper.cycles(task.shape) for task in tasks)
        scale = self._steps(tile) / seen
        first = (scale - 1) * sum(self._moves.of_tile(name, tile, tile).least for name in "ab")
        course = self.course(tile, tasks, most=(most + first) / scale)
        if course is None:
            return math.inf
        return scale * (course.cycles + STOP * self._latency * course.stops) - first

    def course(
        self, tile: TileShape, tasks: Sequence[GemmTask], *, most: float = math.inf
    ) -> Course | None:
        """When the array works on `tasks`, and what the DMA does; None above `most` cycles."""
        stages = [self._stage(tile, task) for task in tasks]
        return overlap(stages, self._regions, self._latency, most=most)

    def _steps(self, tile: TileShape) -> int:
        """Cycles of the array."""
        whole, array = self._problem.shape, self._mapper.array
        return (
            _units(whole.m, tile.m, array.mu)
            * _units(whole.n, tile.n, array.nu)
            * _units(whole.k, tile.k, array.ku, array.mu)
        )

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
        again = dict.fromkeys("scde", 1)
        again["a"] = 1 if kept_a <= len(placement.a) else across
        again["b"] = 1 if kept_b <= len(placement.b) else down
        steps, beats = self._steps(tile), 0.0
        loads = stores = 0.0
        # For how long tiles stand in the regions of an operand: when they are worked on, loaded
        # and stored.
        stand = dict.fromkeys(self._regions, float(steps))
        for name in self._loads + self._stores:
            moved = self._moves.of_all(name, tile)
            beats += again[name] * moved.beats
            stand[moved.operand] += again[name] * moved.least
            if name in self._stores:
                stores += moved.least
                stand[moved.operand] += down * across * self._latency
            else:
                loads += again[name] * moved.least
        first = sum(self._moves.of_tile(name, tile, tile).least for name in self._loads)
        beside = beat_cycles(min(self._asked(tile, "").values()))
        cycles = max(
            first + steps,
            loads,
            stores,
            steps + beats - steps / beside,
            *(stand[name] / count for name, count in self._regions.items() if count),
        )
        return cycles + (1 + STOP) * self._latency

    def _stage(self, tile: TileShape, task: GemmTask) -> Stage:
        first, last = task.d.load, bool(task.d.freed)
        comes = {"s": last, "a": task.a.load, "b": task.b.load, "c": first}
        loads = [name for name in self._loads if comes[name]]
        stores = self._stores if last else ""
        # D has a region from its first pass on, which a load of C has taken.
        sums = "d" if first and "c" not in loads and (self._problem.to_d or not last) else ""
        frees = [("a", task.a.freed), ("b", task.b.freed), ("s", int("s" in loads))]
        # That of C, or of a partial D, which is not stored.
        if last and "d" not in stores and (self._problem.with_c or not first):
            frees.append(("d", 1))

        # What moves between the scratchpad and the array beside A and B.
        beside = ("c" if self._problem.with_c or not first else "") + (stores if last else "d")

        def moved(names: Iterable[str]) -> list[Moved]:
            return [self._moves.of_tile(name, task.shape, tile) for name in names]

        return Stage(
            steps=self._mapper.cycles(task.shape),
            asked=self._asked(task.shape, beside),
            loads=moved(loads),
            takes=[*sums, *("e" if "e" in stores else "")],
            frees=frees,
            stores=moved(stores),
        )

    def _asked(self, shape: TileShape, beside: str) -> dict[str, float]:
        """Words that A, B and operands `beside` them ask of the banks where an operand stands, by
        what these could give."""
        mapper, words = self._mapper, self._words
        array, banks, placement = mapper.array, mapper.config.memory.banks, mapper.placement
        deep, across = -(-shape.k // array.ku), -(-shape.n // array.nu)
        # A's beats of a row of tiles are fetched once, if its repeater keeps them.
        a = words["a"] / (across if keeps(self._mover_a, deep) else 1)
        often = 1 / max(deep, array.mu)
        results = often * sum(words[name] for name in beside) / banks
        everywhere = (a + words["b"]) / banks + results
        return {
            "a": min(a / placement.a[0].group + results, 1.0),
            "b": min(words["b"] / placement.b[0].group + results, 1.0),
            **dict.fromkeys("des", min(everywhere, 1.0)),
        }


@lru_cache(maxsize=1 << 12)
def _units(extent: int, piece: int, unit: int, least: int = 1) -> int:
    """Of all pieces together, where each has so many at least."""
    return sum(max(-(-len(part) // unit), least) for part in cuts(extent, piece))
