"""Runs a matrix product: the tasks of its mapping, one tile after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .blocked import BlockedLayout
from .descriptor import BufferDescriptor
from .errors import MappingError
from .gemm import GemmMapper, GemmTask
from .lower import lower_rows
from .memref import MemRef
from .program import Program
from .transfer import DmaPair, Step

__all__ = ["GemmReport", "GemmRunner", "check_operands"]

OPERAND, ACCUMULATOR = np.dtype(np.int8), np.dtype(np.int32)


def check_operands(a: MemRef, b: MemRef, out: MemRef, c: MemRef | None) -> tuple[int, int, int]:
    """M, N and K of ``out = a @ b (+ c)``.

    Raises
    ------
    MappingError
        A wrong type or shape, an empty matrix, rows that are not contiguous, or a result that lies
        over an operand (c itself may be the result).
    """
    operands = {"a": (a, OPERAND), "b": (b, OPERAND), "out": (out, ACCUMULATOR)}
    if c is not None:
        operands["c"] = (c, ACCUMULATOR)
    for name, (ref, dtype) in operands.items():
        if ref.dtype != dtype:
            raise MappingError(f"{name} has dtype {ref.dtype}: must be {dtype}")
        if len(ref.sizes) != 2 or 0 in ref.sizes:
            raise MappingError(f"{name} has shape {ref.sizes}: must be a matrix, not empty")
        if ref.sizes[1] > 1 and ref.strides[1] != 1:
            raise MappingError(
                f"{name} has strides {ref.strides}: the elements of a row must be contiguous"
            )
    (M, K), N = a.sizes, b.sizes[1]
    wanted = {"b": (b, (K, N)), "out": (out, (M, N))}
    if c is not None:
        wanted["c"] = (c, (M, N))
    for name, (ref, shape) in wanted.items():
        if ref.sizes != shape:
            raise MappingError(f"{name} has shape {ref.sizes}: with a of {a.sizes} must be {shape}")
    starts = _row_starts(out)
    if np.any(np.diff(starts) < N * out.itemsize):
        raise MappingError(f"out has strides {out.strides}: its rows overlap")
    for name, (ref, _) in operands.items():
        in_place = name == "c" and np.array_equal(_row_order(ref), _row_order(out))
        if name != "out" and not in_place and _overlaps(ref, out):
            raise MappingError(f"out lies over {name}, which is still read when tiles are stored")
    return M, N, K


def _row_order(ref: MemRef) -> npt.NDArray[np.int64]:
    """Byte address of each row, in order."""
    return ref.first_address + np.arange(ref.sizes[0]) * (ref.strides[0] * ref.itemsize)


def _row_starts(ref: MemRef) -> npt.NDArray[np.int64]:
    return np.sort(_row_order(ref))


def _overlaps(ref: MemRef, out: MemRef) -> bool:
    """Whether a row of `ref` shares a byte with a row of `out` (whose rows are disjoint)."""
    starts, width = _row_starts(out), out.sizes[1] * out.itemsize
    low = _row_starts(ref)
    high = low + ref.sizes[1] * ref.itemsize
    # The last row of `out` that begins before a row of `ref` ends is the one that could reach in.
    before = np.searchsorted(starts, high, side="left") - 1
    return bool(np.any((before >= 0) & (starts[before] + width > low)))


@dataclass(frozen=True, kw_only=True)
class GemmReport:
    """What a matrix product took.

    Parameters
    ----------
    cycles_total
        From the first push to completion, by the device's CYCLES register.
    cycles_ideal
        Array steps that its tasks need, bubbles excluded.
    macs
        Useful multiply-accumulates, M * N * K.
    dma_calls, dma_bds
        Transfers asked of the DMA, and descriptors that its movers executed for them.
    bytes_read, bytes_written
        Useful DRAM bytes; padding is not counted, for it never reaches the bus.
    tiles
        The array's tasks in order.
    """

    cycles_total: int
    cycles_ideal: int
    macs: int
    dma_calls: int
    dma_bds: int
    bytes_read: int
    bytes_written: int
    tiles: tuple[GemmTask, ...]


class GemmRunner:
    """Programs the movers for one product.

    Within a task the loads are pushed and, while they run, the descriptors of the array's movers
    are written; the array starts when the loads have retired, the store when D has.

    Parameters
    ----------
    program
        The movers.
    mapper
        The mapping.
    a, b, out, c
        Matrices as `check_operands` wants them.
    timeout
        Cycles for every single wait.
    """

    def __init__(
        self,
        program: Program,
        mapper: GemmMapper,
        *,
        a: MemRef,
        b: MemRef,
        out: MemRef,
        c: MemRef | None,
        timeout: int,
    ) -> None:
        self.program = program
        self.mapper = mapper
        self.a, self.b, self.out, self.c = a, b, out, c
        self.timeout = timeout
        self.load = DmaPair.find(mapper.config, "mm2s")
        self.store = DmaPair.find(mapper.config, "s2mm")
        self._start: int | None = None
        self._transfers = self._bytes_read = self._bytes_written = 0

    def run(self) -> GemmReport:
        """Run the product to its end.

        Raises
        ------
        MappingError, DescriptorError
            A descriptor of some task is impossible: nothing was pushed.
        DeviceError, DeviceTimeout, QueueFullError
            As :meth:`Program.wait`.
        """
        M, N, K = check_operands(self.a, self.b, self.out, self.c)
        tasks = tuple(self.mapper.tasks(M, N, K))
        self._check(tasks)
        for task in tasks:
            self._run(task)
        assert self._start is not None
        return GemmReport(
            cycles_total=(self._clock() - self._start) % (1 << 32),
            cycles_ideal=sum(self.mapper.steps(task.shape) for task in tasks),
            macs=M * N * K,
            dma_calls=self._transfers,
            dma_bds=2 * self._transfers,
            bytes_read=self._bytes_read,
            bytes_written=self._bytes_written,
            tiles=tasks,
        )

    def _check(self, tasks: Sequence[GemmTask]) -> None:
        """Encode what tasks of every kind push: those of one kind differ in DRAM addresses only."""
        kinds = {(t.shape, t.load_a, t.load_b, t.first, t.last): t for t in tasks}
        for task in kinds.values():
            loads = self._loads(task)
            steps = [s for _, ref, layout in loads for s in self._load_steps(ref, layout)]
            for mover, descriptor in (*steps, *self._stream_steps(task), *self._store_steps(task)):
                self.program.encode(mover, descriptor)

    def _run(self, task: GemmTask) -> None:
        program = self.program
        ends = (self.load.dram, self.load.scratchpad)
        room = min(min(mover.queue_depth, mover.descriptors) for mover in ends)
        loads, loaded = self._loads(task), 0
        for index, (label, ref, layout) in enumerate(loads):
            if index >= room:
                program.wait(self.load.scratchpad.name, loaded, self.timeout)
            source, sink = self._load_steps(ref, layout)
            self._push(*source, label=label)
            awaited = index + 1 == len(loads) or index + 1 >= room
            loaded = self._push(*sink, label=label, interrupt=awaited)
            self._transfers += 1
            self._bytes_read += ref.nbytes

        slots = [(mover, program.place(mover, bd)) for mover, bd in self._stream_steps(task)]
        if loads:
            program.wait(self.load.scratchpad.name, loaded, self.timeout)
        result = slots[-1][0]
        computed = 0
        for name, slot in slots:
            computed = program.push(name, slot, interrupt=name == result, label=_tile(task))

        stores = [(mover, program.place(mover, bd)) for mover, bd in self._store_steps(task)]
        program.wait(result, computed, self.timeout)
        stored = 0
        for name, slot in stores:
            last = name == self.store.dram.name
            stored = program.push(name, slot, interrupt=last, label=f"store {task.m},{task.n}")
        if stores:
            program.wait(self.store.dram.name, stored, self.timeout)
            self._transfers += 1
            self._bytes_written += task.shape.m * task.shape.n * self.out.itemsize

    def _loads(self, task: GemmTask) -> list[tuple[str, MemRef, BlockedLayout]]:
        """The pieces of operands that a task brings in: name, place in DRAM, layout here."""
        shape, loads = task.shape, []
        if task.first and self.c is not None:
            ref = self.c.subview((task.m, task.n), (shape.m, shape.n))
            loads.append((f"load C {task.m},{task.n}", ref, self.mapper.layout_d(shape)))
        if task.load_a:
            ref = self.a.subview((task.m, task.k), (shape.m, shape.k))
            loads.append((f"load A {task.m},{task.k}", ref, self.mapper.layout_a(shape)))
        if task.load_b:
            ref = self.b.subview((task.k, task.n), (shape.k, shape.n))
            loads.append((f"load B {task.k},{task.n}", ref, self.mapper.layout_b(shape)))
        return loads

    def _load_steps(self, ref: MemRef, layout: BlockedLayout) -> tuple[Step, Step]:
        pair = self.load
        walk = layout.by_rows(self.mapper.config.memory, pair.scratchpad)
        return (pair.dram.name, _rows(pair, ref, layout)), (pair.scratchpad.name, walk)

    def _stream_steps(self, task: GemmTask) -> list[Step]:
        """What the array's movers do, the result's last."""
        with_c = self.c is not None or not task.first
        steps = []
        for port, descriptor in self.mapper.streams(task.shape, with_c=with_c).items():
            mover = self.mapper.config.bound_to(port)
            assert mover is not None, "the mapping found it"
            steps.append((mover.name, descriptor))
        return steps

    def _store_steps(self, task: GemmTask) -> tuple[Step, ...]:
        if not task.last:
            return ()
        pair, layout = self.store, self.mapper.layout_d(task.shape)
        ref = self.out.subview((task.m, task.n), (task.shape.m, task.shape.n))
        walk = layout.by_rows(self.mapper.config.memory, pair.scratchpad)
        return (pair.scratchpad.name, walk), (pair.dram.name, _rows(pair, ref, layout))

    def _push(
        self, mover: str, descriptor: BufferDescriptor, *, label: str, interrupt: bool = False
    ) -> int:
        slot = self.program.place(mover, descriptor)
        if self._start is None:
            self._start = self._clock()
        return self.program.push(mover, slot, interrupt=interrupt, label=label)

    def _clock(self) -> int:
        return self.program.registers.read("system", "CYCLES")


def _tile(task: GemmTask) -> str:
    whole = task.first and task.last
    return f"tile {task.m},{task.n}" + ("" if whole else f" from k {task.k}")


def _rows(pair: DmaPair, ref: MemRef, layout: BlockedLayout) -> BufferDescriptor:
    return lower_rows(pair.dram, ref, rows=layout.rows, row_bytes=layout.row_bytes)
