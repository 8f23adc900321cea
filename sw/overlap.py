"""How the array's passes and the DMA's loads and stores overlap, and when the array runs dry.

A transfer goes on at a pace that depends on what else goes on; between the moments at which
something begins or ends nothing is looked at.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Course", "Moved", "Stage", "overlap"]

UNEVEN = 0.25
"""Of the cycles of a beat above one, at the faster of its two ports, that the slower one waits for
it: neither is even."""

BEGIN = 14
"""Cycles from the end of a load to the array's first step with it."""

HANDOVER = 3
"""Cycles from the end of a store to the first beat of a load that has waited for its region."""

AHEAD = 32
"""Beats that are read from the DRAM before the scratchpad takes them."""

NEARLY = 0.1
"""Of a stage's cycles: what is ready sooner than that is not in danger of coming too late."""

NOTHING = 1e-6
"""Beats, steps or cycles that are rounding."""


@dataclass(frozen=True)
class Moved:
    """What the DMA moves into a region of an operand, or out of it.

    Parameters
    ----------
    operand
        Whose.
    cycles
        That it takes at least, by the DRAM's port.
    beats
        At the scratchpad's port, at least one.
    """

    operand: str
    cycles: float
    beats: int

    @property
    def least(self) -> float:
        """Cycles that it takes alone."""
        return max(self.cycles, self.beats)

    @property
    def pace(self) -> float:
        """Cycles of a beat, at least."""
        return self.cycles / self.beats


@dataclass(frozen=True)
class Stage:
    """A pass.

    Parameters
    ----------
    steps
        Cycles that the array works.
    beats
        Cycles that a beat of the DMA takes meanwhile, at least, where an operand stands.
    loads
        What it waits for, in the order of the DMA. Each takes a region of its operand.
    takes
        Operands of which the pass itself takes a region, when it begins.
    frees
        Regions, by operand, that nobody uses any more when it ends.
    stores
        What is taken away when it has ended. The region is free when that is done.
    lost
        Of the steps, those in which the array does not get what it needs.
    """

    steps: int
    beats: Mapping[str, float] = field(default_factory=dict)
    loads: Sequence[Moved] = ()
    takes: Sequence[str] = ()
    frees: Sequence[tuple[str, int]] = ()
    stores: Sequence[Moved] = ()
    lost: int = 0


@dataclass(frozen=True)
class Course:
    """What became of it.

    Parameters
    ----------
    cycles
        To the end of the last store.
    stops
        How often the array has nothing to do, the end included; a stage that might have come too
        late by a little counts in part.
    """

    cycles: float
    stops: float


def overlap(
    stages: Sequence[Stage], regions: Mapping[str, int], latency: int, *, most: float = math.inf
) -> Course | None:
    """Of `stages`, whose operands have so many regions each.

    The DMA loads in order and stores in order. Both go through one port of the scratchpad, of which
    each has a half, or what the other is too slow to use. The last results of a stretch of work
    come `latency` cycles after the array's last step. None if it takes more than `most` cycles.

    Raises
    ------
    ValueError
        A stage waits for a region that nobody frees.
    """
    state = _Overlap(stages, regions, latency)
    while state.advance():
        if state.now + state.steps > most:
            return None
    if state.stage < len(stages):
        raise ValueError(f"stage {state.stage} waits for a region that nobody frees")
    return Course(state.now, state.stops)


class _Way:
    """A direction of the DMA: all that it moves, how far it is, and from when on it may go on."""

    def __init__(self, queue: Iterable[Moved] = ()) -> None:
        self.queue = list(queue)
        self.ends: list[float] = []
        self.left = self.pace = self.since = self.earliest = 0.0

    def waiting(self) -> Moved | None:
        """What comes next, if nothing goes on."""
        done = len(self.ends)
        return None if self.left or done == len(self.queue) else self.queue[done]

    def begin(self, moved: Moved, now: float, *, ahead: float = 0.0) -> None:
        """Begin it, for which the DRAM's port has been busy for so many cycles already."""
        self.since, self.left = now, moved.beats
        self.pace = (moved.cycles - ahead) / moved.beats

    def advance(self, cycles: float, pace: float, now: float) -> Moved | None:
        """Go on, to `now`; what ends then."""
        self.left -= cycles / pace
        if self.left >= NOTHING:
            return None
        self.left = 0.0
        self.ends.append(now)
        return self.queue[len(self.ends) - 1]


