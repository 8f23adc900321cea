"""What the array's passes cost: cycles, from what the DMA has to do and when the array waits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..hw.config import AcceleratorConfig
from .demand import Demand
from .overlap import BEGIN, Course, Moved, Stage, overlap
from .placement import Placement
from .residency import Use

__all__ = ["ArrayEstimator", "Effort", "Total"]

STOP = 6
"""Weight of a cycle in which the array does not get what it needs, or the last results of a stretch
of its work come out, beside the cycle itself: a busy array is worth more than the last half per
cent of cycles."""

TURN, LATE = 110, 4
"""Cycles until a partial D has come back as C. Half a pass hides that; of LATE cycles beyond one is
lost."""

PUSH = 100
"""Cycles from when the first pass begins until the next can: its tasks are pushed one by one."""


@dataclass(frozen=True)
class Effort:
    """What a pass asks of the array and of its banks.

    Parameters
    ----------
    steps
        Cycles that the array works.
    lost
        Cycles beside them in which A's channels wait for one another.
    a, b
        Words of each that come from the banks, in a cycle.
    results
        Beats of the result, in a cycle.
    """

    steps: int
    lost: int
    a: float
    b: float
    results: float


@dataclass(frozen=True)
class Total:
    """What the DMA moves of an operand, and how often all of it; see :class:`Moved`."""

    moved: Moved
    again: int = 1


class ArrayEstimator:
    """What orders of passes cost with one placement, be they of a product or of a convolution.

    Operands are called ``a``, ``b``, ``c``, ``s``, ``d`` and ``e``.

    Parameters
    ----------
    config
        A system with an array.
    placement
        Where tiles stand.
    with_c
        Whether a result adds to something that is loaded.
    row_c
        Words of that for a beat of the result, where it is one row.
    to_d, to_e
        Whether results are int32, and whether they are int8.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        placement: Placement,
        *,
        with_c: bool,
        row_c: int | None,
        to_d: bool,
        to_e: bool,
    ) -> None:
        array = config.array
        assert array is not None, "the mapper saw to it"
        self._with_c, self._to_d = with_c, to_d
        self._regions = {name: len(getattr(placement, name)) for name in "abdes"}
        self._demand = Demand(config.memory, placement)
        # What is loaded, in this order, and stored.
        self.loads = "s" * to_e + "ab" + "c" * with_c
        self.stores = "d" * to_d + "e" * to_e
        # Words of a beat at the array.
        self._words = {
            name: mover.channels
            for name in "cde"
            if (mover := config.bound_to(f"array.{name}")) is not None
        }
        if row_c is not None:
            self._words["c"] = row_c
        self._found: dict[tuple[Effort, str], tuple[dict[str, float], set[str]]] = {}
        # The last results of a stretch: down the array, and out of it.
        self._latency = 2 * array.mu + array.nu + 1

    def stage(
        self, effort: Effort, *, a: Use, b: Use, d: Use, moved: Callable[[str], Moved]
    ) -> Stage:
        """The pass that uses its operands so, of which `moved` tells what the DMA has to move."""
        first, last = d.load, bool(d.freed)
        comes = {"s": last, "a": a.load, "b": b.load, "c": first}
        loads = [name for name in self.loads if comes[name]]
        stores = self.stores if last else ""
        # D has a region from its first pass on, which a load of C has taken.
        sums = "d" if first and "c" not in loads and (self._to_d or not last) else ""
        frees = [("a", a.freed), ("b", b.freed), ("s", int("s" in loads))]
        # That of C, or of a partial D, which is not stored.
        if last and "d" not in stores and (self._with_c or not first):
            frees.append(("d", 1))

        # What moves between the scratchpad and the array beside A and B.
        beside = ("c" if self._with_c or not first else "") + (stores if last else "d")
        beats, full = self._beside(effort, beside)
        brings, takes = [moved(name) for name in loads], [moved(name) for name in stores]
        # A beat that comes in nevertheless takes a cycle of the array.
        lost = effort.lost
        lost += sum(each.beats for each in (*brings, *takes) if each.operand in full)
        if not first:
            lost += max(TURN - effort.steps // 2, 0) // LATE
        return Stage(
            steps=effort.steps + lost,
            beats=beats,
            loads=brings,
            takes=[*sums, *("e" if "e" in stores else "")],
            frees=frees,
            stores=takes,
            lost=lost,
        )

    def course(self, stages: Sequence[Stage], *, most: float = math.inf) -> Course | None:
        """When the array works on `stages`, and what the DMA does; None above `most` cycles."""
        if len(stages) > 1:
            first, *others = stages
            stages = [replace(first, steps=max(first.steps, PUSH)), *others]
        return overlap(stages, self._regions, self._latency, most=most)

    def cost(
        self, stages: Sequence[Stage], *, scale: float, first: float, most: float = math.inf
    ) -> float:
        """Cycles, and more for those in which the array waits or runs dry; infinite above `most`.

        There is so many times as much to do as `stages` are. What follows them is held to go on as
        they do, but for loads in the `first` so many cycles.
        """
        once = (scale - 1) * first
        course = self.course(stages, most=(most + once) / scale)
        if course is None:
            return math.inf
        idle = self._latency * course.stops + sum(stage.lost for stage in stages)
        return scale * (course.cycles + STOP * idle) - once

    def bound(
        self,
        effort: Effort,
        totals: Mapping[str, Total],
        *,
        results: int,
        first: float,
        last: float,
    ) -> float:
        """What it costs at least, whatever waits for what.

        Parameters
        ----------
        effort
            Of all passes together.
        totals
            What the DMA moves of each operand.
        results
            Tiles of the result.
        first
            Cycles of loads before the array begins.
        last
            Cycles of stores behind its end.
        """
        steps, beats = effort.steps, 0.0
        loads = stores = 0.0
        # For how long tiles stand in the regions of an operand: when they are worked on, loaded
        # and stored.
        stand = dict.fromkeys(self._regions, float(steps))
        for name in self.loads + self.stores:
            moved, again = totals[name].moved, totals[name].again
            beats += again * moved.beats
            stand[moved.operand] += again * moved.least
            if name in self.stores:
                stores += moved.least
                stand[moved.operand] += results * self._latency
            else:
                loads += again * moved.least
        beside = min(self._beside(effort, "")[0].values())
        cycles = max(
            first + BEGIN + steps + effort.lost + last,
            loads,
            stores,
            steps + beats - steps / beside,
            *(stand[name] / count for name, count in self._regions.items() if count),
        )
        return cycles + (1 + STOP) * self._latency + STOP * effort.lost

    def _beside(self, effort: Effort, names: str) -> tuple[dict[str, float], set[str]]:
        """Cycles of a beat of the DMA where each operand stands, beside A, B and operands `names`
        of the array; and where these ask for all that the banks give."""
        key = effort, names
        if key not in self._found:
            words = {"a": effort.a, "b": effort.b}
            words |= {name: effort.results * self._words[name] for name in names}
            asked = self._demand.asked(words)
            beats = {name: self._demand.beat_cycles(share) for name, share in asked.items()}
            self._found[key] = beats, {name for name, share in asked.items() if share == 1}
        return self._found[key]
