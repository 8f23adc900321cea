"""Runs the array's passes: their tasks, overlapped by locks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..hw.config import AcceleratorConfig
from .allocator import Allocator
from .array_pass import ArrayPass
from .array_schedule import ArraySchedule
from .commands import Push
from .loaded import LoadedSequence
from .placement import Placement
from .player import play
from .program import Program
from .resident import TaskList

__all__ = ["ArrayReport", "ArrayRunner"]


@dataclass(frozen=True, kw_only=True)
class ArrayReport:
    """What a matrix product or a convolution took.

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
        Useful multiply-accumulates.
    dma_calls, dma_bds
        Transfers asked of the DMA, and descriptors that its movers executed for them.
    bytes_read, bytes_written
        Useful DRAM bytes; padding is not counted, for it never reaches the bus.
    tiles
        Passes of the array.
    """

    via: str
    cycles_total: int
    cycles_ideal: int
    macs: int
    dma_calls: int
    dma_bds: int
    bytes_read: int
    bytes_written: int
    tiles: int


class ArrayRunner:
    """Runs passes: writes down all of their tasks, then has them played.

    By the sequencer, as one program in device memory; by the host where there is none.

    Parameters
    ----------
    config
        The system.
    placement
        Where the passes' tiles stand.
    passes
        At least one; the last has a store.
    macs
        Useful multiply-accumulates in them.

    Attributes
    ----------
    commands : list of :data:`~weft.sw.commands.Command`
        What the movers are asked for.

    Raises
    ------
    MappingError, DescriptorError, SequenceError
        They are impossible: nothing was pushed.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        *,
        placement: Placement,
        passes: Iterable[ArrayPass],
        macs: int,
    ) -> None:
        work = list(passes)
        tasks = TaskList(config)
        schedule = ArraySchedule(config, placement, tasks.lock)
        ends = [
            m.name for pair in (schedule.load, schedule.store) for m in (pair.dram, pair.scratchpad)
        ]
        descriptors = 0
        for each in work:
            for group in schedule.tasks(each, opening=each is work[0], final=each is work[-1]):
                tokens = tasks.push(group)
                descriptors += sum(task.mover in ends for task in group)
                if any(task.interrupt for task in group):
                    end = tokens[-1]
        tasks.wait(end)
        self.commands = tasks.commands
        self._after = tasks.lock_resets
        loads = [load.nbytes for each in work for load in each.loads]
        stores = [store.nbytes for each in work for store in each.stores]
        self._report = ArrayReport(
            via="registers" if config.sequencer is None else "program",
            cycles_total=0,
            cycles_ideal=sum(each.steps for each in work),
            macs=macs,
            dma_calls=len(loads) + len(stores),
            dma_bds=descriptors,
            bytes_read=sum(loads),
            bytes_written=sum(stores),
            tiles=len(work),
        )

    def run(self, program: Program, allocator: Allocator, timeout: int) -> ArrayReport:
        """Run them to their end; `timeout` is in cycles, for every single wait.

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
