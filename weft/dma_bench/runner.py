"""Moves the patterns on a simulated system, checks every byte, and takes the slope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hw.config import AcceleratorConfig
from ..sim.simulation import Simulation
from ..sw.blocked import contiguous
from ..sw.descriptor import BufferDescriptor
from ..sw.device import MODES, Device
from ..sw.doorbell import LoadedProgram
from ..sw.errors import DeviceTimeout
from ..sw.words import ProgramWords
from .patterns import Case, Walk
from .systems import dma_system, open_system

__all__ = ["Runner"]

SOURCE, TARGET, STAGE = 0x01_0000, 0x30_0000, 0x60_0000
"""Offsets in DRAM: what is read, what is written, and the scratchpad's content."""
AREA = 0x2F_0000
TIMEOUT = 200_000
FILL = 0xAA
SENT = 64, 64
"""Rows and bytes a row of what the driver's modes are compared with."""


class Runner:
    """A bus width, an engine and a memory latency; opens the systems that the paths need.

    Parameters
    ----------
    bus_bits
        Width of the AXI4 data channels.
    latency
        Of the memory, see :func:`~weft.dma_bench.systems.open_system`.
    outstanding
        Bursts in flight in each direction.
    engine
        ``python`` or ``verilator``.
    report, progress
        As for :func:`~weft.engines.simulate`.
    """

    def __init__(
        self,
        *,
        bus_bits: int,
        latency: int,
        outstanding: int,
        engine: str,
        report: Callable[[str], None] = lambda text: None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.bus_bits = bus_bits
        self.latency = latency
        self.outstanding = outstanding
        self.config = dma_system(bus_bits, outstanding)
        self._options: dict[str, Any] = {
            "latency": latency,
            "report": report,
            "progress": progress,
        }
        self._engine = engine
        self._systems: dict[bool, _System] = {}

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *exception: object) -> None:
        for system in self._systems.values():
            system.simulation.close()
        self._systems.clear()

    def measure(self, case: Case) -> dict[str, Any]:
        """The row of `case`: its columns are those of the public table, and ``ok``."""
        system = self._system(sequencer=case.pattern == "sequencer")
        (shorter, few), (longer, many) = (system.move(case, count) for count in case.counts)
        width = self.bus_bits // 8
        rows = [case.walk(count).nbytes // case.row_bytes for count in case.counts]
        cycles = longer - shorter
        peak = (rows[1] - rows[0]) * case.row_bytes / width
        floor = peak / case.floor_cycles(width, self.latency, self.outstanding)
        return {
            "path": case.path,
            "bus_bits": self.bus_bits,
            "latency": self.latency,
            "pattern": case.pattern,
            "row_bytes": case.row_bytes,
            "src_offset": case.source_offset,
            "dst_offset": case.target_offset,
            "outstanding": self.outstanding,
            "rows": rows[1] - rows[0],
            "cycles": cycles,
            "beats": many - few,
            "beats_floor": case.beats(width),
            "utilization": round(peak / cycles, 4),
            "floor": round(floor, 4),
            "mode": "program" if case.pattern in ("repeat", "copies", "sequencer") else "sg",
            "ok": system.exact,
        }

    def compare_modes(self) -> list[dict[str, Any]]:
        """The same send in each of the driver's modes, a row each, with what it counts."""
        rows = []
        for mode in MODES:
            counts = self._system(sequencer=False).send(mode)
            rows.append(
                {
                    "path": "dram-spm",
                    "bus_bits": self.bus_bits,
                    "latency": self.latency,
                    "pattern": "send",
                    "row_bytes": SENT[1],
                    "src_offset": 0,
                    "dst_offset": 0,
                    "outstanding": self.outstanding,
                    "rows": SENT[0],
                    "mode": mode,
                    "utilization": round(
                        SENT[0] * SENT[1] * 8 / self.bus_bits / counts["cycles"], 4
                    ),
                    "floor": 1.0,
                }
                | counts
            )
        return rows

    def _system(self, *, sequencer: bool) -> _System:
        if sequencer not in self._systems:
            config = dma_system(self.bus_bits, self.outstanding, sequencer=sequencer)
            simulation = open_system(config, self._engine, **self._options)
            self._systems[sequencer] = _System(simulation, config)
        return self._systems[sequencer]


class _System:
    """One simulated system: its DRAM's content and its scratchpad's are known at any time."""

    def __init__(self, simulation: Simulation, config: AcceleratorConfig) -> None:
        self.simulation = simulation
        self.config = config
        self.device = Device(simulation, config)
        self.memory = simulation.memory
        self.base = simulation.memory_base
        self.exact = True
        random = np.random.default_rng(1)
        self.memory[SOURCE : SOURCE + AREA] = random.integers(0, 256, AREA, np.uint8)
        self._held = 0

    def move(self, case: Case, count: int) -> tuple[int, int]:
        """Move `case` with `count` iterations.

        The cycles from the source's push to the interrupt, and the bus beats of both directions.
        """
        walk = case.walk(count)
        index = walk.index()
        if case.path == "spm-dram":
            given = self._content(walk.nbytes)
        else:
            given = self.memory[SOURCE + case.source_offset + index]
        target = self.memory[TARGET : TARGET + AREA]
        target[:] = FILL
        expected = target.copy()
        self.device.clear_counters()
        cycles = self._run(case, walk, count)
        beats = sum(
            self.device.registers.read(mover.name, "ACCESSES")
            for mover in self.config.movers
            if not mover.is_scratchpad
        )
        if case.pattern == "sequencer":
            self.device.reset()  # the driver has not seen these tasks
        if case.path == "dram-spm":
            self.exact &= bool(np.array_equal(self._read_back(walk.nbytes), given))
            self._held = 0
        else:
            expected[case.target_offset + index] = given
            self.exact &= bool(np.array_equal(target, expected))
        return cycles, beats

    def send(self, mode: str) -> dict[str, Any]:
        """Send the left half of a matrix to the scratchpad: cycles, and what the driver counts."""
        rows, row_bytes = SENT
        device, before = self.device, replace(self.device.stats)
        matrix = device.allocate((rows, 2 * row_bytes), np.uint8)
        matrix[:] = np.random.default_rng(2).integers(0, 256, matrix.shape)
        part, started = matrix[:, :row_bytes], self.simulation.cycles
        device.send(part, to=device.scratchpad(0), mode=mode).wait()
        cycles = self.simulation.cycles - started
        after = device.stats
        self._held = 0
        exact = np.array_equal(self._read_back(part.size), part.reshape(-1))
        device.free(matrix)
        return {
            "cycles": cycles,
            "calls": after.dma_calls - before.dma_calls,
            "bds": after.dma_bds - before.dma_bds,
            "bytes": after.bytes_read - before.bytes_read,
            "host_copies": after.host_copies - before.host_copies,
            "ok": exact,
        }

    def _run(self, case: Case, walk: Walk, count: int) -> int:
        asked = walk.folded() if case.pattern == "folded" else walk
        read = self._dram(asked, SOURCE + case.source_offset)
        write = self._dram(asked, TARGET + case.target_offset)
        if case.path == "dram-spm":
            return self._task(("Y", self._linear("Y", walk.nbytes)), ("MM2S0", read))
        if case.path == "spm-dram":
            return self._task(("S2MM0", write), ("X", self._linear("X", walk.nbytes)))
        if case.pattern == "copies":
            return self._copies(case, count)
        if case.pattern == "sequencer":
            return self._play(case, count)
        if case.pattern == "repeat":
            one = case.walk(1)
            read = self._dram(one, SOURCE + case.source_offset)
            write = self._dram(one, TARGET + case.target_offset)
            return self._task(("S2MM0", write), ("MM2S0", read), repeat=count)
        return self._task(("S2MM0", write), ("MM2S0", read))

    def _direct(self, mover: str, walk: Walk, offset: int) -> BufferDescriptor:
        """A DRAM mover's end of a stream from DRAM to DRAM."""
        other = "S2MM0" if mover == "MM2S0" else "MM2S0"
        return replace(self._dram(walk, offset), route=(other,))

    def _dram(self, walk: Walk, offset: int) -> BufferDescriptor:
        return BufferDescriptor(
            base=self.base + offset,
            bounds=walk.bounds,
            strides=walk.strides,
            run_length=walk.run,
        )

    def _linear(self, mover: str, nbytes: int) -> BufferDescriptor:
        return contiguous(self.config.memory, self.config.mover(mover), base=0, length=nbytes)

    def _task(
        self,
        sink: tuple[str, BufferDescriptor],
        source: tuple[str, BufferDescriptor],
        repeat: int = 1,
    ) -> int:
        """Run a sink's descriptor, which is pushed first, and a source's."""
        for (mover, descriptor), (other, _) in ((sink, source), (source, sink)):
            self.device.write_descriptor(mover, 0, replace(descriptor, route=(other,)))
        token = self.device.push(sink[0], 0, repeat, interrupt=True)
        started = self.simulation.cycles
        given = self.device.push(source[0], 0, repeat)
        if not self.simulation.wait_interrupt(TIMEOUT):
            raise DeviceTimeout(f"no end after {TIMEOUT} cycles; {self.device.program.describe()}")
        cycles = self.simulation.cycles - started
        self.device.wait(sink[0], token)
        self.device.wait(source[0], given)
        # A wait that finds its task retired leaves the interrupt as it is.
        self.device.registers.write("system", "IRQ_DONE", (1 << len(self.config.movers)) - 1)
        return cycles

    def _copies(self, case: Case, count: int) -> int:
        """A copy after the other, each with a descriptor and a task on either side."""
        one = case.walk(1)
        program = self.device.program
        started = self.simulation.cycles
        for copy in range(count):
            steps = [
                (mover, self._direct(mover, one, area + copy * case.stride))
                for mover, area in (("S2MM0", TARGET), ("MM2S0", SOURCE))
            ]
            for mover, descriptor in steps:
                slot = program.place(mover, descriptor)
                token = program.push(mover, slot)
            if copy % 4 == 3:  # the slots are used up
                program.wait("MM2S0", token)
                program.wait("S2MM0", token)
        return self.simulation.cycles - started

    def _play(self, case: Case, count: int) -> int:
        """The same by one program; the cycles that it counts from the doorbell to its end."""
        areas = {"S2MM0": TARGET, "MM2S0": SOURCE}
        words = ProgramWords(self.config)
        for mover, area in areas.items():
            self.device.write_descriptor(mover, 0, self._direct(mover, case.walk(1), area))
        for copy in range(count):
            for mover, area in areas.items():
                words.push_at(mover, 0, self.base + area + copy * case.stride)
        for mover in areas:
            words.wait(mover, count)
        words.end()
        program = LoadedProgram(
            self.device.program, self.device.allocator, np.array(words.words, np.uint64)
        )
        program.ring()
        cycles = program.wait(TIMEOUT).cycles
        program.free()
        return cycles

    def _content(self, nbytes: int) -> npt.NDArray[np.uint8]:
        """The scratchpad's first `nbytes`, which it is given unless it has them."""
        if self._held < nbytes:
            walk = Walk(run=nbytes, bounds=(1,), strides=(0,))
            read = self._dram(walk, SOURCE)
            self._task(("Y", self._linear("Y", nbytes)), ("MM2S0", read))
            self._held = nbytes
        return self.memory[SOURCE : SOURCE + nbytes]

    def _read_back(self, nbytes: int) -> npt.NDArray[np.uint8]:
        """The first `nbytes` of the scratchpad, by way of DRAM."""
        walk = Walk(run=nbytes, bounds=(1,), strides=(0,))
        self._task(("S2MM0", self._dram(walk, STAGE)), ("X", self._linear("X", nbytes)))
        return self.memory[STAGE : STAGE + nbytes].copy()
