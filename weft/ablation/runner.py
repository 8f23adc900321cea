"""Runs a case at a step, checks every element, and reads the counters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..engines import open_simulation
from ..hw.config import AcceleratorConfig
from ..sim.simulation import Simulation
from ..sw.array_pass import ArrayPass, Move
from ..sw.device import Device
from ..sw.errors import MappingError
from ..sw.placement import Placement, bound_mover
from ..sw.player import play
from ..sw.resident import Task, TaskList
from ..sw.transfer import DmaPair
from ..workload import Trial
from .cases import Case
from .places import apart, interleaved, together
from .rearrange import Rearranged, rearrange
from .steps import Step
from .systems import READER, ablation_system

__all__ = ["Runner", "plan"]


class Runner:
    """The systems of the steps, each opened when a step wants it.

    Parameters
    ----------
    config
        What the features are left out of.
    engine
        ``python``, ``verilator`` or ``auto``.
    predicted_cycles
        How long the caller expects to run, for ``auto``.
    report, progress
        As for :func:`~weft.engines.simulate`.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        *,
        engine: str,
        predicted_cycles: int | None = None,
        report: Callable[[str], None] = lambda text: None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._config = config
        self._options: dict[str, Any] = {
            "engine": engine,
            "predicted_cycles": predicted_cycles,
            "report": report,
            "progress": progress,
        }
        self._simulations: dict[bool, Simulation] = {}
        self._devices: dict[bool, Device] = {}

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *exception: object) -> None:
        for simulation in self._simulations.values():
            simulation.close()
        self._simulations.clear()
        self._devices.clear()

    def measure(self, case: Case, step: Step) -> dict[str, Any]:
        """The row of `case` at `step`: its columns are those of the public table, and more.

        Every count is a counter's of the hardware. ``cycles_copying`` are those in which the reader
        of rearranging passes was active, starved or blocked: from the arrival of its descriptor to
        its last beat. ``cycles_active`` are the array's, from the first operand that it accepts to
        the last result that it gives. ``utilization_temporal`` is ``cycles_ideal`` by the sum of
        both, which is ``cycles``: passes come one after the other, and what the host takes between
        them is not counted. Nor are loads and stores.

        Raises
        ------
        MappingError
            It does not fit the scratchpad.
        """
        device = self._device(step)
        device.reset()  # whatever ran before, arbiters begin as they did
        trial = case.workload.begin(device)
        try:
            work, passes = plan(device.config, case, step, trial)
            _move(device, "mm2s", work.loads)
            device.clear_counters()
            for each in passes:
                _run(device, each.tasks)
            streams = work.streams.items()
            movers = {port: bound_mover(device.config, port).name for port in work.streams}
            _run(device, [Task(mover=movers[port], descriptor=walk) for port, walk in streams])
            row = _counted(device, work)
            _move(device, "s2mm", work.stores)
            row["mismatches"] = int(np.count_nonzero(np.asarray(trial.out) != trial.expected))
        finally:
            for array in (*trial.operands.values(), trial.out):
                device.free(array)
        row["ok"] = row["mismatches"] == 0 and row["array_steps"] == row["cycles_ideal"]
        return {"group": case.group, "shape": case.shape, "step": step.number, **row}

    def _device(self, step: Step) -> Device:
        """The system with or without prefetch."""
        if step.prefetch not in self._devices:
            config = ablation_system(self._config, prefetch=step.prefetch)
            simulation = open_simulation(config, **self._options)
            self._simulations[step.prefetch] = simulation
            self._devices[step.prefetch] = Device(simulation, config)
        return self._devices[step.prefetch]


def plan(
    config: AcceleratorConfig, case: Case, step: Step, trial: Trial
) -> tuple[ArrayPass, list[Rearranged]]:
    """The array's pass, and those that rearrange its operands before it.

    Raises
    ------
    MappingError
        They do not fit the scratchpad.
    """

    def make(placement: Placement) -> ArrayPass:
        return case.array_pass(config, placement, trial, row_c=step.broadcaster)

    try:
        if step.modes:
            return make(apart(config, make)), []
        placement, end = together(config, make)
        work, passes, mode = make(placement), [], interleaved(config)[0]
        streams = dict(work.streams)
        for port in case.rearranged(step):
            each = rearrange(config, streams[port], base=end, mode=mode, label=f"rearrange {port}")
            streams[port] = each.stream
            passes.append(each)
            end += each.nbytes
        if end > config.memory.bytes:
            raise MappingError(f"{end} bytes in a scratchpad of {config.memory.bytes}")
    except MappingError as error:
        raise MappingError(f"{case.group} {case.shape}, step {step.number}: {error}") from None
    return replace(work, streams=streams), passes


def _move(device: Device, kind: str, moves: Sequence[Move]) -> None:
    """Do loads or stores, one after the other."""
    pair = DmaPair.find(device.config, kind)
    for move in moves:
        ends = (pair.at_dram(move.dram), pair.at_scratchpad(move.scratchpad))
        _run(device, [Task(mover=mover, descriptor=walk, label=move.label) for mover, walk in ends])


def _run(device: Device, tasks: Sequence[Task]) -> None:
    """Push tasks that run together, and wait for all of them."""
    written = TaskList(device.config)
    for token in written.push(tasks):
        written.wait(token)
    play(device.program, written.commands)


def _counted(device: Device, work: ArrayPass) -> dict[str, Any]:
    movers, array = device.counters(), device.array_counters()
    reader = movers[READER]
    copying = reader["active"] + reader["starved"] + reader["blocked"]
    accesses = {
        mover.name: movers[mover.name]["accesses"]
        for mover in device.config.movers
        if mover.is_scratchpad and movers[mover.name]["accesses"]
    }
    cycles = copying + array["array_active"]
    return {
        "utilization_temporal": round(work.steps / cycles, 4),
        "accesses": sum(accesses.values()),
        "accesses_by_mover": accesses,
        "cycles": cycles,
        "cycles_active": array["array_active"],
        "cycles_copying": copying,
        "cycles_ideal": work.steps,
        "array_steps": array["array_steps"],
    }
