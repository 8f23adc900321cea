"""The movers' tasks of a matrix product, tied together by locks so that tiles overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .blocked import BlockedLayout
from .descriptor import BufferDescriptor
from .gemm import GemmMapper, GemmTask
from .locks import Acquire, Lock, Release, locked
from .lower import lower_rows
from .memref import MemRef
from .placement import bound_mover
from .resident import Task
from .transfer import DmaPair, Step

__all__ = ["GemmSchedule"]


class GemmSchedule:
    """What every mover does for a product, in an order in which it may be pushed.

    The tiles of each operand go round the regions of the placement. Two counting locks go with an
    operand: how many of its regions are free, and how many are full. The scratchpad end of a load
    takes a free one and gives a full one, the array's mover the other way round; a result's are
    taken by the array's mover and given back by the scratchpad end of the store. Everybody comes to
    the regions in the same order, so the counts say which. A partial D goes on as C under a lock of
    its own: under that of loaded C, the load for the next tile would let C begin before D is there.

    Each task waits only for tasks before it, so whoever pushes them may wait for room in a queue.

    Parameters
    ----------
    mapper
        The mapping.
    a, b, out, c
        The matrices.
    lock
        Gives the lock of a name, set to a value before the first task.
    """

    def __init__(
        self,
        mapper: GemmMapper,
        *,
        a: MemRef,
        b: MemRef,
        out: MemRef,
        c: MemRef | None,
        lock: Callable[[str, int], Lock],
    ) -> None:
        self.mapper = mapper
        self.a, self.b, self.out, self.c = a, b, out, c
        self.load = DmaPair.find(mapper.config, "mm2s")
        self.store = DmaPair.find(mapper.config, "s2mm")
        placement = mapper.placement
        self._free = {
            "a": lock("A free", len(placement.a)),
            "b": lock("B free", len(placement.b)),
            "d": lock("D free", len(placement.d)),
        }
        self._full = {name: lock(f"{name.upper()} full", 0) for name in "abcd"}
        self._partial = lock("D partial", 0)

    def tasks(self, tile: GemmTask, *, final: bool) -> Iterator[list[Task]]:
        """The loads, the array's part and the store of one of the mapping's tasks.

        What stands in a list is to be pushed together. The last task of the `final` store raises
        the interrupt: when it has retired, so has everything else.
        """
        yield from self._loads(tile)
        yield self._streams(tile)
        if tile.last:
            yield self._store(tile, final)

    def _loads(self, tile: GemmTask) -> Iterator[list[Task]]:
        mapper, shape = self.mapper, tile.shape
        if tile.first and self.c is not None:
            part = self.c.subview((tile.m, tile.n), (shape.m, shape.n))
            layout = mapper.layout_d(shape, tile.d)
            label = f"load C {tile.m},{tile.n}"
            yield self._load(part, layout, label, self._free["d"], self._full["c"])
        if tile.load_a:
            part = self.a.subview((tile.m, tile.k), (shape.m, shape.k))
            layout = mapper.layout_a(shape, tile.a)
            label = f"load A {tile.m},{tile.k}"
            yield self._load(part, layout, label, self._free["a"], self._full["a"])
        if tile.load_b:
            part = self.b.subview((tile.k, tile.n), (shape.k, shape.n))
            layout = mapper.layout_b(shape, tile.b)
            label = f"load B {tile.k},{tile.n}"
            yield self._load(part, layout, label, self._free["b"], self._full["b"])

    def _load(
        self, part: MemRef, layout: BlockedLayout, label: str, free: Lock, full: Lock
    ) -> list[Task]:
        pair = self.load
        walk = layout.by_rows(self.mapper.config.memory, pair.scratchpad)
        return [
            _task(pair.at_dram(_rows(pair, part, layout)), label),
            _task(pair.at_scratchpad(locked(walk, free.acquire_ge(), full.release())), label),
        ]

    def _streams(self, tile: GemmTask) -> list[Task]:
        """The array's movers."""
        with_c = self.c is not None or not tile.first
        regions = (tile.a, tile.b, tile.d)
        walks = self.mapper.streams(tile.shape, with_c=with_c, regions=regions)
        return [
            Task(
                mover=bound_mover(self.mapper.config, port).name,
                descriptor=locked(walk, *self._gates(port, tile, with_c)),
                label=_name(tile),
            )
            for port, walk in walks.items()
        ]

    def _gates(
        self, port: str, tile: GemmTask, with_c: bool
    ) -> tuple[Acquire | None, Release | None]:
        """What an array's mover takes before a tile and gives after it."""
        free, full = self._free, self._full
        match port:
            case "array.a":
                return (
                    full["a"].acquire_ge() if tile.load_a else None,
                    free["a"].release() if tile.free_a else None,
                )
            case "array.b":
                return (
                    full["b"].acquire_ge() if tile.load_b else None,
                    free["b"].release() if tile.free_b else None,
                )
            case "array.c":
                return (full["c"] if tile.first else self._partial).acquire_ge(), None
            case _:
                return (
                    None if with_c else free["d"].acquire_ge(),
                    (full["d"] if tile.last else self._partial).release(),
                )

    def _store(self, tile: GemmTask, final: bool) -> list[Task]:
        pair, layout = self.store, self.mapper.layout_d(tile.shape, tile.d)
        part = self.out.subview((tile.m, tile.n), (tile.shape.m, tile.shape.n))
        walk = layout.by_rows(self.mapper.config.memory, pair.scratchpad)
        gated = locked(walk, self._full["d"].acquire_ge(), self._free["d"].release())
        label = f"store {tile.m},{tile.n}"
        return [
            _task(pair.at_scratchpad(gated), label),
            _task(pair.at_dram(_rows(pair, part, layout)), label, interrupt=final),
        ]


def _task(step: Step, label: str, *, interrupt: bool = False) -> Task:
    mover, descriptor = step
    return Task(mover=mover, descriptor=descriptor, label=label, interrupt=interrupt)


def _name(tile: GemmTask) -> str:
    whole = tile.first and tile.last
    return f"tile {tile.m},{tile.n}" + ("" if whole else f" from k {tile.k}")


def _rows(pair: DmaPair, ref: MemRef, layout: BlockedLayout) -> BufferDescriptor:
    return lower_rows(pair.dram, ref, rows=layout.rows, row_bytes=layout.row_bytes)
