"""The movers' tasks of the array's passes, tied together by locks so that tiles overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..hw.config import AcceleratorConfig
from .array_pass import ArrayPass, Move
from .blocked import contiguous
from .descriptor import BufferDescriptor
from .locks import Lock, locked
from .placement import Placement, bound_mover
from .repeat import replayed
from .resident import Task
from .transfer import DmaPair, Step

__all__ = ["ArraySchedule"]

RESULTS = ("array.d", "array.e")


class ArraySchedule:
    """What every mover does for a run of passes, in an order in which it may be pushed.

    The tiles of each operand go round the regions of the placement. Two counting locks go with an
    operand: how many of its regions are free, and how many are full. The scratchpad end of a load
    takes a free one and gives a full one, the array's mover the other way round; a result's are
    taken by the array's mover and given back by the scratchpad end of the store. Everybody comes to
    the regions in the same order, so the counts say which. A partial D goes on as C under a lock of
    its own: under that of loaded C, the load for the next tile would let C begin before D is there.
    It does so in two halves, each a task of D and one of C: C fetches the first while the array
    makes the second, and so nobody waits for the last of it to be written.

    What a mover of the array would fetch again at once is left to its repeater, if it has one.

    Each task waits only for tasks before it, so whoever pushes them may wait for room in a queue;
    but for a store, which stands there when its result's mover is told to begin, and waits for no
    other after it.

    Parameters
    ----------
    config
        The system.
    placement
        Where tiles stand.
    lock
        Gives the lock of a name, set to a value before the first task that names it.
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
        self._lock = lock
        self._regions = {name: getattr(placement, name) for name in "abdes"}

    def _free(self, operand: str) -> Lock:
        return self._lock(f"{operand.upper()} free", len(self._regions[operand]))

    def _full(self, operand: str) -> Lock:
        return self._lock(f"{operand.upper()} full", 0)

    def _partial(self) -> Lock:
        return self._lock("D partial", 0)

    def _room(self) -> Lock:
        """Of the first D, where it takes no free region: C was loaded in its place."""
        return self._lock("D room", 0)

    def tasks(self, work: ArrayPass, *, opening: bool, final: bool) -> Iterator[list[Task]]:
        """The loads, the array's part and the store of a pass.

        What stands in a list belongs together. In the `opening` pass D begins with its operands,
        else with the end of the D before it, if its region is free. One task of the `final` store
        raises the interrupt: when it has retired, so has everything else.
        """
        with_room = opening and work.load_c is not None and "array.d" in work.streams
        yield from self._loads(work, with_room=with_room)
        parts = {port: self._parts(port, work, with_room) for port in work.streams}
        results = [port for port in parts if port in RESULTS]
        operands = [port for port in parts if port not in RESULTS]
        stores = [
            self._store(move, name, interrupt=final and move is work.stores[-1])
            for move, name in ((work.store, "d"), (work.store_e, "e"))
            if move is not None
        ]
        for part in range(max(map(len, parts.values()))):
            yield self._array(work, operands, parts, part)
            # The array's first result is long in coming; its mover need not begin before that.
            yield from stores
            stores = []
            yield self._array(work, results, parts, part)

    def _loads(self, work: ArrayPass, *, with_room: bool) -> Iterator[list[Task]]:
        # The array begins with its operands, and wants E's parameters soon after. C comes last: it
        # is loaded where D will be written, which is free only when what stood there is stored.
        loads = [
            (move, free, full)
            for move, free, full in (
                (work.load_s, "s", "s"),
                (work.load_a, "a", "a"),
                (work.load_b, "b", "b"),
                (work.load_c, "d", "c"),
            )
            if move is not None
        ]
        # Readers begin together: one that began when there is but its own operand would only wait.
        later = [full for _, _, full in loads[:-1] if full != "s"]
        for move, free, full in loads:
            yield self._load(move, self._free(free), None if full in later else self._full(full))
        begins = [self._full(full) for full in later] + [self._room()] * with_room
        for lock in begins:
            nothing = contiguous(self.config.memory, self.load.scratchpad, base=0, length=0)
            walk = locked(nothing, None, lock.release())
            yield [_task(self.load.at_scratchpad(walk), work.label)]

    def _array(
        self,
        work: ArrayPass,
        ports: Sequence[str],
        parts: Mapping[str, Sequence[BufferDescriptor]],
        part: int,
    ) -> list[Task]:
        movers = {port: bound_mover(self.config, port) for port in ports if part < len(parts[port])}
        return [
            Task(
                mover=mover.name,
                descriptor=replayed(mover, parts[port][part]),
                label=work.label,
            )
            for port, mover in movers.items()
        ]

    def _load(self, move: Move, free: Lock, full: Lock | None) -> list[Task]:
        walk = locked(move.scratchpad, free.acquire_ge(), None if full is None else full.release())
        return [
            _task(self.load.at_dram(move.dram), move.label),
            _task(self.load.at_scratchpad(walk), move.label),
        ]

    def _parts(self, port: str, work: ArrayPass, with_room: bool) -> list[BufferDescriptor]:
        """What an array's mover does in a pass: what it takes before that and gives after it."""
        walk = work.streams[port]
        match port:
            case "array.a":
                full_a = self._full("a").acquire_ge() if work.load_a else None
                return [locked(walk, full_a, self._free("a").release(work.free_a))]
            case "array.b":
                full_b = self._full("b").acquire_ge() if work.load_b else None
                return [locked(walk, full_b, self._free("b").release(work.free_b))]
            case "array.c":
                return self._parts_of_c(walk, work)
            case "array.e":
                return [locked(walk, self._free("e").acquire_ge(), self._full("e").release())]
            case "array.s":
                return [locked(walk, self._full("s").acquire_ge(), self._free("s").release())]
        # C is there where a region is: that of loaded C, or of a partial D.
        free_d = None if "array.c" in work.streams else self._free("d").acquire_ge()
        if with_room:
            free_d = self._room().acquire_ge()
        if work.store is not None:
            return [locked(walk, free_d, self._full("d").release())]
        first, *second = (locked(half, None, self._partial().release()) for half in _halves(walk))
        return [locked(first, free_d), *second]

    def _parts_of_c(self, walk: BufferDescriptor, work: ArrayPass) -> list[BufferDescriptor]:
        """Where nobody writes to the region after C, it is free."""
        free_d = None if "array.d" in work.streams else self._free("d").release()
        if work.first:
            return [locked(walk, self._full("c").acquire_ge(), free_d)]
        *halves, last = _halves(walk)
        partial = self._partial().acquire_ge()
        return [*(locked(half, partial) for half in halves), locked(last, partial, free_d)]

    def _store(self, move: Move, name: str, *, interrupt: bool) -> list[Task]:
        walk = locked(move.scratchpad, self._full(name).acquire_ge(), self._free(name).release())
        return [
            _task(self.store.at_scratchpad(walk), move.label),
            _task(self.store.at_dram(move.dram), move.label, interrupt=interrupt),
        ]


def _halves(walk: BufferDescriptor) -> list[BufferDescriptor]:
    """`walk` in two parts, or in one where it has one row."""
    level = max((level for level, bound in enumerate(walk.bounds) if bound > 1), default=None)
    if level is None:
        return [walk]
    bound = walk.bounds[level]
    first = -(-bound // 2)
    parts = []
    for start, count in ((0, first), (first, bound - first)):
        bounds = (*walk.bounds[:level], count, *walk.bounds[level + 1 :])
        base = walk.base + start * walk.strides[level]
        parts.append(replace(walk, base=base, bounds=bounds))
    return parts


def _task(step: Step, label: str, *, interrupt: bool = False) -> Task:
    mover, descriptor = step
    return Task(mover=mover, descriptor=descriptor, label=label, interrupt=interrupt)
