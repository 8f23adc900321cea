"""A system in a simulator behind the driver: where simulators and driver meet."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .config import DEFAULT_CONFIG, load_config
from .hw.config import AcceleratorConfig
from .hw.errors import ConfigError
from .sim.amaranth_engine import AmaranthSimulation
from .sim.axi import Channel
from .sim.dram import DramParameters
from .sim.layout import write_layout
from .sim.simulation import MEMORY_BYTES, Simulation
from .sw.device import Device

__all__ = ["ENGINES", "dram_parameters", "open_simulation", "simulate"]

ENGINES = ("python", "verilator", "auto")


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


def open_simulation(
    config: AcceleratorConfig,
    engine: str = "auto",
    *,
    memory_bytes: int = MEMORY_BYTES,
    dram: DramParameters | None = None,
    vcd: Path | None = None,
    observed: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Simulation:
    """Build `config` in `engine`; ``auto`` takes the fastest engine there is.

    Beside a waveform stand its layouts for viewers, see :func:`~weft.sim.layout.write_layout`. With
    `observed` the simulation records what :func:`~weft.sim.trace.timeline` makes a timeline of.
    """
    if engine not in ENGINES:
        raise ConfigError("engine", engine, f"must be one of {', '.join(ENGINES)}")
    if engine == "verilator":
        raise ConfigError("engine", engine, "is not built yet, use python")
    simulation = AmaranthSimulation(
        config,
        memory_bytes=memory_bytes,
        dram=dram,
        vcd=vcd,
        observed=observed,
        progress=progress,
    )
    if vcd is not None:
        write_layout(vcd, config, engine=simulation.engine)
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
    vcd: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Device:
    """A simulated device, ready for its first command.

    Parameters
    ----------
    config
        Name, ``.toml`` file, or the configuration itself.
    engine
        ``python``, or ``auto``.
    memory_bytes
        Size of the device's DRAM.
    dram, latency, backpressure, seed
        See :func:`dram_parameters`.
    vcd
        File for a waveform, complete after ``device.transport.close()``.
    progress
        Called with the number of cycles now and then.
    """
    if not isinstance(config, AcceleratorConfig):
        config = load_config(config)
    parameters = dram_parameters(dram, latency=latency, backpressure=backpressure, seed=seed)
    simulation = open_simulation(
        config, engine, memory_bytes=memory_bytes, dram=parameters, vcd=vcd, progress=progress
    )
    return Device(simulation, config)
