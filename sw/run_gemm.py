"""Runs a matrix product: the tasks of its mapping, one tile after the other."""

from __future__ import annotations

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
from .transfer import DmaPair

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
        """Run the product to its end; errors as :meth:`Program.wait`."""
        M, N, K = check_operands(self.a, self.b, self.out, self.c)
        tasks = tuple(self.mapper.tasks(M, N, K))
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

    def _run(self, task: GemmTask) -> None:
        config, program, shape = self.mapper.config, self.program, task.shape
        layout_d = self.mapper.layout_d(shape)
        loads = []
        if task.first and self.c is not None:
            loads.append((self.c.subview((task.m, task.n), (shape.m, shape.n)), layout_d))
        if task.load_a:
            ref = self.a.subview((task.m, task.k), (shape.m, shape.k))
            loads.append((ref, self.mapper.layout_a(shape)))
        if task.load_b:
            ref = self.b.subview((task.k, task.n), (shape.k, shape.n))
            loads.append((ref, self.mapper.layout_b(shape)))
        loaded = 0
        for index, (ref, layout) in enumerate(loads):
            rows = self._rows(self.load, ref, layout)
            walk = layout.by_rows(config.memory, self.load.scratchpad)
            # Refused, if at all, before the other end waits for it.
            program.encode(self.load.scratchpad.name, walk)
            self._push(self.load.dram.name, rows)
            last = index + 1 == len(loads)
            loaded = self._push(self.load.scratchpad.name, walk, interrupt=last)
            self._transfers += 1
            self._bytes_read += ref.nbytes

        with_c = self.c is not None or not task.first
        slots = []
        for port, descriptor in self.mapper.streams(shape, with_c=with_c).items():
            mover = config.bound_to(port)
            assert mover is not None, "the mapping found it"
            slots.append((mover.name, program.place(mover.name, descriptor)))
        if loads:
            program.wait(self.load.scratchpad.name, loaded, self.timeout)
        result = slots[-1][0]
        computed = 0
        for name, slot in slots:
            computed = program.push(name, slot, interrupt=name == result)

        if not task.last:
            program.wait(result, computed, self.timeout)
            return
        ref = self.out.subview((task.m, task.n), (shape.m, shape.n))
        walk = layout_d.by_rows(config.memory, self.store.scratchpad)
        source = program.place(self.store.scratchpad.name, walk)
        sink = program.place(self.store.dram.name, self._rows(self.store, ref, layout_d))
        program.wait(result, computed, self.timeout)
        program.push(self.store.scratchpad.name, source)
        stored = program.push(self.store.dram.name, sink, interrupt=True)
        program.wait(self.store.dram.name, stored, self.timeout)
        self._transfers += 1
        self._bytes_written += ref.nbytes

    def _rows(self, pair: DmaPair, ref: MemRef, layout: BlockedLayout) -> BufferDescriptor:
        return lower_rows(pair.dram, ref, rows=layout.rows, row_bytes=layout.row_bytes)

    def _push(self, mover: str, descriptor: BufferDescriptor, interrupt: bool = False) -> int:
        slot = self.program.place(mover, descriptor)
        if self._start is None:
            self._start = self._clock()
        return self.program.push(mover, slot, interrupt=interrupt)

    def _clock(self) -> int:
        return self.program.registers.read("system", "CYCLES")
