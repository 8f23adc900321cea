"""The movers' tasks of the array's passes, tied together by locks so that tiles overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..hw.config import AcceleratorConfig
from .array_pass import ArrayPass, Move
from .locks import Acquire, Lock, Release, locked
from .placement import Placement, bound_mover
from .resident import Task
from .transfer import DmaPair, Step

__all__ = ["ArraySchedule"]


class ArraySchedule:
    """What every mover does for a run of passes, in an order in which it may be pushed.

    The tiles of each operand go round the regions of the placement. Two counting locks go with an
    operand: how many of its regions are free, and how many are full. The scratchpad end of a load
    takes a free one and gives a full one, the array's mover the other way round; a result's are
    taken by the array's mover and given back by the scratchpad end of the store. Everybody comes to
    the regions in the same order, so the counts say which. A partial D goes on as C under a lock of
    its own: under that of loaded C, the load for the next tile would let C begin before D is there.

    Each task waits only for tasks before it, so whoever pushes them may wait for room in a queue.

    Parameters
    ----------
    config
        The system.
    placement
        Where tiles stand.
    lock
        Gives the lock of a name, set to a value before the first task.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        placement: Placement,
        lock: Callable[[str, int], Lock],
    ) -> None:
        self.config = config
        self.load = DmaPair.find(config, "mm2s")
        self.store = DmaPair.find(config, "s2mm")
        self._free = {
            "a": lock("A free", len(placement.a)),
            "b": lock("B free", len(placement.b)),
            "d": lock("D free", len(placement.d)),
        }
        self._full = {name: lock(f"{name.upper()} full", 0) for name in "abcd"}
        self._partial = lock("D partial", 0)

    def tasks(self, work: ArrayPass, *, final: bool) -> Iterator[list[Task]]:
        """The loads, the array's part and the store of a pass.

        What stands in a list is to be pushed together. The last task of the `final` store raises
        the interrupt: when it has retired, so has everything else.
        """
        # C is loaded where D will be written.
        for move, free, full in (
            (work.load_c, "d", "c"),
            (work.load_a, "a", "a"),
            (work.load_b, "b", "b"),
        ):
            if move is not None:
                yield self._load(move, self._free[free], self._full[full])
        yield [
            Task(
                mover=bound_mover(self.config, port).name,
                descriptor=locked(walk, *self._gates(port, work)),
                label=work.label,
            )
            for port, walk in work.streams.items()
        ]
        if work.store is not None:
            yield self._store(work.store, final)

    def _load(self, move: Move, free: Lock, full: Lock) -> list[Task]:
        walk = locked(move.scratchpad, free.acquire_ge(), full.release())
        return [
            _task(self.load.at_dram(move.dram), move.label),
            _task(self.load.at_scratchpad(walk), move.label),
        ]

    def _gates(self, port: str, work: ArrayPass) -> tuple[Acquire | None, Release | None]:
        """What an array's mover takes before a pass and gives after it."""
        free, full = self._free, self._full
        match port:
            case "array.a":
                return (
                    full["a"].acquire_ge() if work.load_a else None,
                    free["a"].release(work.free_a),
                )
            case "array.b":
                return (
                    full["b"].acquire_ge() if work.load_b else None,
                    free["b"].release(work.free_b),
                )
            case "array.c":
                return (full["c"] if work.first else self._partial).acquire_ge(), None
            case _:
                return (
                    None if "array.c" in work.streams else free["d"].acquire_ge(),
                    (full["d"] if work.store else self._partial).release(),
                )

    def _store(self, move: Move, final: bool) -> list[Task]:
        walk = locked(move.scratchpad, self._full["d"].acquire_ge(), self._free["d"].release())
        return [
            _task(self.store.at_scratchpad(walk), move.label),
            _task(self.store.at_dram(move.dram), move.label, interrupt=final),
        ]


def _task(step: Step, label: str, *, interrupt: bool = False) -> Task:
    mover, descriptor = step
    return Task(mover=mover, descriptor=descriptor, label=label, interrupt=interrupt)