class _Overlap:
    """All state, at the time `now`, and at which stage; with so many steps of the array to come."""

    def __init__(self, stages: Sequence[Stage], regions: Mapping[str, int], latency: int) -> None:
        self.now, self.stops = 0.0, 0.0
        self.steps: float = sum(stage.steps for stage in stages)
        self.stages, self._latency = stages, latency
        self._free = dict(regions)
        self._loads = _Way(load for stage in stages for load in stage.loads)
        self._stores = _Way()
        # Of each stage: loads that have ended before it begins.
        self._needs = list(itertools.accumulate(len(stage.loads) for stage in stages))
        self.stage = 0
        self._left = 0.0
        self._beats: Mapping[str, float] = {}
        self._ended = -math.inf
        # Until when the DRAM's port is busy with loads.
        self._read = 0.0

    def advance(self) -> bool:
        """Go on to when next something ends or may begin; whether there is such a moment."""
        now, loads, stores = self.now, self._loads, self._stores
        ready = self._begin()
        to_load, to_store = self._paces()
        cycles = min(
            loads.left * to_load if loads.left else _later(loads.earliest - now),
            stores.left * to_store if stores.left else _later(stores.earliest - now),
            self._left if self._left else _later(ready - now),
        )
        if cycles == math.inf:
            return False
        self.now = now = now + cycles
        if loads.left and (moved := loads.advance(cycles, to_load, now)):
            # What comes next has been read as far ahead as there was room.
            since = max(self._read, loads.since - AHEAD * moved.pace)
            self._read = min(now, since + moved.cycles)
        if stores.left and (moved := stores.advance(cycles, to_store, now)):
            self._free[moved.operand] += 1
            loads.earliest = now + HANDOVER
        if self._left:
            self._left -= cycles
            self.steps -= cycles
            if self._left < NOTHING:
                self._worked()
        return True

    def _begin(self) -> float:
        """Begin what can begin; when all is loaded for the next stage, if that is known."""
        now, free, loads, stores = self.now, self._free, self._loads, self._stores
        may = now + NOTHING
        moved = loads.waiting()
        if moved and loads.earliest <= may and free[moved.operand]:
            free[moved.operand] -= 1
            most = min(AHEAD, moved.beats) * moved.pace
            loads.begin(moved, now, ahead=min(now - self._read, most))
        moved = stores.waiting()
        if moved and stores.earliest <= may:
            stores.begin(moved, now)
        if self._left or self.stage == len(self.stages):
            return math.inf
        stage, needs = self.stages[self.stage], self._needs[self.stage]
        if needs > len(loads.ends):
            return math.inf
        ready = loads.ends[needs - 1] + BEGIN if needs else now
        if ready <= may and all(free[operand] for operand in stage.takes):
            for operand in stage.takes:
                free[operand] -= 1
            self._left = stage.steps
            self._beats = stage.beats
            self.stops += self._risk(ready, stage.steps)
        return ready

    def _risk(self, ready: float, steps: int) -> float:
        """1 where the array had to wait for a stage, and part of that where it nearly had to."""
        if self.now > self._ended + NOTHING:
            return 1.0
        return max(1 - (self._ended - ready) / (NEARLY * steps), 0.0)

    def _paces(self) -> tuple[float, float]:
        """Cycles of a beat that is loaded, and of one that is stored."""
        load, store = self._loads.pace, self._stores.pace
        to_load, to_store = self._beat(self._loads), self._beat(self._stores)
        if self._loads.left and self._stores.left:
            alone = to_load, to_store
            to_load, to_store = 2 * alone[0], 2 * alone[1]
            if load > to_load:
                to_store = alone[1] / (1 - alone[0] / load)
            elif store > to_store:
                to_load = alone[0] / (1 - alone[1] / store)
        return _slower(to_load, load), _slower(to_store, store)

    def _beat(self, way: _Way) -> float:
        """Cycles of a beat at the scratchpad's port, were it for `way` alone."""
        if not self._left or not way.left:
            return 1.0
        return self._beats.get(way.queue[len(way.ends)].operand, 1.0)

    def _worked(self) -> None:
        stage = self.stages[self.stage]
        for operand, count in stage.frees:
            self._free[operand] += count
        if stage.stores:
            self._stores.queue += stage.stores
            self._stores.earliest = self.now + self._latency
        self._left, self._ended = 0.0, self.now
        self.stage += 1


def _later(cycles: float) -> float:
    """A wait; it is no matter of time where it is over already."""
    return cycles if cycles > NOTHING else math.inf


def _slower(one: float, other: float) -> float:
    """Cycles of a beat that goes through two ports, of which each takes so many."""
    return max(one, other) + UNEVEN * max(min(one, other) - 1, 0)
