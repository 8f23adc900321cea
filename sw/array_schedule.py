"""The movers' tasks of the array's passes, tied together by locks so that tiles overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..hw.config import AcceleratorConfig
from .array_pass import ArrayPass, Move
from .blocked import contiguous
from .descriptor import BufferDescriptor
from .locks import Acquire, Lock, Release, locked
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
    but for a store, which behind the opening pass stands there when its result's mover is told to
    begin, and waits for no other after it, and for the array's first readers, behind which stands
    what they begin with.

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
        return self._lock(_free(operand), len(self._regions[operand]))

    def _full(self, operand: str) -> Lock:
        return self._lock(f"{operand.upper()} full", 0)

    def _partial(self) -> Lock:
        return self._lock("D partial", 0)

    def _begin(self) -> Lock:
        """1 from when all of the first pass's operands are there."""
        return self._lock("begin", 0)

    def tasks(self, work: ArrayPass, *, opening: bool, final: bool) -> Iterator[list[Task]]:
        """The loads, the array's part and the store of a pass.

        What stands in a list belongs together. In the `opening` pass the array's movers begin
        together, when everything is loaded. One task of the `final` store raises the
        interrupt: when it has retired, so has everything else.
        """
        if opening:
            self._take_regions(work)
        yield from self._loads(work, opening=opening)
        parts = {port: self._parts(port, work, opening) for port in work.streams}
        results = [port for port in parts if port in RESULTS]
        operands = [port for port in parts if port not in RESULTS]
        stores = [
            self._store(move, name, interrupt=final and move is work.stores[-1])
            for move, name in ((work.store, "d"), (work.store_e, "e"))
            if move is not None
        ]
        for part in range(max(map(len, parts.values()))):
            yield self._array(work, operands, parts, part)
            if opening and part == 0:
                yield self._announce(self._begin(), work)
            # The array's first result is long in coming, and its mover need not begin before that;
            # but in the opening pass, for which all wait, nothing is to come between.
            made = [self._array(work, results, parts, part)]
            yield from made + stores if opening else stores + made
            stores = []

    def _take_regions(self, work: ArrayPass) -> None:
        """The first results find a region free, for which they need not ask; but where C is loaded,
        that load has asked for it."""
        for port in RESULTS:
            name = port[-1]
            if port in work.streams and not (name == "d" and work.load_c is not None):
                self._lock(_free(name), len(self._regions[name]) - 1)

    def _loads(self, work: ArrayPass, *, opening: bool) -> Iterator[list[Task]]:
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
            silent = full != "c" if opening else full in later
            yield self._load(move, self._free(free), None if silent else self._full(full))
        if not opening:
            for full in later:
                yield self._announce(self._full(full), work)

    def _announce(self, lock: Lock, work: ArrayPass) -> list[Task]:
        """A task that does nothing but release a lock when the loads before it are done."""
        nothing = contiguous(self.config.memory, self.load.scratchpad, base=0, length=0)
        walk = locked(nothing, None, lock.release())
        return [_task(self.load.at_scratchpad(walk), work.label)]

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

    def _parts(self, port: str, work: ArrayPass, opening: bool) -> list[BufferDescriptor]:
        """What an array's mover does in a pass: what it takes before that and gives after it."""
        walk = work.streams[port]
        # C, which is loaded last, is a little ahead: its rows have to go down the array first.
        together = opening and port != "array.c"
        takes = self._begin().acquire_eq(1) if together else self._takes(port, work)
        if port == "array.d" and work.store is None:
            first, *second = (
                locked(half, None, self._partial().release()) for half in _halves(walk)
            )
            return [locked(first, takes), *second]
        if port == "array.c" and not work.first:
            *halves, last = (locked(half, self._partial().acquire_ge()) for half in _halves(walk))
            return [*halves, locked(last, None, self._gives(port, work))]
        return [locked(walk, takes, self._gives(port, work))]

    def _takes(self, port: str, work: ArrayPass) -> Acquire | None:
        match port:
            case "array.a":
                return self._full("a").acquire_ge() if work.load_a else None
            case "array.b":
                return self._full("b").acquire_ge() if work.load_b else None
            case "array.c" | "array.s":
                return self._full(port[-1]).acquire_ge()
        # C is there where a region of D's is: that of loaded C, or of a partial D.
        given = port == "array.d" and "array.c" in work.streams
        return None if given else self._free(port[-1]).acquire_ge()

    def _gives(self, port: str, work: ArrayPass) -> Release | None:
        match port:
            case "array.a":
                return self._free("a").release(work.free_a)
            case "array.b":
                return self._free("b").release(work.free_b)
            case "array.c":
                # Where nobody writes to the region after C, it is free.
                return None if "array.d" in work.streams else self._free("d").release()
            case "array.s":
                return self._free("s").release()
        return self._full(port[-1]).release()

    def _store(self, move: Move, name: str, *, interrupt: bool) -> list[Task]:
        walk = locked(move.scratchpad, self._full(name).acquire_ge(), self._free(name).release())
        return [
            _task(self.store.at_scratchpad(walk), move.label),
            _task(self.store.at_dram(move.dram), move.label, interrupt=interrupt),
        ]


def _free(operand: str) -> str:
    """The lock that counts how many of its regions are free."""
    return f"{operand.upper()} free"


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
