"""What every ``weft run`` does with its workload."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..config import load_config
from ..engines import choose_engine, dram_parameters, open_simulation
from ..sim.trace import write_timeline
from ..sim.waveform import Waveform
from ..sw.device import Device
from ..sw.program import PushedTask
from ..workload import Workload, run_workload
from .common import (
    config_option,
    engine_option,
    json_option,
    print_json,
    progress,
    waveform_options,
)

__all__ = ["verdict", "workload_command"]

WRONG = 1


def workload_command(command: Callable[..., Workload]) -> Callable[..., int]:
    """A command that runs, checks and shows the workload that `command` makes of its options.

    `command` gets the seed among them; the other options of a run are added here.
    """

    @wraps(command)
    def wrapper(
        *,
        config: str,
        engine: str,
        seed: int,
        waveform: Waveform | None,
        trace: Path | None,
        latency: int | None,
        backpressure: float | None,
        as_json: bool,
        **shape: Any,
    ) -> int:
        return _execute(
            command(seed=seed, **shape),
            config=config,
            engine=engine,
            seed=seed,
            waveform=waveform,
            trace=trace,
            latency=latency,
            backpressure=backpressure,
            as_json=as_json,
        )

    run: Callable[..., int] = waveform_options(wrapper)
    options = (
        config_option(),
        engine_option("what is done sooner"),
        click.option(
            "--seed",
            type=click.IntRange(min=0, max=(1 << 64) - 1),
            default=0,
            show_default=True,
            help="Of the operands and of the DRAM's back-pressure.",
        ),
        click.option(
            "--trace",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Write a timeline in Chrome's trace format, for ui.perfetto.dev.",
        ),
        click.option(
            "--latency",
            type=click.IntRange(min=0, max=1_000_000),
            metavar="N",
            help="Cycles that the DRAM takes to answer.",
        ),
        click.option(
            "--backpressure",
            type=click.FloatRange(min=0, max=1, max_open=True),
            metavar="P",
            help="Probability that a DRAM channel idles in a cycle.",
        ),
        json_option,
    )
    for option in reversed(options):
        run = option(run)
    return run


def _execute(
    workload: Workload,
    *,
    config: str,
    engine: str,
    seed: int,
    waveform: Waveform | None,
    trace: Path | None,
    latency: int | None,
    backpressure: float | None,
    as_json: bool,
) -> int:
    system = load_config(config)
    workload.check(system)
    dram = dram_parameters(latency=latency, backpressure=backpressure, seed=seed)
    if trace is not None:
        # A file that cannot be written is found out before the work, not after it.
        trace.touch()
    observed = trace is not None
    choice = choose_engine(
        system,
        engine,
        predicted_cycles=workload.predicted_cycles(system),
        waveform=waveform,
        observed=observed,
    )
    with (
        progress(f"{workload.title} on {system.name}") as bar,
        open_simulation(
            system,
            choice.engine,
            memory_bytes=workload.memory_bytes,
            dram=dram,
            waveform=waveform,
            observed=observed,
            progress=bar.cycles,
            report=bar.building,
        ) as simulation,
    ):
        device = Device(simulation, system)
        tasks: list[PushedTask] = []
        if trace is not None:
            device.program.log = tasks
        try:
            result = run_workload(device, workload, engine=simulation.engine)
            result["engine_reason"] = choice.reason
        finally:
            # A run that failed is the one that somebody wants to see.
            if trace is not None:
                cycles = simulation.cycles
                write_timeline(trace, system, simulation.observed(), cycles=cycles, tasks=tasks)
    if as_json:
        print_json(result)
    else:
        _show(workload.title, result)
    if result["ok"]:
        return 0
    print(
        f"weft: error: {result['mismatches']} of {result['elements']} elements differ from "
        f"numpy's, first at {result['first_mismatch']}, by at most {result['max_abs_error']}",
        file=sys.stderr,
    )
    return WRONG


def verdict(counters: dict[str, int]) -> str:
    """What a mover did most of its time: streaming, starved, blocked, conflict or idle."""
    active, starved, blocked = (counters[name] for name in ("active", "starved", "blocked"))
    if not (active or starved or blocked):
        return "idle"
    if active >= max(starved, blocked):
        return "streaming"
    # Lost arbitration shows as waiting for memory: it is named where it explains most of it.
    if 2 * counters["conflict"] > starved + blocked:
        return "conflict"
    return "starved" if starved >= blocked else "blocked"


def _show(title: str, result: dict[str, Any]) -> None:
    console = Console()
    figures = Table(
        title=f"{title} int8 to {result['workload']['out']} on {result['config']}",
        title_justify="left",
        show_header=False,
    )
    figures.add_column()
    figures.add_column(justify="right")
    figures.add_column(style="dim")
    total = result["cycles_total"]
    start = "doorbell" if result["via"] == "program" else "first push"
    for name, value, remark in (
        ("engine", result["engine"], result["engine_reason"]),
        ("cycles, ideal", f"{result['cycles_ideal']:,}", "array steps"),
        ("cycles, active", f"{result['cycles_active']:,}", "array, bubbles included"),
        ("cycles, span", f"{result['cycles_span']:,}", "first streamer address to last write"),
        ("cycles, total", f"{total:,}", f"{start} to completion"),
        ("utilization, temporal", f"{result['utilization_temporal']:.1%}", "ideal / active"),
        ("utilization, MAC", f"{result['utilization_mac']:.1%}", "of every MAC in every cycle"),
        ("array bubbles", f"{result['array']['bubbles']:,}", ""),
        (
            "DMA",
            f"{result['dma']['calls']:,} calls",
            f"{result['dma']['bytes_read']:,} bytes read, "
            f"{result['dma']['bytes_written']:,} written",
        ),
        ("simulation", f"{result['sim_seconds']:.1f} s", f"{_rate(total, result)} cycles/s"),
    ):
        figures.add_row(name, value, remark)
    console.print(figures)
    movers = Table(title="where each mover waited (cycles)", title_justify="left")
    movers.add_column("mover")
    columns = ("active", "starved", "blocked", "conflict", "accesses")
    for name in columns:
        movers.add_column(name, justify="right")
    movers.add_column("verdict")
    for name, counters in result["movers"].items():
        movers.add_row(name, *(f"{counters[c]:,}" for c in columns), verdict(counters))
    console.print(movers)
    lost = {bank: cycles for bank, cycles in enumerate(result["banks"]) if cycles}
    if result["banks"]:
        text = ", ".join(f"{bank}: {cycles:,}" for bank, cycles in lost.items())
        console.print(f"banks with conflicts (cycles): {text or 'none'}")
    if result["ok"]:
        console.print("result: bit-exact against numpy", style="green")


def _rate(cycles: int, result: dict[str, Any]) -> str:
    seconds = result["sim_seconds"]
    return f"{cycles / seconds:,.0f}" if seconds else "-"
