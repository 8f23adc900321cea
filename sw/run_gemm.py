"""Runs a matrix product: the tasks of its mapping, overlapped by locks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..hw.config import AcceleratorConfig
from .allocator import Allocator
from .commands import Push
from .errors import MappingError
from .gemm import GemmMapper, GemmTask
from .gemm_schedule import GemmSchedule
from .loaded import LoadedSequence
from .memref import MemRef
from .player import play
from .program import Program
from .resident import TaskList

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
    via
        ``program``: the sequencer played it. ``registers``: the host did, over the register bus.
    cycles_total
        To completion from the doorbell, by the sequencer's count; or from the first push, by the
        device's CYCLES register.
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

    via: str
    cycles_total: int
    cycles_ideal: int
    macs: int
    dma_calls: int
    dma_bds: int
    bytes_read: int
    bytes_written: int
    tiles: tuple[GemmTask, ...]


class GemmRunner:
    """Runs one product: writes down all of its tasks, then has them played.

    By the sequencer, as one program in device memory; by the host where there is none.

    Parameters
    ----------
    config
        The system.
    a, b, out, c
        Matrices as `check_operands` wants them.

    Attributes
    ----------
    commands : list of :data:`~weft.sw.commands.Command`
        What the movers are asked for.

    Raises
    ------
    MappingError, DescriptorError, SequenceError
        The product is impossible: nothing was pushed.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        *,
        a: MemRef,
        b: MemRef,
        out: MemRef,
        c: MemRef | None,
    ) -> None:
        M, N, K = check_operands(a, b, out, c)
        mapper = GemmMapper.for_product(config, M, N, K)
        tiles = mapper.tasks(M, N, K)
        tasks = TaskList(config)
        schedule = GemmSchedule(mapper, a=a, b=b, out=out, c=c, lock=tasks.lock)
        for tile in tiles:
            for group in schedule.tasks(tile, final=tile is tiles[-1]):
                end = tasks.push(group)[-1]
        tasks.wait(end)
        self.commands = tasks.commands
        self._after = tasks.lock_resets
        loads_c = [tile.shape.m * tile.shape.n for tile in tiles if tile.first and c is not None]
        loads_a = [tile.shape.m * tile.shape.k for tile in tiles if tile.load_a]
        loads_b = [tile.shape.k * tile.shape.n for tile in tiles if tile.load_b]
        transfers = len([*loads_a, *loads_b, *loads_c]) + sum(tile.last for tile in tiles)
        self._report = GemmReport(
            via="registers" if config.sequencer is None else "program",
            cycles_total=0,
            cycles_ideal=sum(mapper.steps(tile.shape) for tile in tiles),
            macs=M * N * K,
            dma_calls=transfers,
            dma_bds=2 * transfers,
            bytes_read=sum([*loads_a, *loads_b]) * a.itemsize + sum(loads_c) * out.itemsize,
            bytes_written=M * N * out.itemsize,
            tiles=tuple(tiles),
        )

    def run(self, program: Program, allocator: Allocator, timeout: int) -> GemmReport:
        """Run the product to its end; `timeout` is in cycles, for every single wait.

        Memory of `allocator` that a program takes is given back, whatever happens; see
        :meth:`LoadedProgram.free`.

        Raises
        ------
        AllocationError
            The program does not fit the device's memory: nothing was pushed.
        DeviceError, DeviceTimeout, QueueFullError, ProgramStopped
            As :meth:`Program.wait` and :meth:`LoadedSequence.run`.
        """
        if self._report.via == "program":
            cycles = self._ring(program, allocator, timeout)
        else:
            cycles = self._play(program, timeout)
        play(program, self._after, timeout=timeout)
        return replace(self._report, cycles_total=cycles)

    def _ring(self, program: Program, allocator: Allocator, timeout: int) -> int:
        """Have the sequencer play the commands; the cycles that it took."""
        loaded = LoadedSequence(program, allocator, self.commands)
        try:
            return loaded.run(timeout=timeout).cycles
        finally:
            loaded.free()

    def _play(self, program: Program, timeout: int) -> int:
        """Play the commands over the register bus; the cycles from the first push on."""
        begin = next(i for i, command in enumerate(self.commands) if isinstance(command, Push))
        play(program, self.commands[:begin], timeout=timeout)
        start = program.registers.read("system", "CYCLES")
        play(program, self.commands[begin:], timeout=timeout)
        return (program.registers.read("system", "CYCLES") - start) % (1 << 32)
