"""A system in a simulator behind the driver: where simulators and driver meet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amaranth.lib import wiring

from .config import DEFAULT_CONFIG, load_config
from .gateware import GATEWARE
from .generate import TOP_NAME, top_verilog
from .hw.config import AcceleratorConfig
from .hw.errors import ConfigError
from .hw.top import Top
from .sim.amaranth_engine import AmaranthSimulation
from .sim.axi import Channel
from .sim.dram import DramParameters
from .sim.layout import write_layout
from .sim.simulation import MEMORY_BYTES, Simulation
from .sim.waveform import Waveform
from .sw.device import Device

if TYPE_CHECKING:
    from .sim.verilator.build import ModelSource

__all__ = [
    "ENGINES",
    "PAYS_CYCLES",
    "EngineChoice",
    "choose_engine",
    "dram_parameters",
    "model_source",
    "open_simulation",
    "simulate",
]

ENGINES = ("python", "verilator", "auto")
PAYS_CYCLES = 10_000
"""Simulating so many in Python takes about as long as compiling."""


def dram_parameters(
    dram: DramParameters | None = None,
    *,
    latency: int | None = None,
    backpressure: float | None = None,
    seed: int | None = None,
) -> DramParameters:
    """`dram` (or the default) with its common settings changed.

    Parameters
    ----------
    latency
        Cycles to the first read beat and to the write response.
    backpressure
        Probability, below 1, that each channel idles in a cycle.
    seed
        Of the idle cycles.
    """
    dram = dram or DramParameters()
    if latency is not None:
        dram = replace(dram, read_latency=latency, write_latency=latency)
    if backpressure is not None:
        if not 0 <= backpressure < 1:
            raise ConfigError("backpressure", backpressure, "must be from 0 to less than 1")
        stall = min(255, round(256 * backpressure))
        stalls: dict[str, Any] = {f"stall_{channel.name.lower()}": stall for channel in Channel}
        dram = replace(dram, **stalls)
    return dram if seed is None else replace(dram, seed=seed)


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """What a simulation runs on, and why: one clause for the user."""

    engine: str
    reason: str


def choose_engine(
    config: AcceleratorConfig,
    engine: str = "auto",
    *,
    predicted_cycles: int | None = None,
    waveform: Waveform | None = None,
    observed: bool = False,
    unit: wiring.Component | None = None,
) -> EngineChoice:
    """The engine that `engine` means for a run of `predicted_cycles`.

    ``python`` and ``verilator`` mean themselves. ``auto`` is verilator where its compiled model is
    in the cache, or where compiling it pays: from PAYS_CYCLES predicted cycles on. It is python
    where nothing is predicted, and where Verilator or a C++ compiler is missing.
    """
    if engine not in ENGINES:
        raise ConfigError("engine", engine, f"must be one of {', '.join(ENGINES)}")
    wanted = None if waveform is None else waveform.format
    if engine == "python" and wanted == "fst":
        raise ConfigError("waveform.format", wanted, "needs the verilator engine")
    if engine != "auto":
        return EngineChoice(engine=engine, reason="as asked")
    if wanted == "fst":
        return EngineChoice(engine="verilator", reason="it alone writes FST")
    # The engine needs a POSIX system, the rest of weft does not: hence imports where it is wanted.
    from .sim.verilator.build import find_toolchain, model_is_cached
    from .sim.verilator.toolchain import ToolchainError

    try:
        toolchain = find_toolchain()
    except ToolchainError as error:
        return EngineChoice(engine="python", reason=str(error))
    if model_is_cached(model_source(config, observed=observed, unit=unit), toolchain, wanted):
        return EngineChoice(engine="verilator", reason="its compiled model is in the cache")
    if predicted_cycles is None:
        return EngineChoice(engine="python", reason="nobody knows how long it will run")
    about = f"about {predicted_cycles:,} cycles"
    if predicted_cycles < PAYS_CYCLES:
        return EngineChoice(
            engine="python", reason=f"{about}; a model pays from {PAYS_CYCLES:,} on"
        )
    return EngineChoice(engine="verilator", reason=f"{about}, compiling a model pays")


def model_source(
    config: AcceleratorConfig, *, observed: bool = False, unit: wiring.Component | None = None
) -> ModelSource:
    """The system of `config`, with the user's `unit` in it if there is one, for Verilator.

    Only the text of a system tells which `unit` it has, so that one has no identity.
    """
    from .sim.verilator.build import ModelSource

    told = f"{config.as_dict()} {observed} {GATEWARE}"
    return ModelSource(
        name=config.name,
        top=TOP_NAME,
        verilog=lambda: top_verilog(Top(config, observed=observed, unit=unit)),
        identity=hashlib.sha256(told.encode()).hexdigest()[:32] if unit is None else None,
    )


def open_simulation(
    config: AcceleratorConfig,
    engine: str = "auto",
    *,
    memory_bytes: int = MEMORY_BYTES,
    dram: DramParameters | None = None,
    waveform: Waveform | Path | None = None,
    observed: bool = False,
    unit: wiring.Component | None = None,
    predicted_cycles: int | None = None,
    progress: Callable[[int], None] | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Simulation:
    """Build `config` with the user's `unit` in `engine`, see :func:`choose_engine`.

    Beside a waveform stand its layouts for viewers, see :func:`~weft.sim.layout.write_layout`. With
    `observed` the simulation records what :func:`~weft.sim.trace.timeline` makes a timeline of.
    `report` is called with what is being compiled.
    """
    if isinstance(waveform, Path):
        waveform = Waveform(path=waveform)
    choice = choose_engine(
        config,
        engine,
        predicted_cycles=predicted_cycles,
        waveform=waveform,
        observed=observed,
        unit=unit,
    )
    simulation: Simulation
    if choice.engine == "verilator":
        from .sim.verilator import VerilatorSimulation

        simulation = VerilatorSimulation(
            model_source(config, observed=observed, unit=unit),
            memory_bytes=memory_bytes,
            dram=dram,
            waveform=waveform,
            observed=observed,
            progress=progress,
            report=report,
        )
    else:
        simulation = AmaranthSimulation(
            config,
            memory_bytes=memory_bytes,
            dram=dram,
            waveform=waveform,
            observed=observed,
            progress=progress,
            dut=None if unit is None else Top(config, observed=observed, unit=unit),
        )
    if waveform is not None:
        write_layout(waveform.path, config, engine=simulation.engine)
    return simulation


def simulate(
    config: str | Path | AcceleratorConfig = DEFAULT_CONFIG,
    engine: str = "auto",
    *,
    memory_bytes: int = MEMORY_BYTES,
    dram: DramParameters | None = None,
    latency: int | None = None,
    backpressure: float | None = None,
    seed: int | None = None,
    waveform: Waveform | Path | None = None,
    unit: wiring.Component | None = None,
    predicted_cycles: int | None = None,
    progress: Callable[[int], None] | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Device:
    """A simulated device, ready for its first command.

    Parameters
    ----------
    config
        Name, ``.toml`` file, or the configuration itself.
    engine
        ``python``, ``verilator`` (needs a C++ compiler, and a minute for the first simulation of a
        configuration), or ``auto``, see :func:`choose_engine`: without `predicted_cycles`
        verilator only where its model has been compiled before.
    memory_bytes
        Size of the device's DRAM.
    dram, latency, backpressure, seed
        See :func:`dram_parameters`.
    waveform
        File for a waveform, or a window of one; complete after ``device.transport.close()``.
    unit
        An accelerator of the user's own between the movers bound to ``export``, see
        :class:`~weft.hw.accelerator.Accelerator`; good for one simulation.
    predicted_cycles
        How long the caller expects to run, for ``auto``.
    progress
        Called with the number of cycles now and then.
    report
        Called with what is being compiled.
    """
    if not isinstance(config, AcceleratorConfig):
        config = load_config(config)
    parameters = dram_parameters(dram, latency=latency, backpressure=backpressure, seed=seed)
    simulation = open_simulation(
        config,
        engine,
        memory_bytes=memory_bytes,
        dram=parameters,
        waveform=waveform,
        unit=unit,
        predicted_cycles=predicted_cycles,
        progress=progress,
        report=report,
    )
    return Device(simulation, config)
